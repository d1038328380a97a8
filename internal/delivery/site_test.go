package delivery_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/scep"
)

const policy = `
kind: Policy
name: everybody
assign: {all: true}
signing: {source: scep}
encryption: {source: imported}
mail:
  apple: {account: exchange, host: mail.example.com, sign: true, encrypt: {value: true, user_change: true}, ldap: {host: ldap.example.com, base: o=x}}
  outlook: {smime: true}
`

const (
	prefix = "org.example.mdm"
	topic  = "com.apple.mgmt.External.x"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// identity is the device's key and certificate, the same in all tests: making
// an RSA key takes longer than anything else here.
var identity = sync.OnceValues(func() (*rsa.PrivateKey, *x509.Certificate) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"}, NotAfter: start.AddDate(9, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return key, c
})

// site is a server with a real database, and one device of one user.
type site struct {
	t       *testing.T
	db      *store.DB
	path    string
	now     time.Time
	box     *seal.Box
	mdm     store.MDM
	policy  *appconfig.Service
	people  *directory.Service
	service *delivery.Service
	sealer  *delivery.Sealer
	keeper  *keeper
	user    subject.User
	device  subject.DeviceID
	phone   *phone
	kills   *kills
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, path: filepath.Join(t.TempDir(), "signet.db"), now: start, kills: &kills{}}
	sqlitetest.Put(t, s.path)
	db, err := store.OpenSQLite(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	if err != nil {
		t.Fatal(err)
	}
	s.box = box
	clock := func() time.Time { return s.now }
	s.db, s.mdm, s.people = db, db.MDM(box), directory.New(db.Directory(), clock)
	s.policy = appconfig.New(db.AppConfig(), s.people, clock)
	s.keeper = &keeper{site: s, challenges: map[string]scep.Ticket{}}
	log := slog.New(slog.DiscardHandler)
	_, root := identity()
	service := mdm.New(mdm.Config{Store: s.mdm, BaseURL: "https://mdm.example.org", Identifier: prefix, Topic: fixed(topic), Now: clock})
	enrollment := func(d subject.Device, topic string) profile.Profile { return service.RenewalProfile(d, topic, root) }
	s.service = delivery.New(delivery.Config{Store: mortal{db.Delivery().Telling(db.Mail(box)), s.kills}, Tells: true, Policies: db.AppConfig(), Identifier: prefix,
		Organization: "Example", Roots: func() []*x509.Certificate { return []*x509.Certificate{root} }, Enrollment: enrollment, Log: log, Now: clock})
	s.sealer = delivery.NewSealer(delivery.SealerConfig{Parcels: mortal{db.Delivery(), s.kills}, Opener: s.keeper, Challenger: s.keeper,
		Renewer: s.keeper, Signer: s.keeper, Log: log, Now: clock})
	s.apply(policy)
	if s.user, err = s.people.Add(t.Context(), journal.Worker("test"), subject.User{Mail: "alice@example.com", Name: "Alice"}); err != nil {
		t.Fatal(err)
	}
	s.enroll()
	return s
}

// mails gives what was queued for the user, oldest first, a line each.
func (s *site) mails() (list []string) {
	s.t.Helper()
	due, err := s.db.Mail(s.box).MailsLeased(s.t.Context(), s.now, s.now.Add(time.Second), 99)
	s.must(err)
	for _, m := range due {
		list = append(list, fmt.Sprintf("%s %s history %d signs %v again %v", m.Topic, m.Facts.Device, m.Facts.History, m.Facts.Signs, m.Facts.Again))
	}
	return list
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) entry(a journal.Action) journal.Entry {
	return journal.Entry{At: s.now, Actor: journal.Worker("test"), Action: a, User: s.user.ID, Device: s.device, Due: subject.OfDevice(s.device)}
}

func (s *site) apply(file string) {
	s.t.Helper()
	_, err := s.policy.Apply(s.t.Context(), journal.Worker("test"), []byte(file), false)
	s.must(err)
}

func (s *site) enroll() {
	s.t.Helper()
	s.device, s.phone = subject.NewDeviceID(), newPhone(s)
	s.must(s.mdm.Invited(s.t.Context(), mdm.Invitation{Token: seal.Random().Hash(), User: s.user,
		Device: subject.Device{ID: s.device, User: s.user.ID}, CreatedAt: s.now, ExpiresAt: s.now.Add(time.Hour)}, s.entry(journal.DeviceInvited)))
	_, c := identity()
	s.must(s.mdm.Authenticated(s.t.Context(), mdm.Binding{Device: s.device, UDID: string(s.device), Identity: cert.FingerprintOf(c.Raw), Topic: topic,
		Told: mdm.Information{OSVersion: "18.2", Name: "Alice's iPhone"}, At: s.now}, s.entry(journal.DeviceUpdated)))
	s.must(s.mdm.TokensUpdated(s.t.Context(), mdm.Tokens{Device: s.device, Topic: topic, Token: seal.Random(), PushMagic: seal.Random(), At: s.now},
		s.entry(journal.DeviceEnrolled)))
}

