package doctor

import (
	"context"
	"fmt"
	"os"

	"github.com/signet-mdm/signet/internal/disk"
)

// Room that there should be where the data is.
const (
	little = 1 << 30
	none   = 128 << 20
)

func (c *Case) space(context.Context) Finding {
	free, size, err := disk.Space(c.Config.Data)
	if err != nil {
		return trouble(err, "signet init --url https://… makes the data directory")
	}
	text := fmt.Sprintf("%d of %d MiB are free", free>>20, size>>20)
	try := "df -h " + c.Config.Data
	switch {
	case free < none:
		return fails(text+": no key is opened and nothing is enrolled when it is full.", try)
	case free < little || free < size/20:
		return warn(text+".", try)
	}
	return ok(text)
}

func (c *Case) rights(context.Context) Finding {
	info, err := os.Stat(c.Config.Data)
	if err != nil {
		return trouble(err, "")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fails(fmt.Sprintf("Others than the service can look into the data directory (mode %04o).", info.Mode().Perm()), "chmod 700 "+c.Config.Data)
	}
	return ok(fmt.Sprintf("%s is for its owner alone", c.Config.Data))
}
