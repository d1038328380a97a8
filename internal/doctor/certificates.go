package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

const day = 24 * time.Hour

// How long before its end a certificate is spoken of.
const (
	tlsNotice  = 14 * day
	caNotice   = 90 * day
	pushNotice = 30 * day
)

// maxTLSLife is how long a TLS certificate may be good for Apple's devices.
//
// Spec: Apple, Requirements for trusted certificates in iOS 13 (HT210176)
const maxTLSLife = 825 * day

// tls judges the server's certificate as a phone does.
func (c *Case) tls(context.Context) Finding {
	served, err := c.Served(c.ring)
	switch {
	case err != nil && c.Config.TLS.Cert == "" && len(c.Uncertified(c.ring)) > 0:
		return warn("It is made when the offline root has signed its CA.", "signet ca csr services")
	case err != nil:
		return trouble(err, strings.TrimSpace("ls -l "+c.Config.TLS.Cert+" "+c.Config.TLS.Key))
	}
	chain, err := parse(served.Certificate)
	if err != nil {
		return trouble(err, "openssl x509 -text -in "+c.Config.TLS.Cert)
	}
	leaf := chain[0]
	if f, over := c.lapses("The TLS certificate", leaf, tlsNotice, "renew it and put it in "+c.Config.TLS.Cert); over {
		return f
	}
	for _, host := range []string{c.Config.Host(), c.Config.MDM.TLSHost} {
		if host != "" && leaf.VerifyHostname(host) != nil {
			return fails(fmt.Sprintf("The TLS certificate is for %s, not for %s.", named(leaf), host), "get a certificate for "+host)
		}
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > maxTLSLife {
		return fails(fmt.Sprintf("The TLS certificate is good for %d days; iPhones refuse more than 825.", int(life/day)), "get one that is good for less")
	}
	return c.trusted(chain)
}

// trusted asks whether a phone that knows nothing of us builds the chain.
func (c *Case) trusted(chain []*x509.Certificate) Finding {
	between := x509.NewCertPool()
	for _, x := range chain[1:] {
		between.AddCert(x)
	}
	opts := x509.VerifyOptions{Intermediates: between, CurrentTime: c.Now()}
	_, err := chain[0].Verify(opts)
	until := chain[0].NotAfter.Format(time.DateOnly)
	if err == nil {
		return ok("trusted everywhere, good until " + until)
	}
	if own, ownErr := c.ring.Certificates(c.Root); ownErr == nil {
		opts.Roots = x509.NewCertPool()
		opts.Roots.AddCert(own[0])
		if _, err := chain[0].Verify(opts); err == nil {
			return ok("of our own CA, good until " + until + "; Safari warns before the first enrollment")
		}
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown && len(chain) == 1 && chain[0].Issuer.String() != chain[0].Subject.String() {
		return fails("The chain of the TLS certificate is not complete: "+chain[0].Issuer.String()+" is missing.", "put the certificates above it into "+c.Config.TLS.Cert+", behind it")
	}
	return fails("A phone does not trust the TLS certificate: "+told(err)+".", "get one of a public CA, or leave tls.cert empty")
}

// lapses tells of a certificate that is not good, or not for long.
func (c *Case) lapses(what string, x *x509.Certificate, notice time.Duration, try string) (Finding, bool) {
	switch left := x.NotAfter.Sub(c.Now()); {
	case c.Now().Before(x.NotBefore):
		return fails(what+" is good only from "+x.NotBefore.Format(time.RFC3339)+" on.", "timedatectl"), true
	case left < 0:
		return fails(what+" expired on "+x.NotAfter.Format(time.DateOnly)+".", try), true
	case left < notice:
		return warn(fmt.Sprintf("%s expires in %d days.", what, int(left/day)), try), true
	}
	return Finding{}, false
}

func (c *Case) authorities(ctx context.Context) Finding {
	if names := c.Uncertified(c.ring); len(names) > 0 {
		return fails("The owner of the offline root has not signed these CAs yet: "+strings.Join(names, ", ")+". No server starts before.", "signet ca csr "+names[0])
	}
	first, retired := time.Time{}, []string(nil)
	if c.db != nil {
		retired, _ = c.db.Retired(ctx) // a database that cannot tell is spoken of elsewhere
	}
	for _, name := range c.ring.Names() {
		chain, err := c.ring.Certificates(name)
		if err != nil || len(chain) == 0 || name == "tls" || strings.HasPrefix(name, "tls-") || slices.Contains(retired, name) {
			continue
		}
		if f, over := c.lapses("The certificate of "+name, chain[0], caNotice, "signet ca show"); over {
			return f
		}
		if first.IsZero() || chain[0].NotAfter.Before(first) {
			first = chain[0].NotAfter
		}
	}
	return ok("all good until " + first.Format(time.DateOnly))
}

func (c *Case) push(ctx context.Context) Finding {
	x, refused, err := c.db.PushCertificate(ctx)
	if err != nil {
		return trouble(err, "signet push show")
	}
	if x == nil {
		return warn("There is no push certificate: no device is woken, and those that enroll now must enroll again later.", "signet push csr")
	}
	if f, over := c.lapses("The push certificate", x, pushNotice, "renew it at Apple with the same Apple Account: signet push csr"); over {
		return f
	}
	if refused != "" {
		return fails("Apple's push service takes nothing: "+refused+".", "signet push show")
	}
	return ok("good until " + x.NotAfter.Format(time.DateOnly))
}

// renewals is about the certificates that devices have of us.
func (c *Case) renewals(ctx context.Context) Finding {
	f, err := c.db.Figures(ctx)
	if err != nil {
		return trouble(err, "")
	}
	signing, identities := f.Overdue[cert.Signing.String()], f.Overdue[cert.Identity.String()]
	if signing+identities > 0 {
		return warn(fmt.Sprintf("Certificates of devices end within 30 days, or have ended, and are not renewed: %d to sign mail with, %d of the devices themselves.", signing, identities),
			"signet device list --expiring 30d")
	}
	return ok("each was renewed in time")
}

// apple is for those who push.
func (c *Case) apple(ctx context.Context) Finding {
	if x, _, err := c.db.PushCertificate(ctx); err == nil && x == nil {
		return ok("not needed without a push certificate")
	}
	return c.Apple.look(ctx)
}

func parse(chain [][]byte) (list []*x509.Certificate, err error) {
	for _, der := range chain {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading the TLS certificate: %w", err)
		}
		list = append(list, x)
	}
	if len(list) == 0 {
		return nil, errors.New("there is no TLS certificate")
	}
	return list, nil
}

// named lists what a certificate is for.
func named(x *x509.Certificate) string {
	names := append([]string{}, x.DNSNames...)
	for _, ip := range x.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "nobody (it has no SAN)"
	}
	return strings.Join(names, ", ")
}
