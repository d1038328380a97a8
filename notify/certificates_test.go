package notify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
)

// office is where certificates come from and go to.
type office struct {
	*world
	*notify.Certificates
	dir string
}

var admin = journal.Actor{Kind: journal.Local, ID: "test"}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{world: newWorld(t), dir: filepath.Join(t.TempDir(), "keys")}
	o.now = time.Now()
	ring, err := keyring.Create(o.dir, filepath.Join(o.dir, "unlock.key"))
	o.must(err)
	o.Certificates = o.over(ring)
	return o
}

func (o *office) over(ring *keyring.Ring) *notify.Certificates {
	return notify.NewCertificates(notify.CertificatesConfig{Store: o.push, Keys: ring, Organization: "Example",
		Log: logx.New(o.log, false, nil), Now: func() time.Time { return o.now }})
}

func (o *office) request() []byte {
	o.t.Helper()
	csr, err := o.Request(o.t.Context(), admin)
	o.must(err)
	return csr
}

// issue lets Apple answer a request.
func (o *office) issue(csr []byte, topic string, life time.Duration) []byte {
	o.t.Helper()
	c, err := o.apple.Certify(csr, topic, o.now.Add(life))
	o.must(err)
	return c
}

func (o *office) imports(u notify.Upload) notify.Imported {
	o.t.Helper()
	i, err := o.Import(o.t.Context(), admin, u)
	if err != nil {
		o.t.Fatal(err)
	}
	return i
}

const year = 365 * 24 * time.Hour

func TestRequestAndImport(t *testing.T) {
	judge.Need(t, "openssl")
	o := newOffice(t)
	if got, err := o.Topic(t.Context()); err != nil || got != notify.NoTopic {
		t.Errorf("before: topic %s, %v", got, err)
	}
	csr := o.request()
	said := string(judge.Run(t, csr, "openssl", "req", "-verify", "-noout", "-text"))
	for _, want := range []string{"Subject: CN = Example MDM push", "Public-Key: (2048 bit)", "sha256WithRSAEncryption"} {
		if !strings.Contains(said, want) {
			t.Errorf("openssl does not say %q:\n%s", want, said)
		}
	}
	o.request() // another does not make the first worthless
	i := o.imports(notify.Upload{Certificate: o.issue(csr, topic, year), Account: "it@example.com"})
	if i.Topic != topic || !i.Enrolls || i.Others+i.Stranded != 0 {
		t.Errorf("got %+v", i)
	}
	if got, err := o.Topic(t.Context()); err != nil || got != topic {
		t.Errorf("topic %s, %v", got, err)
	}
	d := o.device('a')
	list, err := o.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Account != "it@example.com" || list[0].DaysLeft != 364 ||
		list[0].Devices != (notify.Devices{Enrolled: 1, Reachable: 1}) {
		t.Errorf("got %+v, %v", list, err)
	}
	if until, err := o.NotAfter(t.Context()); err != nil || !until.Equal(list[0].Certificate.NotAfter) {
		t.Errorf("until %v, %v", until, err)
	}

	// It pushes, also after a restart, which finds the key in the ring.
	ring, err := keyring.Open(o.dir, filepath.Join(o.dir, "unlock.key"))
	o.must(err)
	credentials, err := o.over(ring).Credentials(t.Context())
	o.must(err)
	o.certs.list = credentials
	o.work(d)
	o.want("with what was imported", o.pass(notify.Settling, notify.Settling), 1)
}

// The key is nowhere but in the ring, and there only encrypted.
func TestKeyStays(t *testing.T) {
	o := newOffice(t)
	csr := o.request()
	block, _ := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		t.Fatalf("got %s", csr)
	}
	files, err := filepath.Glob(filepath.Join(o.dir, "push-*.key.age"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || !bytes.HasPrefix(data, []byte("age-encryption.org/")) {
		t.Errorf("got %.20q, %v", data, err)
	}
}

func TestRenewal(t *testing.T) {
	o := newOffice(t)
	first := o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, year), Account: "it@example.com"})
	o.device('a')
	renewed := o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, year)})
	if !renewed.Enrolls || renewed.Account != first.Account || renewed.Certificate.Certificate.Equal(first.Certificate.Certificate) {
		t.Errorf("got %+v", renewed)
	}
	list, err := o.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
}

