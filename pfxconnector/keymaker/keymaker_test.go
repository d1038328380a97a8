package keymaker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/keymaker"
)

// world is a store, a CA and a directory of few users.
type world struct {
	*keymaker.Maker
	t       *testing.T
	clock   time.Time
	users   map[string]subject.User
	records []cert.Record
	last    map[subject.UserID]cert.Fingerprint
	stored  []keymaker.Made
	entries []journal.Entry
	names   string // what certificates name; empty: the user's address
	percent int
	down    error // of the store
	serials int64
}

var admin = journal.Actor{Kind: journal.Admin, ID: "t-1"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), percent: 20, last: map[subject.UserID]cert.Fingerprint{},
		users: map[string]subject.User{
			"u-1": {ID: "u-1", Mail: "alice@example.com"}, "u-2": {ID: "u-2", Mail: "bob@example.com", Disabled: true},
			"u-3": {ID: "u-3", Mail: "carol@example.com"},
		}}
	private, err := escrow.Classic().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	to, err := escrow.NewRecipient(private.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	w.Maker = keymaker.New(keymaker.Config{Store: w, Users: w, Certifier: w, Sealer: escrow.NewSealer(to),
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.clock }})
	return w
}

func (w *world) User(_ context.Context, id string) (subject.User, error) {
	u, known := w.users[id]
	if !known {
		return u, errors.New("no such user")
	}
	return u, nil
}

func (w *world) Imported(_ context.Context, id subject.UserID) (list []cert.Record, err error) {
	for _, r := range w.records {
		if r.Holder.User == id {
			list = append(list, r)
		}
	}
	return list, nil
}

func (w *world) LastMade(_ context.Context, id subject.UserID) (cert.Fingerprint, error) {
	return w.last[id], nil
}

// KeyMade refuses what the real one refuses.
func (w *world) KeyMade(_ context.Context, m keymaker.Made, e journal.Entry) error {
	switch {
	case w.down != nil:
		return w.down
	case w.last[m.Key.User] != m.Follows:
		return keymaker.ErrRaced
	case m.Key.Cert != m.Certificate.Fingerprint, len(m.Key.Ciphertext) == 0, len(m.Key.Wraps) == 0, m.Issuer == "":
		w.t.Errorf("what is stored is not whole: %+v", m)
	}
	w.last[m.Key.User] = m.Key.Cert
	w.records, w.stored, w.entries = append(w.records, m.Certificate), append(w.stored, m), append(w.entries, e)
	return nil
}

func (w *world) MadeEnding(_ context.Context, now time.Time, percent int) (list []keymaker.Ending, err error) {
	for _, r := range w.records {
		window := r.NotAfter.Sub(r.NotBefore) / 100 * time.Duration(percent)
		if w.last[r.Holder.User] == r.Fingerprint && !now.Before(r.NotAfter.Add(-window)) && !now.After(r.NotAfter) {
			list = append(list, keymaker.Ending{Cert: r.Fingerprint, User: r.Holder.User, NotBefore: r.NotBefore, NotAfter: r.NotAfter})
		}
	}
	return list, nil
}

func (w *world) EncryptionRenewal(context.Context) (int, error) { return w.percent, nil }

