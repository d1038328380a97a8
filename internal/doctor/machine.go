package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

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
	stranger, err := notOf(owner(info), c.Config.Data)
	if err != nil {
		return trouble(err, "run it as root or as the service's user")
	}
	if stranger != "" {
		return fails(stranger+" does not belong to whom the data directory belongs to: the service cannot use it.",
			fmt.Sprintf("chown -R %d %s", owner(info), c.Config.Data))
	}
	return ok(fmt.Sprintf("%s is for its owner alone", c.Config.Data))
}

// notOf gives the first file below dir that belongs to another user, such as
// one that root made; empty for none.
func notOf(uid int, dir string) (stranger string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running server makes and removes files
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && owner(info) != uid {
			stranger = path
			return fs.SkipAll
		}
		return nil
	})
	return stranger, err
}

// owner gives the user whose file it is.
func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
