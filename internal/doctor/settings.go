package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
)

func (c *Case) settings(context.Context) Finding {
	if c.Err != nil {
		return trouble(c.Err, "signet config check")
	}
	problems := c.Config.Check()
	if len(problems) == 0 {
		return ok(c.File)
	}
	p := problems[0]
	more := ""
	if len(problems) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(problems)-1)
	}
	return fails(p.Key+": "+p.Msg+" "+p.Hint+more, "signet config check")
}

// address: phones take certificates for names only from public CAs, and find a
// server only by a name that others resolve too.
func (c *Case) address(context.Context) Finding {
	host := c.Config.Host()
	_, isIP := netip.ParseAddr(host)
	switch {
	case host == "":
		return fails("url is not set: nobody can reach the server.", "signet config describe")
	case isIP == nil || host == "localhost" || !strings.Contains(host, "."):
		return warn(host+" is no name that phones elsewhere can find.", "set url to https:// and a name in the DNS before devices enroll")
	}
	return ok(c.Config.Base())
}

func (c *Case) enrollment(context.Context) Finding {
	if c.Config.Enroll.Auth == "lab" {
		return warn("enroll.auth is lab: a link alone lets a device in.", "set enroll.auth to code unless this is a test")
	}
	return ok("a link and a code")
}

func (c *Case) open(context.Context) Finding {
	ring, err := c.Keys()
	if err != nil {
		return trouble(err, "ls -l "+c.Config.In("keys")+" "+c.Unlock)
	}
	c.ring = ring
	return ok(c.Unlock)
}

func (c *Case) canary(ctx context.Context) Finding {
	if err := c.ring.SelfTest(); err != nil {
		return trouble(err, "restore the keys from the backup")
	}
	if err := c.ring.CheckHolders(ctx); err != nil {
		return trouble(err, "signet doctor kek")
	}
	return ok("opens what is sealed to it")
}

func (c *Case) token(ctx context.Context) Finding {
	names := c.ring.TokenKeys()
	if len(names) == 0 {
		return ok("no key is on a PKCS#11 token")
	}
	ctx, stop := context.WithTimeout(ctx, tokenWait)
	defer stop()
	if err := c.ring.CheckToken(ctx); err != nil {
		return trouble(err, "pkcs11-tool --module "+c.Config.PKCS11.Module+" --list-slots")
	}
	return ok("it has the keys " + strings.Join(names, ", "))
}

// tokenWait bounds how long is waited for a token.
const tokenWait = 10 * time.Second

func (c *Case) recovery(context.Context) Finding {
	if c.Config.Keys.Recovery == "" {
		return warn("keys.recovery is empty: who loses the data directory loses the users' keys.",
			"age-keygen -o recovery.txt, set keys.recovery to its public key, keep the file offline")
	}
	return ok("imported keys are sealed to " + c.Config.Keys.Recovery + " too")
}

// apart: one backup, image or thief should not get both halves.
func (c *Case) apart(context.Context) Finding {
	data, err := filepath.Abs(c.Config.Data)
	unlock, err2 := filepath.Abs(c.Unlock)
	if err := cmp.Or(err, err2); err != nil {
		return trouble(err, "")
	}
	if locked, err := keyring.Encrypted(c.Unlock); err == nil && locked {
		return ok("the unlock key needs a passphrase")
	}
	if strings.HasPrefix(unlock, data+string(filepath.Separator)) {
		return warn("The unlock key lies in the data directory: who copies that has every key.",
			"systemd-creds encrypt --name=signet-unlock "+c.Unlock+" /etc/signet/unlock.cred, then move the file away")
	}
	return ok("the unlock key is not in the data directory")
}

// trouble makes a failure of an error: its own words and hint when it is one
// of ours.
func trouble(err error, try string) Finding {
	f := fault.Of(err)
	if f == nil {
		return fails(told(err), try)
	}
	if f.Hint != "" {
		return fails(f.Msg+" "+f.Hint, try)
	}
	return fails(f.Msg, try)
}

// told gives an error on one line.
func told(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
