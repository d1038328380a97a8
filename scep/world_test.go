package scep_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// world is a service over a real database, with one user and his device.
type world struct {
	t      testing.TB
	db     *store.DB
	path   string
	s      *scep.Service
	keeper *scep.Certifier
	lab    *scep.Lab
	rate   scep.Rate
	built  time.Time
	config scep.Config
	log    *bytes.Buffer
	user   subject.User
	device subject.Device

	getOnly   bool // do not offer POST
	outside   *scep.Outside
	elsewhere *scep.Elsewhere

	mu  sync.Mutex
	now time.Time
}

// worker is who acts in tests.
var worker = journal.Worker("test")

// start is when all worlds begin: outside programs look at the real clock.
var start = time.Now().UTC().Truncate(time.Second)

func newWorld(t testing.TB, change ...func(*scep.Config)) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "signet.db"), now: start, log: &bytes.Buffer{}}
	sqlitetest.Put(t, w.path)
	w.db = must(store.OpenSQLite(t.Context(), w.path))(t)
	t.Cleanup(func() { w.db.Close() })
	h := theHouse()
	w.config = scep.Config{
		Store: w.db.SCEP(), Profiles: scep.Fixed(scep.Shipped("device", "smime")), URL: "https://mdm.example.com/scep",
		Authorities: []scep.Authority{h.device.public(), h.mail.public(), {Issuer: h.root.Public}},
		Log:         slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:         w.clock, MaxFailures: 1 << 20,
	}
	for _, f := range change {
		f(&w.config)
	}
	w.restart()
	w.user, w.device = w.person("alice@example.com", "Alice Example")
	return w
}

// restart makes both halves anew.
func (w *world) restart() {
	w.t.Helper()
	h, c := theHouse(), w.config
	w.keeper = scep.NewCertifier(scep.CertifierConfig{Store: c.Store, Profiles: c.Profiles, AllowLegacy: c.AllowLegacy, MaxSkew: c.MaxSkew, Rate: w.rate, Built: w.built, Lab: w.lab, Outside: w.outside, Elsewhere: w.elsewhere,
		Seats: []scep.Seat{h.device.seat(), h.mail.seat(), {Issuer: h.root}}, Log: c.Log, Now: c.Now})
	if c.Keeper == nil {
		c.Keeper = w.keeper
	}
	w.s = must(scep.New(c))(w.t)
}