// Another topic would lose the devices, so it is not taken by accident.
func TestAnotherTopic(t *testing.T) {
	o := newOffice(t)
	o.device('a') // under that topic, before any certificate: restored, say
	stranger := o.issue(o.request(), other, year)
	if _, err := o.Import(t.Context(), admin, notify.Upload{Certificate: stranger}); !errors.Is(err, notify.ErrTopic) || !strings.Contains(err.Error(), "1 enrolled devices") {
		t.Errorf("got %v, want ErrTopic for 1 device", err)
	}
	o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, year)})
	if _, err := o.Import(t.Context(), admin, notify.Upload{Certificate: stranger}); !errors.Is(err, notify.ErrTopic) {
		t.Errorf("got %v, want ErrTopic", err)
	}
	i := o.imports(notify.Upload{Certificate: stranger, Replace: true})
	if !i.Enrolls || i.Others != 1 || i.Stranded != 0 {
		t.Errorf("got %+v", i)
	}
	if got, err := o.Topic(t.Context()); err != nil || got != other {
		t.Errorf("topic %s, %v", got, err)
	}
	// Those that have the old one are still reached, and it can be renewed.
	credentials, err := o.Credentials(t.Context())
	if err != nil || len(credentials) != 2 {
		t.Errorf("got %d credentials, %v", len(credentials), err)
	}
	if i := o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, year)}); i.Enrolls {
		t.Error("renewing the old topic made it the one that enrolls")
	}
}

func TestRefusedCertificates(t *testing.T) {
	o := newOffice(t)
	csr := o.request()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	o.must(err)
	foreign, err := o.apple.Certificate(key.Public(), topic, o.now.Add(year))
	o.must(err)
	server := selfSigned(t, key, foreign)
	for name, c := range map[string]struct {
		data []byte
		key  []byte
		want error
	}{
		"nothing":          {nil, nil, notify.ErrCertificate},
		"the request":      {csr, nil, notify.ErrCertificate},
		"huge":             {bytes.Repeat([]byte("x"), 1<<20), nil, notify.ErrCertificate},
		"broken":           {o.issue(csr, topic, year)[:400], nil, notify.ErrCertificate},
		"no topic":         {o.issue(csr, "", year), nil, notify.ErrNoPush},
		"app's topic":      {o.issue(csr, "com.example.app", year), nil, notify.ErrNoPush},
		"prefix only":      {o.issue(csr, "com.apple.mgmt.External.", year), nil, notify.ErrNoPush},
		"topic with space": {o.issue(csr, "com.apple.mgmt.External. x", year), nil, notify.ErrNoPush},
		"not for clients":  {server.Raw, nil, notify.ErrNoPush},
		"expired":          {o.issue(csr, topic, -time.Hour), nil, notify.ErrExpired},
		"not yet":          {o.issue(csr, topic, 2*year), nil, notify.ErrExpired},
		"another's key":    {foreign.Raw, nil, notify.ErrKeyUnknown},
		"no key":           {foreign.Raw, []byte("x"), notify.ErrKey},
		"wrong key":        {foreign.Raw, pkcs8(t, freshKey(t)), notify.ErrKey},
		"large key":        {foreign.Raw, bytes.Repeat([]byte("x"), 1<<20), notify.ErrKey},
	} {
		_, err := o.Import(t.Context(), admin, notify.Upload{Certificate: c.data, Key: seal.NewSecret(c.key)})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if list, err := o.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("stored: %v, %v", list, err)
	}
}

