package opener_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	_ "modernc.org/sqlite" // whoever can write the database

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
)

// council is the world with people who agree to exports of Alice's keys.
type council struct {
	*world
	t        *testing.T
	consents *access.Consents
	identity *age.X25519Identity
	now      time.Time
	who      map[string]access.Caller
	told     []string
	mute     bool // users cannot be told
	broken   bool // nothing can be kept
	spied    []opener.Agreement
}

func newCouncil(t *testing.T) *council {
	t.Helper()
	c := &council{world: newWorld(t), t: t, now: at, who: map[string]access.Caller{}}
	box, err := seal.NewBox(c.ring.ColumnRoot(), "approval")
	if err != nil {
		t.Fatal(err)
	}
	tokens := access.New(c.db.Access(), func() time.Time { return c.now })
	c.consents = tokens.Consents(box, 2)
	c.appoint("bob", c.bob)
	for _, name := range []string{"carol", "dave"} {
		u := subject.User{ID: subject.NewUserID(), UPN: name, Mail: name + "@example.org", Name: name, CreatedAt: at}
		if err := c.db.Directory().UserSaved(t.Context(), u, journal.Entry{At: at, Action: journal.UserAdded}); err != nil {
			t.Fatal(err)
		}
		if name == "carol" {
			c.appoint(name, u)
			continue
		}
		token, _, err := tokens.CreateTokenOf(t.Context(), journal.Actor{Kind: journal.Local}, string(u.ID), name, string(access.Admin), 72*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c.who[name] = access.Caller{Actor: journal.Actor{Kind: journal.Admin, ID: token.ID}, Role: access.Admin, User: string(u.ID)}
	}
	if c.identity, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	return c
}

// appoint makes somebody an approver, with a token of his own.
func (c *council) appoint(name string, u subject.User) {
	c.t.Helper()
	err := c.consents.Appoint(c.t.Context(), access.Local(), string(u.ID), u.Mail, "")
	if err == nil {
		err = c.consents.Link(c.t.Context(), access.Local(), string(u.ID), u.Mail, func(ctx context.Context, link seal.Secret, _ time.Time) error {
			token, _, err := c.consents.TakeCredential(ctx, link.RevealString(), "")
			c.who[name] = access.Caller{Actor: journal.Actor{Kind: journal.Admin, ID: token.ID}, Role: access.Approver, User: string(u.ID)}
			return err
		})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// ask asks for keys to a recipient.
func (c *council) ask(recipient string, f recovery.Format, user subject.UserID, keys ...cert.Fingerprint) access.Consent {
	c.t.Helper()
	r, err := recovery.New(user, keys, recipient, f, "left the company")
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := r.Text()
	if err != nil {
		c.t.Fatal(err)
	}
	of, err := c.consents.Ask(c.t.Context(), c.who["dave"], access.Ask{Kind: recovery.Kind, Request: text, Sentence: "Export."})
	if err != nil {
		c.t.Fatal(err)
	}
	return of
}

func (c *council) approve(of access.Consent, names ...string) {
	c.t.Helper()
	for _, name := range names {
		if err := c.consents.Approve(c.t.Context(), c.who[name], of.ID); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Agreed implements [opener.Consents] as the server does.
func (c *council) Agreed(ctx context.Context) (list []opener.Agreement, err error) {
	if c.spied != nil {
		return c.spied, nil
	}
	open, err := c.consents.Consents(ctx, access.ConsentQuery{State: access.ConsentOpen, Limit: 10})
	for _, o := range open {
		if of, err := c.consents.Agreed(ctx, recovery.Kind, o.ID); err == nil {
			list = append(list, opener.Agreement{ID: of.ID, Request: of.Request, Digest: of.Digest(), Requester: subject.UserID(of.Person),
				Approvers: []subject.UserID{c.bob.ID, "carol"}})
		}
	}
	return list, err
}

func (c *council) Used(ctx context.Context, id string, digest seal.Hash, e journal.Entry, more ...journal.Entry) error {
	e.At = c.now
	return c.db.Access().ConsentUsed(ctx, id, digest, e, more...)
}

func (c *council) Exported(_ context.Context, user subject.UserID, _ opener.Agreement, reason string, _ int) error {
	if c.mute {
		return errors.New("no mail")
	}
	c.told = append(c.told, string(user)+" "+reason)
	return nil
}

func (c *council) ExportSealed(ctx context.Context, id string, file []byte, until time.Time, e journal.Entry) error {
	if c.broken {
		return errors.New("disk full")
	}
	return c.db.Recovery().ExportSealed(ctx, id, file, until, e)
}

func (c *council) exporter() *opener.Exporter {
	return opener.NewExporter(opener.New(c.config), c, c, c)
}

func (c *council) take(of access.Consent) ([]byte, error) {
	return c.db.Recovery().ExportTaken(c.t.Context(), of.ID, journal.Entry{At: c.now, Action: journal.ExportTaken})
}

// exported makes the exports that may be made, which must be one, and gives it.
func (c *council) exported(of access.Consent) []byte {
	c.t.Helper()
	if n, err := c.exporter().Step(c.t.Context()); n != 1 || err != nil {
		c.t.Fatalf("got %d, %v", n, err)
	}
	file, err := c.take(of)
	if err != nil {
		c.t.Fatal(err)
	}
	return file
}

func (c *council) open(file []byte) []byte {
	c.t.Helper()
	r, err := age.Decrypt(bytes.NewReader(file), c.identity)
	if err != nil {
		c.t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return plain
}

func TestExportToAge(t *testing.T) {
	c := newCouncil(t)
	of := c.ask(c.identity.Recipient().String(), recovery.PEM, c.alice.ID, c.aliceNew, c.aliceOld)
	c.approve(of, "bob", "carol")
	plain := c.open(c.exported(of))
	if keys := bytes.Count(plain, []byte("BEGIN PRIVATE KEY")); keys != 2 {
		t.Errorf("got %d keys, want 2", keys)
	}
	for _, entry := range c.entries(t, journal.KeyOpened) {
		if entry.User != c.alice.ID || entry.Detail["why"] != "recovery" || entry.Detail["approval"] != of.ID || entry.Detail["approvers"] == "" {
			t.Errorf("entry: got %+v", entry)
		}
	}
	if n := len(c.entries(t, journal.KeyOpened)); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	if len(c.told) != 1 || c.told[0] != string(c.alice.ID)+" left the company" {
		t.Errorf("told %q", c.told)
	}
	if n, err := c.exporter().Step(t.Context()); n != 0 || err != nil {
		t.Errorf("once more: got %d, %v", n, err)
	}
}

// What other programs make of it.
func TestExportIsReadByOthers(t *testing.T) {
	c := newCouncil(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	legal, err := mailCA.sign(&x509.Certificate{SerialNumber: big.NewInt(77), NotBefore: at, NotAfter: at.AddDate(1, 0, 0)}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	certFile := write("legal.pem", cert.PEM(legal))
	keyFile := write("legal.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	of := c.ask(string(cert.PEM(legal)), recovery.PKCS12, c.alice.ID, c.aliceOld)
	c.approve(of, "bob", "carol")
	sealed := write("sealed", c.exported(of))
	zip := write("keys.zip", judge.Run(t, nil, "openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed, "-recip", certFile, "-inkey", keyFile))
	password := write("password.txt", judge.Run(t, nil, "unzip", "-p", zip, "password.txt"))
	p12 := judge.Run(t, nil, "unzip", "-p", zip, c.aliceOld.String()+".p12")
	crt := judge.Run(t, p12, "openssl", "pkcs12", "-in", "/dev/stdin", "-passin", "file:"+password, "-nokeys", "-clcerts")
	if got := cert.FingerprintOf(judge.Run(t, crt, "openssl", "x509", "-outform", "DER")); got != c.aliceOld {
		t.Errorf("the certificate is %s, want %s", got, c.aliceOld)
	}
	ofKey := judge.Run(t, judge.Run(t, p12, "openssl", "pkcs12", "-in", "/dev/stdin", "-passin", "file:"+password, "-nocerts", "-noenc"), "openssl", "pkey", "-pubout")
	if ofCert := judge.Run(t, crt, "openssl", "x509", "-pubkey", "-noout"); !bytes.Equal(ofKey, ofCert) {
		t.Error("the key is not the certificate's")
	}
}

// Nothing is opened unless all is well, and what can be tried again is.
func TestNoExport(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *council, of access.Consent)
		want   error // of the step; nil: it sees nothing to do
	}{
		"one approver":               {func(c *council, of access.Consent) { c.approve(of, "bob") }, nil},
		"expired":                    {func(c *council, of access.Consent) { c.approve(of, "bob", "carol"); c.now = c.now.Add(25 * time.Hour) }, nil},
		"the user cannot be told":    {func(c *council, of access.Consent) { c.approve(of, "bob", "carol"); c.mute = true }, opener.ErrNotTold},
		"the journal cannot be read": {func(c *council, of access.Consent) { c.approve(of, "bob", "carol"); c.config.Journal = blind{c.diary} }, opener.ErrJournal},
		"the limit is reached":       {func(c *council, of access.Consent) { c.approve(of, "bob", "carol"); c.config.Limits.PerDevice = 1 }, opener.ErrLimit},
		"a request in the database": {func(c *council, of access.Consent) {
			c.approve(of, "bob", "carol")
			c.sql(`UPDATE consent SET request = REPLACE(request, 'left', 'lent')`)
		}, nil},
		"a recipient in the database": {func(c *council, of access.Consent) {
			c.approve(of, "bob", "carol")
			c.sql(`UPDATE consent SET request = REPLACE(request, '` + c.identity.Recipient().String() + `', 'age1x')`)
		}, nil},
		"an approval in the database": {func(c *council, of access.Consent) {
			c.approve(of, "bob")
			c.sql(`INSERT INTO consent_approval SELECT consent_id, '` + c.who["carol"].Actor.ID + `', '` + c.who["carol"].User + `', at, mark FROM consent_approval`)
		}, nil},
		"lost between looking and using": {func(c *council, of access.Consent) {
			c.approve(of, "bob", "carol")
			list, err := c.Agreed(c.t.Context())
			if err != nil || len(list) != 1 {
				c.t.Fatal(list, err)
			}
			c.spied = list
			if err := c.consents.RevokeToken(c.t.Context(), journal.Actor{Kind: journal.Local}, c.who["bob"].Actor.ID); err != nil {
				c.t.Fatal(err)
			}
		}, access.ErrConsentOver},
		"what it is not the digest of": {func(c *council, of access.Consent) {
			c.approve(of, "bob", "carol")
			list, _ := c.Agreed(c.t.Context())
			list[0].Digest[0]++
			c.spied = list
		}, access.ErrConsentOver},
		"no request": {func(c *council, of access.Consent) {
			c.approve(of, "bob", "carol")
			list, _ := c.Agreed(c.t.Context())
			list[0].Request += " "
			c.spied = list
		}, recovery.ErrRequest},
	} {
		w := newCouncil(t)
		of := w.ask(w.identity.Recipient().String(), recovery.PEM, w.alice.ID, w.aliceNew, w.aliceOld)
		c.change(w, of)
		n, err := w.exporter().Step(t.Context())
		if n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: got %d, %v, want %v", name, n, err, c.want)
		}
		if w.keys.asked != 0 {
			t.Errorf("%s: %d keys were opened", name, w.keys.asked)
		}
		if _, err := w.take(of); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("%s: taken: got %v", name, err)
		}
	}
}

// blind is a journal that cannot be read.
type blind struct{ opener.Journal }

func (blind) Opened(context.Context, subject.DeviceID, time.Time) (int, int, error) {
	return 0, 0, errors.New("disk full")
}

// sql writes the database behind our back.
func (c *council) sql(query string) {
	c.t.Helper()
	raw, err := sql.Open("sqlite", filepath.Join(c.dir, "signet.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(query); err != nil {
		c.t.Fatal(err)
	}
}

// Another's key does not come along, whoever agreed to it under this name.
func TestExportOfAnothersKey(t *testing.T) {
	c := newCouncil(t)
	of := c.ask(c.identity.Recipient().String(), recovery.PEM, c.alice.ID, c.aliceNew, c.his)
	c.approve(of, "bob", "carol")
	x := c.exporter()
	for range 3 {
		if n, err := x.Step(t.Context()); n != 0 || !errors.Is(err, opener.ErrNotOwner) || c.keys.asked != 0 {
			t.Errorf("got %d, %v, %d keys opened", n, err, c.keys.asked)
		}
	}
	if n := len(c.entries(t, journal.KeyAlarm)); n != 1 {
		t.Errorf("%d alarms in the journal, want one however often it is tried", n)
	}
}

// What an Intune tenant gets within the hour leaves exports alone.
func TestExportBesideTenant(t *testing.T) {
	c := newCouncil(t)
	c.config.Limits.PerDevice = 2
	for range 2 {
		e := journal.Entry{At: c.now, Actor: journal.Worker("opener"), Action: journal.KeyOpened, User: c.alice.ID, Detail: map[string]string{"why": "tenant"}}
		if err := c.db.Journal().Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	of := c.ask(c.identity.Recipient().String(), recovery.PEM, c.alice.ID, c.aliceNew)
	c.approve(of, "bob", "carol")
	c.exported(of)
}

// One consent opens the keys once, however many processes find it.
func TestExportersRace(t *testing.T) {
	c := newCouncil(t)
	of := c.ask(c.identity.Recipient().String(), recovery.PEM, c.alice.ID, c.aliceNew)
	c.approve(of, "bob", "carol")
	list, err := c.Agreed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.spied = list
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		x := opener.NewExporter(opener.New(c.config), c, c, quietly{})
		wg.Go(func() {
			n, err := x.Step(t.Context())
			if n == 0 && !errors.Is(err, access.ErrConsentOver) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			made += n
		})
	}
	wg.Wait()
	if made != 1 || len(c.entries(t, journal.KeyOpened)) != 1 {
		t.Errorf("made %d times, %d openings in the journal", made, len(c.entries(t, journal.KeyOpened)))
	}
}

type quietly struct{}

func (quietly) Exported(context.Context, subject.UserID, opener.Agreement, string, int) error {
	return nil
}

// A consent is used up also when what was sealed cannot be kept: it is asked for
// again, and no opening goes unseen.
func TestExportThatCannotBeKept(t *testing.T) {
	c := newCouncil(t)
	of := c.ask(c.identity.Recipient().String(), recovery.PEM, c.alice.ID, c.aliceNew)
	c.approve(of, "bob", "carol")
	c.broken = true
	if n, err := c.exporter().Step(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "storing") {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := c.exporter().Step(t.Context()); n != 0 || err != nil || len(c.entries(t, journal.KeyOpened)) != 1 {
		t.Errorf("again: got %d, %v", n, err)
	}
}