// profiles are those of a world's configuration, to change.
func profiles(c *scep.Config) scep.Fixed { return c.Profiles.(scep.Fixed) }

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) sleep(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

// person makes a user with an invited device.
func (w *world) person(mail, name string) (subject.User, subject.Device) {
	w.t.Helper()
	u := subject.User{ID: subject.NewUserID(), UPN: mail, Mail: mail, Name: name, CreatedAt: start}
	d := subject.Device{ID: subject.NewDeviceID(), User: u.ID}
	e := journal.Entry{At: start, Actor: worker, Action: journal.UserAdded}
	inv := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: u, Device: d, CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
	for _, err := range []error{w.db.Directory().UserSaved(w.t.Context(), u, e), w.mdm().Invited(w.t.Context(), inv, e)} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return u, d
}

func (w *world) mdm() store.MDM {
	return w.db.MDM(must(seal.NewBox(seal.RandomRoot(), "test"))(w.t))
}

// challenge makes one for the world's own user.
func (w *world) challenge(profile string) seal.Secret {
	w.t.Helper()
	return must(w.s.Challenge(w.t.Context(), worker, scep.ChallengeRequest{Profile: profile, User: w.user, Device: w.device}))(w.t).Secret
}

// certificates counts what was issued to the world's device.
func (w *world) certificates() int {
	w.t.Helper()
	return len(must(w.db.Certificates().OfDevice(context.Background(), w.device.ID))(w.t))
}

// actions counts the journal's entries of a kind.
func (w *world) actions(a journal.Action) (n int) {
	w.t.Helper()
	for _, e := range must(w.db.Journal().Latest(context.Background(), 1000))(w.t) {
		if e.Action == a {
			n++
		}
	}
	return n
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// house is the CAs, made once for all tests.
type house struct {
	root         *ca.Issuer
	device, mail authority
}

var theHouse = sync.OnceValue(func() house {
	rootKey, mailKey := ecKey(elliptic.P384()), ecKey(elliptic.P256())
	root := made(ca.NewRoot(rootKey, ca.Names{CommonName: "Example Root"}, start))
	h := house{root: made(ca.NewIssuer("root", rootKey, []*x509.Certificate{root}, ca.URLsBelow("http://mdm.example.com", "root")))}
	h.device = newAuthority(h.root, "device", rsaKey(keyOfDeviceCA), ca.NewDeviceCA, rsaKey(keyOfDeviceRA))
	h.mail = newAuthority(h.root, "smime", mailKey, ca.NewMailCA, rsaKey(keyOfMailRA))
	return h
})

// authority is an issuing CA with its key, and its RA.
type authority struct {
	Issuer *ca.Issuer
	RA     scep.RA
}

func (a authority) public() scep.Authority { return scep.Authority{Issuer: a.Issuer.Public, RA: a.RA} }

func (a authority) seat() scep.Seat { return scep.Seat{Issuer: a.Issuer, RA: a.RA} }

func newAuthority(root *ca.Issuer, name string, key crypto.Signer,
	newCA func(*ca.Issuer, crypto.PublicKey, ca.Names, time.Time) (*x509.Certificate, error), raKey *rsa.PrivateKey) authority {
	own := made(newCA(root, key.Public(), ca.Names{CommonName: "Example CA " + name}, start))
	issuer := made(ca.NewIssuer(name, key, []*x509.Certificate{own, root.Certificate()}, ca.URLsBelow("http://mdm.example.com", name)))
	ra := made(ca.NewRA(issuer, raKey.Public(), ca.Names{CommonName: "Example RA " + name}, start))
	return authority{issuer, scep.RA{Certificate: ra, Signer: raKey, Decrypter: raKey}}
}

func made[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return made(ecdsa.GenerateKey(curve, rand.Reader))
}

// testKeys are RSA keys that protect nothing: making them takes long, and very
// long while fuzzing. The first has 3072 bits, the last 1024, the others 2048.
var testKeys = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for rest := made(os.ReadFile("testdata/test-only-keys.pem")); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys
		}
		keys = append(keys, made(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey))
	}
})

// The keys of the CA of devices, of the RAs, and one that is too small;
// clients have 1 to 3.
const (
	keyOfDeviceCA = 0
	keyOfDeviceRA = 4
	keyOfMailRA   = 5
	smallKey      = 6
)

func rsaKey(n int) *rsa.PrivateKey { return testKeys()[n] }

// client is who asks: a key and the certificate that signs its messages.
type client struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

var clients sync.Map

// newClient gives client number n with its self-signed certificate.
func newClient(n int) client {
	c, _ := clients.LoadOrStore(n, sync.OnceValue(func() client { return selfSigned(rsaKey(n)) }))
	return c.(func() client)()
}

func selfSigned(key *rsa.PrivateKey) client {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"},
		NotBefore: start.Add(-time.Hour), NotAfter: start.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der := made(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return client{key, made(x509.ParseCertificate(der))}
}

// ask is one request; zero values are those of an honest PKCSReq.
type ask struct {
	profile     string
	kind        string
	challenge   string
	from        client
	key         crypto.Signer // of the certificate request; nil: the client's
	transaction string
	nonce       []byte
	template    x509.CertificateRequest
	csr         func([]byte) []byte // spoils the request
	envelope    func([]byte) []byte // spoils the envelope
	attributes  func([]cms.Attribute) []cms.Attribute
	signed      time.Time
	remote      string
	to          *x509.Certificate // RA; nil: the first of the profile
}

// defaults fills in what an honest client sends.
func (a ask) defaults() ask {
	if a.profile == "" {
		a.profile = scep.MailSigning
	}
	if a.kind == "" {
		a.kind = "19"
	}
	if a.from.key == nil {
		a.from = newClient(1)
	}
	if a.key == nil {
		a.key = a.from.key
	}
	if a.transaction == "" {
		a.transaction = "T-1"
	}
	if a.nonce == nil {
		a.nonce = bytes.Repeat([]byte{7}, 16)
	}
	if a.remote == "" {
		a.remote = "192.0.2.1"
	}
	return a
}

var (
	oidMessageType   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus     = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNone = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
	oidFailInfoText  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 24, 1}
)