// A certificate that was made elsewhere comes with its key, in any usual form.
func TestImportWithKey(t *testing.T) {
	for name, encode := range map[string]func(*testing.T, *ecdsa.PrivateKey) []byte{
		"PKCS #8":     func(t *testing.T, k *ecdsa.PrivateKey) []byte { return pkcs8(t, k) },
		"PKCS #8 PEM": func(t *testing.T, k *ecdsa.PrivateKey) []byte { return armour("PRIVATE KEY", pkcs8(t, k)) },
		"SEC 1 PEM": func(t *testing.T, k *ecdsa.PrivateKey) []byte {
			der, err := x509.MarshalECPrivateKey(k)
			if err != nil {
				t.Fatal(err)
			}
			return armour("EC PRIVATE KEY", der)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			key := freshKey(t)
			c, err := o.apple.Certificate(key.Public(), topic, o.now.Add(year))
			o.must(err)
			u := notify.Upload{Certificate: append([]byte("Bag Attributes\n"), armour("CERTIFICATE", c.Raw)...), Key: seal.NewSecret(encode(t, key))}
			o.imports(u)
			o.imports(u) // twice is no error
			credentials, err := o.Credentials(t.Context())
			if err != nil || len(credentials) != 1 || !key.PublicKey.Equal(credentials[0].Key.Public()) {
				t.Errorf("got %+v, %v", credentials, err)
			}
		})
	}
}

// Its end is spoken of on certain days, once each, and when it has come.
func TestReminders(t *testing.T) {
	o := newOffice(t)
	o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, 70*24*time.Hour), Account: "it@example.com"})
	end := o.now.Add(70 * 24 * time.Hour)
	said := []int{}
	for day := 70; day > 0; day-- {
		o.now = end.Add(-time.Duration(day)*24*time.Hour + time.Hour)
		o.log.Reset()
		for range 4 {
			if _, err := o.Remind(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := o.Credentials(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := o.said("level=WARN"); n > 1 || n == 1 && !strings.Contains(o.log.String(), "it@example.com") {
			t.Errorf("%d days: %s", day, o.log)
		} else if n == 1 {
			said = append(said, day)
		}
	}
	if want := []int{61, 31, 15, 8, 2}; !slices.Equal(said, want) { // an hour less than that
		t.Errorf("spoken of %v days before, want %v", said, want)
	}
	o.log.Reset()
	o.now = end.Add(time.Second)
	for range 3 {
		if got, err := o.Credentials(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("expired: got %+v, %v", got, err)
		}
	}
	if o.said("level=ERROR") != 1 {
		t.Errorf("the log says:\n%s", o.log)
	}
	o.now = o.now.Add(-2 * time.Hour) // to import a renewal that is good now
	o.imports(notify.Upload{Certificate: o.issue(o.request(), topic, year)})
	if got, err := o.Credentials(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("renewed: got %+v, %v", got, err)
	}
}

// selfSigned gives a certificate that says the same but not what it is for.
func selfSigned(t *testing.T, k *ecdsa.PrivateKey, like *x509.Certificate) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: like.SerialNumber, RawSubject: like.RawSubject, NotBefore: like.NotBefore, NotAfter: like.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func freshKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pkcs8(t *testing.T, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func armour(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// FuzzUpload holds that whatever is given for a certificate and its key is
// taken or refused by a declared failure, and that a topic that is taken can
// be shown.
func FuzzUpload(f *testing.F) { // the seeds are in testdata/fuzz
	f.Fuzz(func(t *testing.T, certificate, secret []byte) {
		c, err := notify.ReadCertificate(certificate)
		if err == nil {
			_, err = notify.ReadKey(seal.NewSecret(secret), c.PublicKey)
			if got, failed := notify.JudgeCertificate(c, start); failed != nil {
				err = failed
			} else if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("took topic %q", got)
			}
		}
		if err != nil && fault.Of(err) == nil {
			t.Errorf("got %v, which nobody declared", err)
		}
	})
}
