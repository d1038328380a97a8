package opener_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/testdata"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Keys are shared, because RSA keys take long to make.
var (
	deviceKey, _ = rsa.GenerateKey(rand.Reader, 2048)
	root         = newCA("Root", nil)
	deviceCA     = newCA("Device CA", root)
	mailCA       = newCA("Mail CA", root)
)

type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func newCA(name string, above *authority) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(9, 0, 0)}
	ca := &authority{key: key}
	if above == nil {
		above = &authority{c, key}
	}
	if ca.Certificate, err = above.sign(c, key.Public()); err != nil {
		panic(err)
	}
	return ca
}

func (a *authority) sign(c *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, a.Certificate, public, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// template is a good device identity.
func template(user subject.UserID, device subject.DeviceID) *x509.Certificate {
	u, err := url.Parse(cert.HolderURI(user))
	if err != nil {
		panic(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: string(device)}, URIs: []*url.URL{u},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0),
	}
}

// issued is the record that the CA keeps of c.
func issued(c *x509.Certificate, user subject.UserID, device subject.DeviceID) cert.Record {
	return cert.Record{
		Fingerprint: cert.FingerprintOf(c.Raw), SPKI: cert.FingerprintOf(c.RawSubjectPublicKeyInfo),
		Holder: cert.Holder{User: user, Device: device}, Source: cert.Issued, Use: cert.Identity, Profile: "device-identity",
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, DER: c.Raw, CreatedAt: at,
	}
}

// identities is what devices are bound to.
type identities map[subject.DeviceID]cert.Record

func (i identities) Bound(_ context.Context, id subject.DeviceID) (cert.Record, bool, error) {
	r, found := i[id]
	return r, found, nil
}

// spyKeys counts what is unwrapped.
type spyKeys struct {
	opener.Keys
	asked int
}

func (k *spyKeys) Unwrap(ctx context.Context, w escrow.Wrap, info []byte) (seal.Secret, error) {
	k.asked++
	return k.Keys.Unwrap(ctx, w, info)
}

// diary is the journal; it fails when told.
type diary struct {
	opener.Journal
	keys  *spyKeys
	fail  bool
	early []int // keys unwrapped before each entry
}

func (d *diary) Record(ctx context.Context, e journal.Entry) error {
	d.early = append(d.early, d.keys.asked)
	if d.fail {
		return errors.New("disk full")
	}
	return d.Journal.Record(ctx, e)
}

// changed lets a test lie about what the database says.
type changed struct {
	real   opener.Deposits
	change func([]escrow.Deposit) []escrow.Deposit
}

func (c changed) Deposits(ctx context.Context, u subject.UserID, f []cert.Fingerprint) ([]escrow.Deposit, error) {
	list, err := c.real.Deposits(ctx, u, f)
	return c.change(list), err
}

type signer struct{ fail bool }

func (s signer) SignProfile(encoded []byte) ([]byte, error) {
	if s.fail {
		return nil, errors.New("no signer")
	}
	return profile.Sign(encoded, cms.Signer{Certificate: root.Certificate, Key: root.key, Time: at})
}

// world has Alice with two imported keys and Bob with one, each with a device.
type world struct {
	db                      *store.DB
	dir                     string
	ring                    *keyring.Ring
	alice, bob              subject.User
	alicePhone, bobPhone    subject.DeviceID
	aliceNew, aliceOld, his cert.Fingerprint
	issued                  identities
	keys                    *spyKeys
	diary                   *diary
	config                  opener.Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), alicePhone: subject.NewDeviceID(), bobPhone: subject.NewDeviceID(), issued: identities{}}
	var err error
	sqlitetest.Put(t, filepath.Join(w.dir, "signet.db"))
	if w.db, err = store.OpenSQLite(t.Context(), filepath.Join(w.dir, "signet.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	if w.ring, err = keyring.Create(filepath.Join(w.dir, "keys"), filepath.Join(w.dir, "unlock")); err != nil {
		t.Fatal(err)
	}
	people := directory.New(w.db.Directory(), now)
	w.alice, w.bob = add(t, people, testdata.Owner), add(t, people, "bob@example.com")
	w.aliceNew, w.aliceOld, w.his = w.load(t, 6, w.alice), w.load(t, 0, w.alice), w.load(t, 5, w.bob)
	w.enroll(t, w.alice.ID, w.alicePhone)
	w.enroll(t, w.bob.ID, w.bobPhone)
	w.keys = &spyKeys{Keys: w.ring}
	w.diary = &diary{Journal: w.db.Journal(), keys: w.keys}
	w.config = opener.Config{Issuers: func() []*x509.Certificate { return []*x509.Certificate{deviceCA.Certificate} }, Identities: w.issued, Deposits: w.db.PFX(),
		Journal: w.diary, Keys: w.keys, Signer: signer{}, Log: slog.New(slog.DiscardHandler), Now: now}
	return w
}

func now() time.Time { return at }

func add(t testing.TB, people *directory.Service, mail string) subject.User {
	t.Helper()
	u, err := people.Add(t.Context(), journal.Worker("test"), subject.User{Mail: mail})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// load imports a file of the sample history for somebody.
func (w *world) load(t testing.TB, i int, u subject.User) cert.Fingerprint {
	t.Helper()
	f := testdata.History()[i]
	r := w.take(t, pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password), User: &u})
	if r.Status != pfxconnector.Imported {
		t.Fatalf("importing %s: %+v", f.Name, r)
	}
	fp, err := cert.ParseFingerprint(r.Identities[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	return fp
}

// take imports a file.
func (w *world) take(t testing.TB, f pfxconnector.File) pfxconnector.FileReport {
	t.Helper()
	to, err := keyring.Recipient(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	s := pfxconnector.New(pfxconnector.Config{Store: w.db.PFX(), Users: w.db.Directory(), Sealer: escrow.NewSealer(to), Now: now})
	r, err := s.Import(t.Context(), journal.Worker("test"), f)
	if err != nil {
		t.Fatalf("importing %s: %v", f.Name, err)
	}
	return r
}

func (w *world) enroll(t testing.TB, user subject.UserID, device subject.DeviceID) {
	t.Helper()
	c, err := deviceCA.sign(template(user, device), deviceKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	w.issued[device] = issued(c, user, device)
}

// frame asks for these identities.
func frame(list ...cert.Fingerprint) profile.Profile {
	p := profile.Profile{Common: profile.Named("com.example.history", "History")}
	for i, f := range list {
		p.Payloads = append(p.Payloads, &profile.PKCS12{
			Common: profile.Named("com.example.history."+f.String()+string(rune('a'+i)), "Identity"), Fingerprint: f})
	}
	return p
}

// entries gives the journal of that action, the newest first.
func (w *world) entries(t testing.TB, a journal.Action) (list []journal.Entry) {
	t.Helper()
	all, err := w.db.Journal().Latest(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Action == a {
			list = append(list, e)
		}
	}
	return list
}