// message builds the request as a client does.
func (w *world) message(a ask) []byte {
	w.t.Helper()
	a = a.defaults()
	csr := must(x509util.CreateCertificateRequest(rand.Reader,
		&x509util.CertificateRequest{CertificateRequest: a.template, ChallengePassword: a.challenge}, a.key))(w.t)
	if a.csr != nil {
		csr = a.csr(csr)
	}
	return w.wrap(a, csr)
}

// wrap encrypts and signs any content.
func (w *world) wrap(a ask, content []byte) []byte {
	w.t.Helper()
	a = a.defaults()
	ra := theHouse().mail.RA.Certificate
	if a.profile == scep.DeviceIdentity {
		ra = theHouse().device.RA.Certificate
	}
	if a.to != nil {
		ra = a.to
	}
	envelope := must(cms.Encrypt(content, ra, cms.AES128CBC))(w.t)
	if a.envelope != nil {
		envelope = a.envelope(envelope)
	}
	attrs := []cms.Attribute{{Type: oidMessageType, Value: a.kind}, {Type: oidTransactionID, Value: a.transaction}, {Type: oidSenderNonce, Value: a.nonce}}
	if a.attributes != nil {
		attrs = a.attributes(attrs)
	}
	if a.signed.IsZero() {
		a.signed = w.clock()
	}
	return must(cms.Sign(envelope, cms.Signer{Certificate: a.from.cert, Key: a.from.key, Time: a.signed}, attrs...))(w.t)
}

// answer is what a client reads of a CertRep; err is what none answered.
type answer struct {
	status, failInfo, text string
	cert                   *x509.Certificate
	raw                    []byte
	err                    error
}

func (a answer) String() string {
	return fmt.Sprintf("status %q, failInfo %q, %q, %v", a.status, a.failInfo, a.text, a.err)
}

// refused tells whether a is a FAILURE with that failInfo and reason.
func (a answer) refused(failInfo string, reason error) bool {
	return a.err == nil && a.status == "2" && a.failInfo == failInfo && a.text == codeOf(reason) && a.cert == nil
}

func (w *world) send(a ask) answer {
	w.t.Helper()
	a = a.defaults()
	return w.deliver(a, w.message(a))
}

// deliver sends a finished message and verifies the reply as strictly as any
// client does.
func (w *world) deliver(a ask, message []byte) answer {
	w.t.Helper()
	a = a.defaults()
	raw, err := w.s.PKIOperation(context.Background(), a.profile, a.remote, message)
	if err != nil {
		return answer{err: err}
	}
	return w.readReply(a, raw)
}

func (w *world) readReply(a ask, raw []byte) answer {
	w.t.Helper()
	reply := must(cms.Verify(raw, cms.Accept{}))(w.t)
	got := answer{raw: raw}
	var kind, transaction string
	var sender, recipient []byte
	w.read(reply, oidMessageType, &kind)
	w.read(reply, oidTransactionID, &transaction)
	w.read(reply, oidSenderNonce, &sender)
	w.read(reply, oidRecipientNone, &recipient)
	w.read(reply, oidPKIStatus, &got.status)
	if kind != "3" || transaction != a.transaction || len(sender) != 16 || bytes.Equal(sender, a.nonce) || !bytes.Equal(recipient, a.nonce) {
		w.t.Errorf("reply has type %q, transaction %q, nonces %x and %x", kind, transaction, sender, recipient)
	}
	if got.status == "3" {
		if reply.Content == nil || len(reply.Content) > 0 {
			w.t.Error("a PENDING with content")
		}
		return got
	}
	if got.status == "2" {
		w.read(reply, oidFailInfo, &got.failInfo)
		w.read(reply, oidFailInfoText, &got.text)
		if reply.Content == nil || len(reply.Content) > 0 {
			w.t.Errorf("a FAILURE with the content %x, want an empty one", reply.Content)
		}
		return got
	}
	bag := must(cms.Decrypt(reply.Content, a.from.cert, a.from.key, cms.Policy{}))(w.t)
	inside := must(cms.Certificates(bag, 0))(w.t)
	if len(inside) != 1 {
		w.t.Fatalf("%d certificates in the reply, want 1", len(inside))
	}
	got.cert = inside[0]
	return got
}

func (w *world) read(s *cms.Signed, oid asn1.ObjectIdentifier, v any) {
	w.t.Helper()
	if err := s.Attribute(oid, v); err != nil {
		w.t.Errorf("reply: %v", err)
	}
}
