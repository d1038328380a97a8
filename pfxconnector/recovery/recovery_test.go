package recovery_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
)

var one, two = cert.FingerprintOf([]byte("1")), cert.FingerprintOf([]byte("2"))

func recipient(t testing.TB) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String()
}

// A request is written in one way, and read only as it was written.
func TestText(t *testing.T) {
	to := recipient(t)
	a, err := recovery.New("u-1", []cert.Fingerprint{one, two}, to, recovery.PEM, " left ")
	if err != nil {
		t.Fatal(err)
	}
	b, err := recovery.New("u-1", []cert.Fingerprint{two, one}, to+"\n", recovery.PEM, "left")
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Text()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := b.Text(); err != nil || other != text {
		t.Errorf("got %s, want %s", other, text)
	}
	got, err := recovery.Parse(text)
	if err != nil || got.User != "u-1" || !slices.Equal(got.Certificates, a.Certificates) {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"nothing": "", "a blank": text + " ", "unknown field": strings.Replace(text, `{"user"`, `{"x":1,"user"`, 1),
		"user twice": strings.Replace(text, `{"user"`, `{"user":"u-2","user"`, 1), "another format": strings.Replace(text, `"pem"`, `"raw"`, 1),
		"case": strings.Replace(text, `"user"`, `"USER"`, 1),
	} {
		if _, err := recovery.Parse(bad); !errors.Is(err, recovery.ErrRequest) {
			t.Errorf("%s: got %v, want ErrRequest", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	to := recipient(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keys := []cert.Fingerprint{one}
	for name, c := range map[string]struct {
		keys   []cert.Fingerprint
		to     string
		format recovery.Format
		reason string
		want   error
	}{
		"no key":           {nil, to, recovery.PEM, "left", recovery.ErrKeys},
		"a key twice":      {[]cert.Fingerprint{one, one}, to, recovery.PEM, "left", recovery.ErrKeys},
		"many keys":        {make([]cert.Fingerprint, recovery.MaxKeys+1), to, recovery.PEM, "left", recovery.ErrKeys},
		"no recipient":     {keys, "", recovery.PEM, "left", recovery.ErrRecipient},
		"two recipients":   {keys, to + "\n" + to, recovery.PEM, "left", recovery.ErrRecipient},
		"a passphrase":     {keys, "# " + to, recovery.PEM, "left", recovery.ErrRecipient},
		"an EC recipient":  {keys, string(cert.PEM(leaf)), recovery.PEM, "left", recovery.ErrRecipient},
		"two certificates": {keys, string(cert.PEM(leaf, leaf)), recovery.PEM, "left", recovery.ErrRecipient},
		"no format":        {keys, to, "", "left", recovery.ErrFormat},
		"no reason":        {keys, to, recovery.PEM, "  ", recovery.ErrReason},
		"a long reason":    {keys, to, recovery.PEM, strings.Repeat("x", 301), recovery.ErrReason},
		"lines":            {keys, to, recovery.PEM, "left\nthe company", recovery.ErrReason},
	} {
		if _, err := recovery.New("u-1", c.keys, c.to, c.format, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// What is parsed is written again as it was.
func FuzzParse(f *testing.F) {
	r, err := recovery.New("u-1", []cert.Fingerprint{one}, recipient(f), recovery.PKCS12, "left")
	if err != nil {
		f.Fatal(err)
	}
	text, err := r.Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := recovery.Parse(text)
		if err != nil {
			return
		}
		if again, err := r.Text(); err != nil || again != text {
			t.Errorf("got %q, %v, want %q", again, err, text)
		}
	})
}
