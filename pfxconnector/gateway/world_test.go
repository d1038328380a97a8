package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
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
	"github.com/signet-mdm/signet/pfxconnector/gateway"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/testdata"
)

var (
	at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	by = journal.Actor{Kind: journal.Admin, ID: "token-1"}

	deviceKey, _ = rsa.GenerateKey(rand.Reader, 2048)
	shortKey, _  = rsa.GenerateKey(rand.Reader, 1024)
	mailKey, _   = rsa.GenerateKey(rand.Reader, 2048)
	mailCA       = newCA("Mail", nil)
	curveKey, _  = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	deviceCA     = newCA("Devices of another MDM", nil)
	strangeCA    = newCA("Devices of nobody", nil)
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
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(9, 0, 0)}
	ca := &authority{key: key}
	if above == nil {
		above = &authority{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, above.Certificate, key.Public(), above.key)
	if err != nil {
		panic(err)
	}
	ca.Certificate, err = x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return ca
}

// device gives a certificate as another MDM issues it, changed as a test wants.
func (a *authority) device(t testing.TB, change ...func(*x509.Certificate)) [][]byte {
	return a.certify(t, deviceKey.Public(), change...)
}

func (a *authority) certify(t testing.TB, pub crypto.PublicKey, change ...func(*x509.Certificate)) [][]byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "iPhone"}, EmailAddresses: []string{testdata.Owner},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0)}
	for _, f := range change {
		f(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.Certificate, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{der}
}

func named(mail ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.EmailAddresses = mail }
}

// crl is a list of that number that revokes a serial.
func (a *authority) crl(t testing.TB, number int64, next time.Time, serials ...int64) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: at.Add(-time.Hour), NextUpdate: next}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: at.Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.Certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// part is a list that revokes nothing and says by that extension that it is not
// the whole one.
func (a *authority) part(t testing.TB, number int64, next time.Time, oid asn1.ObjectIdentifier) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: at.Add(-time.Hour), NextUpdate: next,
		ExtraExtensions: []pkix.Extension{{Id: oid, Critical: true, Value: []byte{2, 1, 4}}}}, a.Certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// signer is the keeper's key, made with the first approval.
type signer struct{ key crypto.Signer }