// imports puts an encryption identity of those years into escrow.
func (s *site) imports(name string, from, to int) cert.Fingerprint {
	s.t.Helper()
	return s.deposit(name, cert.Both, from, to)
}

// importsFor does the same for one that is valid now and for one purpose.
func (s *site) importsFor(name string, use cert.Use) cert.Fingerprint {
	s.t.Helper()
	return s.deposit(name, use, 2024, 2030)
}

func (s *site) deposit(name string, use cert.Use, from, to int) cert.Fingerprint {
	s.t.Helper()
	f := cert.FingerprintOf([]byte(name))
	_, err := s.db.PFX().KeysImported(s.t.Context(), []pfxconnector.Arrival{{Deposit: escrow.Deposit{
		Certificate: cert.Record{
			Fingerprint: f, SPKI: cert.FingerprintOf([]byte("spki " + name)), Holder: cert.Holder{User: s.user.ID}, Source: cert.Imported,
			Use: use, Addresses: []string{s.user.Mail}, NotBefore: time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC),
			NotAfter: time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC), DER: []byte(name), CreatedAt: s.now,
		},
		Key: escrow.Record{ID: string(subject.NewUserID()), Binding: escrow.Binding{User: s.user.ID, Cert: f, SPKI: cert.FingerprintOf([]byte("spki " + name))},
			Suite: escrow.AES256GCM, Nonce: []byte{1}, Ciphertext: []byte{2}, CreatedAt: s.now, CreatedBy: "test"},
	}, Entry: journal.Entry{At: s.now, Actor: journal.Worker("test"), Action: journal.KeyImported, Due: subject.OfUser(s.user.ID)}}})
	s.must(err)
	return f
}

// work lets the server work once, and tells whether there was something to do.
// Only being killed is forgiven.
func (s *site) work() bool {
	s.t.Helper()
	total := 0
	for _, step := range []func(context.Context) (int, error){s.service.Tick, s.service.Reconcile, s.sealer.Seal} {
		n, err := step(s.t.Context())
		if err != nil && !errors.Is(err, errKilled) && !errors.Is(err, errAway) {
			s.t.Fatal(err)
		}
		total += n
		s.now = s.now.Add(time.Millisecond)
	}
	return total > 0
}

// rest lets everything work until nothing has happened for hours.
func (s *site) rest() {
	s.t.Helper()
	idle := 0
	for range 2000 {
		if s.work() || s.phone.poll() {
			idle = 0
			continue
		}
		if idle++; idle > 12 {
			return
		}
		s.now = s.now.Add(15 * time.Minute)
	}
	s.t.Fatalf("it does not come to rest\n%s", strings.Join(s.phone.log[max(0, len(s.phone.log)-40):], "\n"))
}

// facts is what the server knows.
func (s *site) facts() plan.Facts {
	s.t.Helper()
	list, err := s.db.Delivery().Facts(s.t.Context(), []subject.DeviceID{s.device})
	s.must(err)
	return list[0]
}

// has checks which profiles are on the phone.
func (s *site) has(want ...string) {
	s.t.Helper()
	for i := range want {
		want[i] = prefix + want[i]
	}
	slices.Sort(want)
	if got := s.phone.installed(); !slices.Equal(got, want) {
		s.t.Fatalf("on the phone: %s\nwant: %s\n%s", strings.Join(got, " "), strings.Join(want, " "), strings.Join(s.phone.log, "\n"))
	}
}

// done checks that the server knows that everything is there, and keeps no
// bytes.
func (s *site) done() {
	s.t.Helper()
	p, err := s.service.Device(s.t.Context(), s.device)
	s.must(err)
	if !p.Done() || p.Hint != "" {
		s.t.Fatalf("progress: %+v", p)
	}
	for _, q := range s.facts().Parcels {
		if q.Sealed || q.WantsSeal {
			s.t.Fatalf("%s has bytes still", q.Identifier)
		}
	}
}

// errKilled is what a process that is killed would leave: no answer.
var errKilled = errors.New("killed")

// kills kills at chosen calls of the store, before or after what they do.
type kills struct {
	calls int
	at    func(call int) (before, after bool) // nil: never
}

