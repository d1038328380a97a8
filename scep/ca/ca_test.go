package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// house is a whole hierarchy, made as an installation makes it.
type house struct {
	root, device, mail *ca.Issuer
	ra, signer, server *x509.Certificate
}

const base = "http://mdm.example.com"

// now has no parts of a second: certificates have none.
var now = time.Now().UTC().Truncate(time.Second)

var keys = struct {
	sync.Mutex
	rsa map[string]*rsa.PrivateKey
}{rsa: map[string]*rsa.PrivateKey{}}

// rsaKey gives the same key for the same name: making them takes long.
func rsaKey(t testing.TB, name string, bits int) *rsa.PrivateKey {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if k := keys.rsa[name]; k != nil {
		return k
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	keys.rsa[name] = k
	return k
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// must passes on a value without an error.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newHouse(t testing.TB) house {
	t.Helper()
	made, issuer := must[*x509.Certificate](t), must[*ca.Issuer](t)
	names := func(cn string) ca.Names { return ca.Names{CommonName: cn, Organization: "Example"} }
	rootKey, deviceKey, mailKey := ecKey(t, elliptic.P384()), rsaKey(t, "device-ca", 3072), ecKey(t, elliptic.P256())
	root := made(ca.NewRoot(rootKey, names("Example Root"), now))
	var h house
	h.root = issuer(ca.NewIssuer("root", rootKey, []*x509.Certificate{root}, ca.URLsBelow(base, "root")))
	chain := func(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c, root} }
	h.device = issuer(ca.NewIssuer("device", deviceKey, chain(made(ca.NewDeviceCA(h.root, deviceKey.Public(), names("Example Devices"), now))), ca.URLsBelow(base, "device")))
	h.mail = issuer(ca.NewIssuer("smime", mailKey, chain(made(ca.NewMailCA(h.root, mailKey.Public(), names("Example Mail"), now))), ca.URLsBelow(base, "smime")))
	h.ra = made(ca.NewRA(h.mail, rsaKey(t, "ra", 2048).Public(), names("Example RA"), now))
	h.signer = made(ca.NewProfileSigner(h.root, ecKey(t, elliptic.P256()).Public(), names("Example Profiles"), now))
	h.server = made(ca.NewTLSServer(h.root, ecKey(t, elliptic.P256()).Public(), []string{"mdm.example.com", "127.0.0.1", "::1"}, now))
	return h
}

func identity(key crypto.PublicKey) ca.Request {
	return ca.Request{Kind: ca.DeviceIdentity, Key: key, Life: 365 * 24 * time.Hour, Names: ca.Names{
		CommonName: string(subject.NewDeviceID()), URIs: []string{cert.HolderURI(subject.NewUserID())},
	}}
}

func signing(key crypto.PublicKey) ca.Request {
	return ca.Request{Kind: ca.MailSigning, Key: key, Policy: "1.3.6.1.4.1.32473.1",
		Names: ca.Names{CommonName: "Alice Example", Mail: []string{"alice@example.com"}}}
}

// issue does both steps.
func issue(t testing.TB, i *ca.Issuer, r ca.Request) *x509.Certificate {
	t.Helper()
	p := must[*ca.Prepared](t)(i.Prepare(r, now))
	return must[*x509.Certificate](t)(i.Issue(p))
}

// pemFile writes certificates for OpenSSL.
func pemFile(t testing.TB, certs ...*x509.Certificate) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "certs.pem")
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(name, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