func (s *signer) Key(create bool) (crypto.Signer, error) {
	if s.key == nil && !create {
		return nil, keyring.ErrKeyUnknown
	}
	if s.key == nil {
		s.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return s.key, nil
}

// SignProfile signs as a server does.
func (s *signer) SignProfile(encoded []byte) ([]byte, error) {
	return profile.Sign(encoded, cms.Signer{Certificate: deviceCA.Certificate, Key: deviceCA.key, Time: at})
}

// told notes what people are told, or fails.
type told struct {
	keys []int
	fail bool
}

func (w *told) Handed(_ context.Context, _ subject.UserID, _ subject.DeviceID, _ string, n int, _ time.Time) error {
	if w.fail {
		return errors.New("no mail")
	}
	w.keys = append(w.keys, n)
	return nil
}

// world is an installation with two users and their histories.
type world struct {
	t          testing.TB
	db         *store.DB
	path       string
	alice, bob subject.User
	now        time.Time
	consents   *access.Consents
	signer     *signer
	told       *told
	config     gateway.KeeperConfig
	keeper     *gateway.Keeper
	service    *gateway.Service
	people     []access.Caller // who approve
	admin      access.Caller
	secret     seal.Secret // of what was registered last
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, path: filepath.Join(dir, "signet.db"), now: at, signer: &signer{}, told: &told{}}
	sqlitetest.Put(t, w.path)
	var err error
	if w.db, err = store.OpenSQLite(t.Context(), w.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	ring, err := keyring.Create(filepath.Join(dir, "keys"), filepath.Join(dir, "unlock"))
	w.must(err)
	people := directory.New(w.db.Directory(), w.clock)
	w.alice, err = people.Add(t.Context(), by, subject.User{Mail: testdata.Owner})
	w.must(err)
	w.bob, err = people.Add(t.Context(), by, subject.User{Mail: "bob@example.com"})
	w.must(err)
	recipient, err := ring.Recipient()
	w.must(err)
	sealer := escrow.NewSealer(recipient)
	for i, mail := range []string{testdata.Owner, testdata.Owner, "alice@old.example.com"} {
		w.hold(sealer, w.alice, int64(i+1), mail)
	}
	w.hold(sealer, w.bob, 9, w.bob.Mail)
	box, err := seal.NewBox(ring.ColumnRoot(), "approval")
	w.must(err)
	tokens := access.New(w.db.Access(), w.clock)
	w.consents = tokens.Consents(box, 2)
	w.admin = w.person(tokens, "admin")
	w.people = []access.Caller{w.person(tokens, "approver"), w.person(tokens, "approver")}
	gate := gateway.NewGate(w.db.Gateway(), people, w.signer, w.clock)
	open := opener.New(opener.Config{Issuers: func() []*x509.Certificate { return nil }, Identities: w.db.Certificates(), Deposits: w.db.PFX(),
		Journal: w.db.Journal(), Keys: ring, Signer: w.signer, Gate: gate, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	w.config = gateway.KeeperConfig{Ledger: w.db.Gateway(), Records: w.db.PFX(), Opener: open, Consents: agreed{w.consents}, Teller: w.told,
		Identifier: "com.example", Log: slog.New(slog.DiscardHandler), Now: w.clock}
	w.keeper = gateway.NewKeeper(gate, w.config)
	w.service = gateway.New(gateway.Config{Store: w.db.Gateway(), Records: w.db.PFX(), Users: people, Keeper: w.keeper,
		Log: slog.New(slog.DiscardHandler), Now: w.clock})
	return w
}

// hold puts a key and its certificate into escrow.
func (w *world) hold(sealer *escrow.Sealer, u subject.User, serial int64, mail string) {
	w.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: mail}, EmailAddresses: []string{mail},
		KeyUsage: x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		NotBefore: at.AddDate(0, -int(serial), 0), NotAfter: at.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, mailCA.Certificate, mailKey.Public(), mailCA.key)
	w.must(err)
	c, err := x509.ParseCertificate(der)
	w.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(mailKey)
	w.must(err)
	sealed, err := sealer.Seal(escrow.Key{User: u.ID, Certificate: c, PKCS8: pkcs8})
	w.must(err)
	r := cert.Record{Fingerprint: sealed.Cert, SPKI: sealed.SPKI, Holder: cert.Holder{User: u.ID}, Source: cert.Imported, Use: cert.Encryption,
		Addresses: []string{mail}, NotBefore: c.NotBefore, NotAfter: c.NotAfter, DER: der, Chain: [][]byte{mailCA.Raw}, CreatedAt: at}
	_, err = w.db.PFX().KeysImported(w.t.Context(), []pfxconnector.Arrival{{Deposit: escrow.Deposit{Certificate: r, Key: sealed},
		Entry: journal.Entry{At: at, Actor: by, Action: journal.KeyImported}}})
	w.must(err)
}

type agreed struct{ *access.Consents }

func (a agreed) Agreed(ctx context.Context, kind, id string) (string, seal.Hash, bool, error) {
	c, err := a.Consents.Agreed(ctx, kind, id)
	if errors.Is(err, access.ErrConsentOver) {
		return "", seal.Hash{}, false, nil
	}
	return c.Request, c.Digest(), err == nil, err
}

func (w *world) clock() time.Time { return w.now }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// person makes a user with a token of a role.
func (w *world) person(tokens *access.Service, role string) access.Caller {
	w.t.Helper()
	u, err := directory.New(w.db.Directory(), w.clock).Add(w.t.Context(), by, subject.User{Mail: string(subject.NewUserID()) + "@example.com"})
	w.must(err)
	var secret seal.Secret
	if role == string(access.Approver) { // he makes his own
		w.must(w.consents.Appoint(w.t.Context(), access.Local(), string(u.ID), u.Mail, ""))
		err = w.consents.Link(w.t.Context(), access.Local(), string(u.ID), u.Mail, func(ctx context.Context, link seal.Secret, _ time.Time) (err error) {
			_, secret, err = w.consents.TakeCredential(ctx, link.RevealString(), "")
			return err
		})
	} else {
		_, secret, err = tokens.CreateTokenOf(w.t.Context(), by, string(u.ID), role, role, 24*time.Hour)
	}
	w.must(err)
	c, err := tokens.Token(w.t.Context(), secret.RevealString(), "")
	w.must(err)
	return c
}

func terms() gateway.Terms {
	return gateway.Terms{Name: "other", CAs: [][]byte{deviceCA.Raw}, Naming: gateway.ByMail, Forms: []gateway.Form{gateway.Profile, gateway.PKCS12},
		PerHour: 100, Expires: at.AddDate(1, 0, 0)}
}

// register has terms registered, and asks people about them.
func (w *world) register(t gateway.Terms) gateway.Connector {
	w.t.Helper()
	c, secret, err := w.service.Register(w.t.Context(), by, t, func(ctx context.Context, request, sentence string) (string, error) {
		asked, err := w.consents.Ask(ctx, w.admin, access.Ask{Kind: gateway.ConsentKind, Request: request, Sentence: sentence})
		return asked.ID, err
	})
	w.must(err)
	w.secret = secret
	return c
}

// approve has so many people agree, and the keeper look.
func (w *world) approve(c gateway.Connector, people int) int {
	w.t.Helper()
	for _, p := range w.people[:people] {
		w.must(w.consents.Approve(w.t.Context(), p, c.Consent))
	}
	n, err := w.keeper.Seal(w.t.Context())
	w.must(err)
	return n
}

// served registers terms that everybody agrees to.
func (w *world) served(t gateway.Terms) gateway.Connector {
	w.t.Helper()
	c := w.register(t)
	if n := w.approve(c, 2); n != 1 {
		w.t.Fatalf("%d were sealed", n)
	}
	return c
}

func (w *world) deliver(c gateway.Connector, chain [][]byte, change ...func(*gateway.Ask)) (gateway.Delivery, error) {
	a := gateway.Ask{Connector: c.ID, Chain: chain, User: testdata.Owner, Form: gateway.Profile, IOS: 18, Remote: "192.0.2.1"}
	for _, f := range change {
		f(&a)
	}
	return w.service.Deliver(w.t.Context(), a)
}

// opened counts the openings in the journal.
func (w *world) count(a journal.Action) (n int) {
	w.t.Helper()
	all, err := w.db.Journal().Latest(w.t.Context(), 10_000)
	w.must(err)
	for _, e := range all {
		if e.Action == a {
			n++
		}
	}
	return n
}

// upn is a SubjectAltName with a user principal name.
func upn(t testing.TB, name string) pkix.Extension {
	t.Helper()
	text, err := asn1.MarshalWithParams(name, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal([]any{struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: text}}})
	if err != nil {
		t.Fatal(err)
	}
	value[2] = 0xa0 // the otherName is tagged implicitly
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

func uri(t testing.TB, user subject.UserID) *url.URL {
	t.Helper()
	u, err := url.Parse("urn:uuid:" + string(user))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func fingerprints(list []gateway.Listed) (out []cert.Fingerprint) {
	for _, l := range list {
		if l.Withheld == "" {
			out = append(out, l.Record.Fingerprint)
		}
	}
	return out
}
