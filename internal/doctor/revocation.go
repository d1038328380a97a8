package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// revocation takes the way that a verifier takes: it fetches the list that each
// CA publishes, and the one that the CA's own certificate names, which was
// written when the CA was made.
func (c *Case) revocation(ctx context.Context) Finding {
	looked := 0
	for _, name := range c.ring.Names() {
		chain, err := c.ring.Certificates(name)
		if err != nil || len(chain) == 0 || !chain[0].IsCA {
			continue
		}
		lists := map[string]*x509.Certificate{}
		if chain[0].KeyUsage&x509.KeyUsageCRLSign != 0 && (len(chain) > 1 || name == c.Root) {
			lists[c.Config.PublicPKI()+"/pki/"+name+".crl"] = chain[0]
		}
		for _, url := range chain[0].CRLDistributionPoints {
			lists[url] = chain[min(1, len(chain)-1)]
		}
		for url, issuer := range lists {
			if err := c.list(ctx, url, issuer); err != nil {
				return c.unpublished(url, err)
			}
			looked++
		}
		if err := c.responder(ctx, name); err != nil {
			return c.unpublished(c.ocsp(name), err)
		}
	}
	return ok(fmt.Sprintf("%d revocation lists are where certificates say", looked))
}

// ocsp is where new certificates say that the responder of an issuer is.
func (c *Case) ocsp(name string) string { return c.Config.PublicPKI() + "/ocsp/" + name }

// responder asks the responder of an issuer a question that is none.
//
// Spec: RFC 6960 section 4.2.1
func (c *Case) responder(ctx context.Context, name string) error {
	if !c.Config.CA.OCSP || name == c.Root {
		return nil
	}
	said, err := c.Get(ctx, c.ocsp(name)+"/MAA=")
	if err == nil && !bytes.Equal(said, malformed) {
		err = errors.New("what answers is no OCSP responder")
	}
	return err
}

// malformed is what a responder says to that.
var malformed = []byte{0x30, 3, 0x0a, 1, 1}

// list fetches a list and judges it as a verifier does.
func (c *Case) list(ctx context.Context, url string, issuer *x509.Certificate) error {
	der, err := c.Get(ctx, url)
	if err != nil {
		return err
	}
	l, err := x509.ParseRevocationList(der)
	switch {
	case err != nil:
		return errors.New("what is there is no revocation list")
	case l.CheckSignatureFrom(issuer) != nil:
		return errors.New("the list there is of another CA")
	case c.Now().After(l.NextUpdate):
		return fmt.Errorf("the list there is over since %s", l.NextUpdate.Format("2006-01-02"))
	}
	return nil
}

// unpublished is no failure while no server runs, nor for what another server
// publishes, which may be out of this machine's sight.
func (c *Case) unpublished(url string, err error) Finding {
	cause := "A verifier finds no good answer at " + url + ": " + told(err) + "."
	if !c.Running() || !strings.HasPrefix(url, c.Config.PublicPKI()) {
		return warn(cause, "curl -v "+url)
	}
	return fails(cause, "curl -v "+url)
}
