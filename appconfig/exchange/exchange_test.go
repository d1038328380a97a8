package exchange_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig/exchange"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var serial = big.NewInt(1)

// make signs a certificate; change may spoil it first.
func (a *authority) make(t testing.TB, name string, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial = new(big.Int).Add(serial, big.NewInt(1))
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newCA(t testing.TB, name string, above *authority) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = above.make(t, name, a.key, isCA)
	return a
}

func isCA(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func leaf(t testing.TB, a *authority, name string) *x509.Certificate {
	t.Helper()
	return a.make(t, name, newKey(t), nil)
}

func TestCollect(t *testing.T) {
	root, other := newCA(t, "Root", nil), newCA(t, "Other", nil)
	sub := newCA(t, "Sub", root)
	renewed := root.make(t, "Sub", sub.key, func(c *x509.Certificate) { isCA(c); c.NotAfter = now.AddDate(3, 0, 0) })
	gone := &authority{key: sub.key, cert: root.make(t, "Sub", sub.key, func(c *x509.Certificate) { isCA(c); c.NotAfter = now.AddDate(0, 0, -1) })}
	impostor := newCA(t, "Sub", other)
	notCA := root.make(t, "Sub", sub.key, nil)
	alice := leaf(t, sub, "alice")
	for name, c := range map[string]struct {
		certificates, known []*x509.Certificate
		want                string // names with the year of the end
		out                 string
		gaps                string
	}{
		"nothing":                     {},
		"a chain":                     {[]*x509.Certificate{alice}, []*x509.Certificate{root.cert, sub.cert}, "Sub27 Root27", "", ""},
		"one twice":                   {[]*x509.Certificate{alice, alice, leaf(t, sub, "bob")}, []*x509.Certificate{sub.cert, sub.cert, root.cert}, "Sub27 Root27", "", ""},
		"what does not lead up":       {[]*x509.Certificate{alice}, []*x509.Certificate{other.cert, sub.cert, root.cert}, "Sub27 Root27", "", ""},
		"renewed with the same key":   {[]*x509.Certificate{alice}, []*x509.Certificate{sub.cert, renewed, root.cert}, "Sub27 Sub29 Root27", "", ""},
		"expired":                     {[]*x509.Certificate{alice}, []*x509.Certificate{gone.cert, root.cert}, "Root27", "Sub It expired on 2026-11-23.", ""},
		"one of the same name":        {[]*x509.Certificate{alice}, []*x509.Certificate{impostor.cert, other.cert}, "", "", "alice"},
		"the key of a certificate":    {[]*x509.Certificate{alice}, []*x509.Certificate{notCA, root.cert}, "", "", "alice"},
		"no root":                     {[]*x509.Certificate{alice}, []*x509.Certificate{sub.cert}, "Sub27", "", "Sub"},
		"a CA to begin with":          {[]*x509.Certificate{sub.cert}, []*x509.Certificate{sub.cert, root.cert}, "Sub27 Root27", "", ""},
		"somebody's own certificate":  {[]*x509.Certificate{leaf(t, nil, "carol")}, nil, "", "", ""},
		"one that is its own issuer":  {[]*x509.Certificate{root.cert}, []*x509.Certificate{root.cert}, "Root27", "", ""},
		"a person's cannot be a CA's": {[]*x509.Certificate{alice}, []*x509.Certificate{alice, sub.cert, root.cert}, "Sub27 Root27", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := exchange.Collect(c.certificates, c.known, now)
			var cas, out, gaps []string
			for _, ca := range got.CAs {
				cas = append(cas, ca.Subject.CommonName+ca.NotAfter.Format("06"))
			}
			for _, l := range got.LeftOut {
				out = append(out, l.CA.Subject.CommonName+" "+l.Reason)
			}
			for _, g := range got.Gaps {
				gaps = append(gaps, g.Subject.CommonName)
			}
			for what, pair := range map[string][2]string{"CAs": {strings.Join(cas, " "), c.want},
				"left out": {strings.Join(out, " "), c.out}, "gaps": {strings.Join(gaps, " "), c.gaps}} {
				if pair[0] != pair[1] {
					t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
				}
			}
		})
	}
}

func TestAddOnce(t *testing.T) {
	root := newCA(t, "Root", nil)
	var c exchange.Collection
	c.Add(root.cert, now)
	c.Add(root.cert, now)
	c.Add(leaf(t, root, "alice"), now)
	if len(c.CAs) != 1 || len(c.LeftOut) != 1 || c.LeftOut[0].Reason != "It is no CA certificate." {
		t.Errorf("got %d CAs, left out %v", len(c.CAs), c.LeftOut)
	}
	if !c.FirstEnd().Equal(root.cert.NotAfter) {
		t.Errorf("FirstEnd: got %v", c.FirstEnd())
	}
}

// A name in a certificate stays inside its comment.
func TestScriptHoldsForeignNames(t *testing.T) {
	evil := newCA(t, "x\r\nRemove-Item C:\\ -Recurse\n#> ' \u2028 é \u202e", nil)
	var c exchange.Collection
	c.Add(evil.cert, now)
	out, err := exchange.Script(c, "cas.sst", now)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range out {
		if b > 126 || b < ' ' && b != '\r' && b != '\n' {
			t.Fatalf("byte %d is %#x", i, b)
		}
	}
	found := false
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, "Remove-Item") {
			found = strings.HasPrefix(l, "#")
		}
		if !strings.HasSuffix(l, "\r\n") {
			t.Errorf("line %q does not end as Windows ends lines", l)
		}
	}
	if !found {
		t.Error("the name is not in a comment")
	}
	if _, err := exchange.Script(c, "a'; rm.sst", now); err == nil {
		t.Error("a file name that ends the string was taken")
	}
}