func (k *kills) around(do func() error) error {
	k.calls++
	var before, after bool
	if k.at != nil {
		before, after = k.at(k.calls)
	}
	if before {
		return errKilled
	}
	err := do()
	if err == nil && after {
		return errKilled
	}
	return err
}

// mortal is a store whose caller gets killed.
type mortal struct {
	store.Delivery
	k *kills
}

func (m mortal) DevicesLeased(ctx context.Context, now, until time.Time, limit int) (list []delivery.Lease, err error) {
	err = m.k.around(func() (err error) { list, err = m.Delivery.DevicesLeased(ctx, now, until, limit); return err })
	return list, err
}

func (m mortal) Planned(ctx context.Context, d delivery.Decision, e journal.Entry) error {
	return m.k.around(func() error { return m.Delivery.Planned(ctx, d, e) })
}

func (m mortal) ParcelsLeased(ctx context.Context, now, until time.Time, limit int) (list []delivery.Unsealed, err error) {
	err = m.k.around(func() (err error) { list, err = m.Delivery.ParcelsLeased(ctx, now, until, limit); return err })
	return list, err
}

func (m mortal) ParcelSealed(ctx context.Context, p delivery.SealedParcel, e journal.Entry) (ok bool, err error) {
	err = m.k.around(func() (err error) { ok, err = m.Delivery.ParcelSealed(ctx, p, e); return err })
	return ok, err
}

func (m mortal) ParcelFailed(ctx context.Context, f delivery.FailedParcel, e journal.Entry) (ok bool, err error) {
	err = m.k.around(func() (err error) { ok, err = m.Delivery.ParcelFailed(ctx, f, e); return err })
	return ok, err
}

// password is in every identity that the keeper packs; challengeMark begins
// every challenge. Neither may ever be stored.
const (
	password      = "CANARYPASSWORD"
	challengeMark = "CANARYCHALLENGE"
)

// keeper has the keys: a stand-in for the opener, which has tests of its own.
// What it packs is not PKCS #12, but what it seals is sealed.
type keeper struct {
	site       *site
	fails      error
	away       error // why no key can be opened now
	vanish     bool  // they go away when one is to be opened
	sealed     int
	majors     []int
	challenges map[string]scep.Ticket // by secret
}

var errAway = errors.New("the keys are away")

func (k *keeper) Seal(_ context.Context, device subject.DeviceID, frame profile.Profile, iosMajor int) ([]byte, error) {
	if k.vanish {
		k.vanish, k.away, k.fails = false, errAway, errAway
	}
	if k.fails != nil {
		return nil, k.fails
	}
	if device != k.site.device {
		return nil, fmt.Errorf("another device")
	}
	k.sealed++
	k.majors = append(k.majors, iosMajor)
	for _, p := range frame.PKCS12s() {
		p.Content, p.Password = []byte("p12 "+p.Fingerprint.String()), seal.SecretString(password)
	}
	_, c := identity()
	return frame.Seal(c)
}

func (k *keeper) Ready(context.Context) error { return k.away }

func (k *keeper) SignProfile(encoded []byte) ([]byte, error) { return encoded, nil }

func (k *keeper) SigningNames(context.Context, string, subject.User, subject.Device) ([][][]string, []string, []string, error) {
	return nil, nil, nil, nil
}

func (k *keeper) SigningChallenge(ctx context.Context, _ string, u subject.User, d subject.Device) (string, seal.Secret, error) {
	return k.challenge(ctx, scep.MailSigning, u, d)
}

func (k *keeper) IdentityChallenge(ctx context.Context, u subject.User, d subject.Device) (string, seal.Secret, error) {
	return k.challenge(ctx, scep.DeviceIdentity, u, d)
}

func (k *keeper) challenge(ctx context.Context, kind string, u subject.User, d subject.Device) (string, seal.Secret, error) {
	secret := seal.SecretString(fmt.Sprint(challengeMark, len(k.challenges)))
	t := scep.Ticket{Grant: scep.Grant{Profile: kind, Holder: cert.Holder{User: u.ID, Device: d.ID}}, Hash: secret.Hash(),
		Created: k.site.now, Expires: k.site.now.Add(25 * time.Hour)}
	k.challenges[secret.RevealString()] = t
	return "https://mdm.example.org/scep/" + kind, secret, k.site.db.SCEP().ChallengeMade(ctx, t, journal.Entry{At: k.site.now, Action: journal.ChallengeIssued})
}

// fixed gives a topic as if there were a push certificate.
func fixed(topic string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return topic, nil }
}