func (w *world) MakeEncryption(_ context.Context, u subject.User, _ cert.Fingerprint) (string, cert.Record, seal.Secret, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	w.serials++
	c := &x509.Certificate{SerialNumber: big.NewInt(w.serials), NotBefore: w.clock, NotAfter: w.clock.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageKeyAgreement, EmailAddresses: []string{u.Mail}}
	if w.names != "" {
		c.EmailAddresses = []string{w.names}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		w.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	r := cert.RecordOf(c, w.clock)
	r.Holder, r.Source, r.Use, r.Profile = cert.Holder{User: u.ID}, cert.Issued, cert.Encryption, "smime-encryption"
	return "smime", r, seal.NewSecret(pkcs8), nil
}

func (w *world) issue(id string) error { return w.Issue(w.t.Context(), admin, id) }

func (w *world) renew(want int) {
	w.t.Helper()
	if n, err := w.Renew(w.t.Context()); err != nil || n != want {
		w.t.Errorf("Renew: got %d, %v; want %d", n, err, want)
	}
}

func TestIssueOnce(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		if err := w.issue("u-1"); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.stored) != 1 {
		t.Fatalf("got %d keys, want 1", len(w.stored))
	}
	m, e := w.stored[0], w.entries[0]
	if m.Key.User != "u-1" || m.Key.CreatedBy != "admin:t-1" || !m.Follows.IsZero() || m.Issuer != "smime" {
		t.Errorf("stored: got %+v", m)
	}
	if e.Action != journal.KeyMade || e.Actor != admin || e.User != "u-1" || e.Cert != m.Key.Cert || !slices.Equal(e.Due.Users, []subject.UserID{"u-1"}) {
		t.Errorf("journal: got %+v", e)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	if err := w.issue("u-2"); !errors.Is(err, keymaker.ErrUser) {
		t.Errorf("disabled: got %v, want ErrUser", err)
	}
	w.names = "somebody@example.com"
	if err := w.issue("u-1"); !errors.Is(err, keymaker.ErrUnusable) {
		t.Errorf("names another: got %v, want ErrUnusable", err)
	}
	w.names, w.down = "", errors.New("the database is away")
	if err := w.issue("u-1"); !errors.Is(err, w.down) {
		t.Errorf("the store is down: got %v", err)
	}
	if len(w.records) != 0 {
		t.Errorf("it left %d certificates", len(w.records))
	}
	w.down = nil
	if err := w.issue("u-1"); err != nil || len(w.records) != 1 {
		t.Errorf("again: got %v and %d certificates, want 1", err, len(w.records))
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"u-1", "u-3"} {
		if err := w.issue(id); err != nil {
			t.Fatal(err)
		}
	}
	first := w.last["u-1"]
	w.renew(0)
	w.clock = w.clock.AddDate(0, 0, 291)
	w.renew(0)
	u := w.users["u-3"]
	u.Disabled = true
	w.users["u-3"] = u
	w.clock = w.clock.AddDate(0, 0, 40) // in the second half of the window
	w.renew(1)
	w.renew(0)
	if m := w.stored[len(w.stored)-1]; m.Follows != first || m.Key.User != "u-1" || m.Key.CreatedBy != "system:encryption" {
		t.Errorf("stored: got %+v", m)
	}
	records, _ := w.Imported(t.Context(), "u-1")
	choice := cert.Choose(records, "alice@example.com", w.clock)
	if choice.Current == nil || choice.Current.Fingerprint != w.last["u-1"] || choice.Place(first) != cert.Past {
		t.Errorf("the new one is not current, or the old one no history: %+v", choice.Reasons)
	}
}

// Who was given another certificate meanwhile needs none of ours.
func TestRenewNotCurrent(t *testing.T) {
	w := newWorld(t)
	if err := w.issue("u-1"); err != nil {
		t.Fatal(err)
	}
	w.clock = w.clock.AddDate(0, 0, 340)
	_, other, _, err := w.MakeEncryption(t.Context(), w.users["u-1"], cert.Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	other.Source = cert.Imported
	w.records = append(w.records, other)
	w.renew(0)
	w.percent = 0
	w.records = w.records[:1]
	w.renew(0)
	w.percent = 20
	w.renew(1)
}

// Those that were made together are not renewed together.
func TestRenewSpread(t *testing.T) {
	w := newWorld(t)
	const users = 24
	for n := range users {
		id := subject.UserID("v-" + string(rune('a'+n)))
		w.users[string(id)] = subject.User{ID: id, Mail: string(id) + "@example.com"}
		if err := w.issue(string(id)); err != nil {
			t.Fatal(err)
		}
	}
	w.clock = w.clock.AddDate(0, 0, 292+18) // half of the time in which turns come
	before, err := w.Renew(t.Context())
	if err != nil || before == 0 || before == users {
		t.Errorf("got %d of %d, %v; want some", before, users, err)
	}
	w.clock = w.clock.AddDate(0, 0, 20)
	after := before
	for n := 1; n > 0; after += n {
		if n, err = w.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after != users {
		t.Errorf("got %d, want all %d", after, users)
	}
}
