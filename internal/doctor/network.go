package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"time"
)

func (c *Case) process(context.Context) Finding {
	if !c.Running() {
		return warn("No server runs on "+c.Config.Data+".", "systemctl start signet, or signet serve")
	}
	return ok("it runs")
}

func (c *Case) name(ctx context.Context) Finding {
	host := c.Config.Host()
	if _, err := netip.ParseAddr(host); err == nil {
		return ok(host)
	}
	addrs, err := c.Lookup(ctx, host)
	if err != nil || len(addrs) == 0 {
		return fails(host+" is in no DNS that this machine asks.", "dig "+host)
	}
	return ok(strings.Join(addrs, ", "))
}

// reachable takes the way that a phone takes, as far as it begins here: what a
// firewall does on the way in is not seen.
func (c *Case) reachable(ctx context.Context) Finding {
	root, err := c.Fetch(ctx)
	own, ownErr := c.ring.Certificates(c.Root)
	const try = "curl -v "
	switch {
	case err != nil && !c.Running():
		return warn("Nothing answers at "+c.Config.Base()+": no server runs.", "systemctl start signet")
	case err != nil:
		return fails("The server runs, but not behind "+c.Config.Base()+": "+told(err)+".", try+c.Config.Base()+"/pki/"+c.Root+".cer")
	case ownErr != nil:
		return trouble(ownErr, "")
	case !bytes.Equal(root, own[0].Raw):
		return fails("At "+c.Config.Base()+" another server answers.", try+c.Config.Base()+"/pki/"+c.Root+".cer")
	}
	return ok("this server answers at " + c.Config.Base())
}

func (s Service) look(ctx context.Context) Finding {
	if err := s.Reach(ctx); err != nil {
		f := warn(s.Addr+" cannot be reached: "+strings.TrimSuffix(told(err), ".")+". "+s.Lacks, s.Try)
		if s.Vital {
			f.Status = Fail
		}
		return f
	}
	return ok(s.Addr)
}

// dialTime bounds reaching one address.
const dialTime = 5 * time.Second

// ReachTLS wants a server that is who it should be behind an address.
func ReachTLS(ctx context.Context, addr string, roots *x509.CertPool) error {
	ctx, stop := context.WithTimeout(ctx, dialTime)
	defer stop()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
