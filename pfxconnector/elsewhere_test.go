package pfxconnector_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// there is the importer's machine: it knows the house's recipients.
type there struct {
	*house
	t  *testing.T
	to *escrow.Sealer
}

func elsewhere(t *testing.T) there {
	t.Helper()
	h := newHouse(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := escrow.ParseRecovery(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	to, err := keyring.Recipient(filepath.Join(filepath.Dir(h.path), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	config := h.Config
	config.Sealer = escrow.NewSealer(to, recovery)
	h.Service = pfxconnector.New(config)
	return there{h, t, escrow.NewSealer(to, recovery)}
}

// opened opens a file there, and gives what is told of it.
func (m there) opened(f pfxconnector.File) (*pfxconnector.Opened, pfxconnector.Offer) {
	m.t.Helper()
	o, err := pfxconnector.Open(m.t.Context(), f, pfx.Default)
	if err != nil {
		m.t.Fatal(err)
	}
	return o, pfxconnector.Offer{File: f.Name, Source: hex.EncodeToString(o.Source[:]), AllowWeak: f.AllowWeak, Identities: o.Offer()}
}

func (m there) judge(offers ...pfxconnector.Offer) (string, []pfxconnector.Judged) {
	m.t.Helper()
	ticket, files, err := m.Judge(m.t.Context(), by, offers)
	if err != nil {
		m.t.Fatal(err)
	}
	return ticket, files
}

// seal seals what is wanted of the first identity.
func (m there) seal(o *pfxconnector.Opened, j pfxconnector.Judged) pfxconnector.Offered {
	m.t.Helper()
	i := j.Identities[0]
	if i.Record == "" {
		m.t.Fatalf("not wanted: %+v", i)
	}
	id := o.Identities[0]
	id.PKCS8 = seal.NewSecret(slices.Clone(id.PKCS8.Reveal())) // to be sealed again
	sealed, err := pfxconnector.SealFor(m.to, id, i.Record, subject.UserID(i.For))
	if err != nil {
		m.t.Fatal(err)
	}
	return sealed
}

// copied gives one of its own.
func copied(t *testing.T, o pfxconnector.Offered) pfxconnector.Offered {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var c pfxconnector.Offered
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSealedElsewhere(t *testing.T) {
	m := elsewhere(t)
	alice := m.user(t, "alice@example.com")
	for name, f := range map[string]pfxconnector.File{
		"RSA": made(t, x509.Certificate{KeyUsage: ke}, sharedRSA), "EC": made(t, x509.Certificate{KeyUsage: ka}, sharedEC),
	} {
		o, offer := m.opened(f)
		ticket, files := m.judge(offer)
		offer.Identities = []pfxconnector.Offered{m.seal(o, files[0])}
		stored, err := m.Deposit(t.Context(), by, ticket, []pfxconnector.Offer{offer})
		if err != nil || stored[0].Identities[0].Status != pfxconnector.Imported {
			t.Fatalf("%s: got %+v, %v", name, stored, err)
		}
		if _, err := m.Deposit(t.Context(), by, ticket, []pfxconnector.Offer{offer}); err != nil {
			t.Errorf("%s: what he has already needs no ticket: %v", name, err)
		}
		i := stored[0].Identities[0]
		f, err := cert.ParseFingerprint(i.Cert)
		if err != nil {
			t.Fatal(err)
		}
		deposits, err := m.db.PFX().Deposits(t.Context(), alice.ID, []cert.Fingerprint{f})
		if err != nil || len(deposits) != 1 {
			t.Fatalf("%s: got %d, %v", name, len(deposits), err)
		}
		if d := deposits[0]; !cert.SameKey(m.public(t, d), o.Identities[0].Certificate.PublicKey) || d.Key.ID != files[0].Identities[0].Record || d.Key.Source != o.Source {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	for _, item := range m.list(t, alice) {
		if !item.Unchecked {
			t.Errorf("%s is said to be checked", item.Cert)
		}
	}
}

// A key that is nobody's is sealed for the place in quarantine that the judgement
// gave, and found again when it comes.
func TestSealedForQuarantine(t *testing.T) {
	m := elsewhere(t)
	o, offer := m.opened(made(t, x509.Certificate{KeyUsage: ka, EmailAddresses: []string{"dave@example.com"}}, sharedEC))
	ticket, files := m.judge(offer)
	whole := offer.Identities
	offer.Identities = []pfxconnector.Offered{m.seal(o, files[0])}
	stored, err := m.Deposit(t.Context(), by, ticket, []pfxconnector.Offer{offer})
	if err != nil || stored[0].Identities[0].Status != pfxconnector.Quarantined {
		t.Fatalf("got %+v, %v", stored, err)
	}
	waiting, err := m.Waiting(t.Context(), "", 9)
	if err != nil || len(waiting) != 1 || waiting[0].ID != files[0].Identities[0].For || waiting[0].ID != stored[0].Identities[0].Quarantine.ID {
		t.Fatalf("got %+v, %v; want %s", waiting, err, files[0].Identities[0].For)
	}
	d, there, err := m.db.PFX().QuarantinedDeposit(t.Context(), subject.UserID(waiting[0].ID))
	if err != nil || !there || !cert.SameKey(m.public(t, d), o.Identities[0].Certificate.PublicKey) {
		t.Errorf("got %v, %v", there, err)
	}
	offer.Identities = whole
	if again, files := m.judge(offer); again != "" || files[0].Identities[0].Record != "" {
		t.Errorf("again: got %q, %+v", again, files)
	}
	o, offer = m.opened(made(t, x509.Certificate{KeyUsage: ka, EmailAddresses: []string{"eve@example.com"}}, sharedEC))
	offer.NoQuarantine = true
	if _, files := m.judge(offer); files[0].Identities[0].Code == nil || *files[0].Identities[0].Code != "pfx_no_user_match" {
		t.Errorf("without quarantine: got %+v", files)
	}
	o.Wipe()
}

// Whatever is claimed that is not proved is refused, and what is right beside it
// is stored.
func TestForgedClaims(t *testing.T) {
	m := elsewhere(t)
	alice, bob := m.user(t, "alice@example.com"), m.user(t, "bob@example.com")
	stranger := elsewhere(t).to
	again := func(seal func(o *pfxconnector.Opened, j pfxconnector.JudgedIdentity, id pfx.Identity) (pfxconnector.Offered, error)) func(*pfxconnector.Opened, pfxconnector.Judged, *pfxconnector.Offered) {
		return func(o *pfxconnector.Opened, j pfxconnector.Judged, i *pfxconnector.Offered) {
			id := o.Identities[0]
			id.PKCS8 = seal2(id)
			sealed, err := seal(o, j.Identities[0], id)
			if err != nil {
				t.Fatal(err)
			}
			*i = sealed
		}
	}
	for name, c := range map[string]struct {
		change func(*pfxconnector.Opened, pfxconnector.Judged, *pfxconnector.Offered)
		code   string
	}{
		"no key":   {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) { i.Sealed = nil }, "pfx_sealed_malformed"},
		"no proof": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) { i.Sealed.Proof = nil }, "pfx_not_proven"},
		"another's proof": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Proof = slices.Clone(i.Sealed.Proof)
			i.Sealed.Proof[20] ^= 1
		}, "pfx_not_proven"},
		"another ciphertext": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Ciphertext[3] ^= 1
		}, "pfx_not_proven"},
		"another nonce": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) { i.Sealed.Nonce[3] ^= 1 }, "pfx_not_proven"},
		"another wrap": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Wraps[0].Sealed[3] ^= 1
		}, "pfx_not_proven"},
		"another recovery": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Wraps[1].Sealed[3] ^= 1
		}, "pfx_not_proven"},
		"another user": {again(func(_ *pfxconnector.Opened, j pfxconnector.JudgedIdentity, id pfx.Identity) (pfxconnector.Offered, error) {
			return pfxconnector.SealFor(m.to, id, j.Record, bob.ID)
		}), "pfx_not_proven"},
		"another record": {again(func(_ *pfxconnector.Opened, j pfxconnector.JudgedIdentity, id pfx.Identity) (pfxconnector.Offered, error) {
			return pfxconnector.SealFor(m.to, id, "0190163d-8694-739b-aea5-966c26f8ad91", alice.ID)
		}), "pfx_not_proven"},
		"another key": {again(func(_ *pfxconnector.Opened, j pfxconnector.JudgedIdentity, id pfx.Identity) (pfxconnector.Offered, error) {
			id.Key = sharedRSA
			return pfxconnector.SealFor(m.to, id, j.Record, alice.ID)
		}), "pfx_not_proven"},
		"another certificate": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			o, _ := m.opened(made(t, x509.Certificate{KeyUsage: ka}, sharedEC))
			i.Certificate = o.Identities[0].Certificate.Raw
		}, "pfx_not_proven"},
		"others than the recipients": {again(func(_ *pfxconnector.Opened, j pfxconnector.JudgedIdentity, id pfx.Identity) (pfxconnector.Offered, error) {
			return pfxconnector.SealFor(stranger, id, j.Record, alice.ID)
		}), "pfx_recipients_other"},
		"no recovery": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Wraps = i.Sealed.Wraps[:1]
		}, "pfx_recipients_other"},
		"one more": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Wraps = append(i.Sealed.Wraps, i.Sealed.Wraps[0])
		}, "pfx_recipients_other"},
		"no wraps": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) { i.Sealed.Wraps = nil }, "pfx_recipients_other"},
		"an empty wrap": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Wraps[0].Enc = nil
		}, "pfx_sealed_malformed"},
		"too much": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Sealed.Ciphertext = make([]byte, 40<<10)
		}, "pfx_sealed_malformed"},
		"another suite": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) { i.Sealed.Suite = 2 }, "pfx_sealed_malformed"},
		"no certificate": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Certificate = []byte("x")
		}, "pfx_certificate_unparseable"},
		"a huge certificate": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			i.Certificate = make([]byte, 70<<10)
		}, "pfx_certificate_too_large"},
		"a CA's": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			o, _ := m.opened(made(t, x509.Certificate{KeyUsage: ka, IsCA: true, BasicConstraintsValid: true}, sharedEC))
			i.Certificate = o.Identities[0].Certificate.Raw
		}, "pfx_ca_certificate"},
		"for signing": {func(_ *pfxconnector.Opened, _ pfxconnector.Judged, i *pfxconnector.Offered) {
			o, _ := m.opened(made(t, x509.Certificate{KeyUsage: ds}, sharedEC))
			i.Certificate = o.Identities[0].Certificate.Raw
		}, "pfx_not_encryption"},
	} {
		o, offer := m.opened(made(t, x509.Certificate{KeyUsage: ka}, sharedEC))
		good, goodOffer := m.opened(made(t, x509.Certificate{KeyUsage: ka}, sharedEC))
		ticket, files := m.judge(offer, goodOffer)
		forged := copied(t, m.seal(o, files[0]))
		c.change(o, files[0], &forged)
		offer.Identities = []pfxconnector.Offered{forged}
		goodOffer.Identities = []pfxconnector.Offered{m.seal(good, files[1])}
		stored, err := m.Deposit(t.Context(), by, ticket, []pfxconnector.Offer{offer, goodOffer})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i := stored[0].Identities[0]; i.Code == nil || *i.Code != c.code {
			t.Errorf("%s: got %+v, want %s", name, i.IdentityReport, c.code)
		}
		if i := stored[1].Identities[0]; i.Status != pfxconnector.Imported {
			t.Errorf("%s: the good one beside it is %s", name, i.Status)
		}
	}
	if n := len(m.list(t, bob)); n != 0 {
		t.Errorf("bob has %d", n)
	}
}

func seal2(id pfx.Identity) seal.Secret { return seal.NewSecret(slices.Clone(id.PKCS8.Reveal())) }

// A ticket is good once, for its caller, for a while, and what was sealed under
// it cannot be brought back after it was removed.
func TestReplay(t *testing.T) {
	m := elsewhere(t)
	alice := m.user(t, "alice@example.com")
	o, offer := m.opened(made(t, x509.Certificate{KeyUsage: ka}, sharedEC))
	ticket, files := m.judge(offer)
	other, _ := m.judge(offer)
	offer.Identities = []pfxconnector.Offered{m.seal(o, files[0])}
	offers := []pfxconnector.Offer{offer}
	for name, c := range map[string]struct {
		by     journal.Actor
		ticket string
	}{"somebody else": {journal.Actor{Kind: journal.Admin, ID: "x"}, ticket}, "none": {by, ""}, "made up": {by, "0190163d-8694-739b-aea5-966c26f8ad91"}} {
		stored, err := m.Deposit(t.Context(), c.by, c.ticket, offers)
		if !errors.Is(err, pfxconnector.ErrTicket) && (err != nil || *stored[0].Identities[0].Code != "pfx_not_proven") {
			t.Errorf("%s: got %+v, %v", name, stored, err)
		}
	}
	if stored, err := m.Deposit(t.Context(), by, other, offers); err != nil || stored[0].Identities[0].Code == nil || *stored[0].Identities[0].Code != "pfx_not_proven" {
		t.Errorf("under another ticket: got %+v, %v", stored, err)
	}
	if stored, err := m.Deposit(t.Context(), by, ticket, offers); err != nil || stored[0].Identities[0].Status != pfxconnector.Imported {
		t.Fatalf("got %+v, %v", stored, err)
	}
	f, err := cert.ParseFingerprint(m.list(t, alice)[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(t.Context(), by, alice, f); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Deposit(t.Context(), by, ticket, offers); !errors.Is(err, pfxconnector.ErrTicket) {
		t.Errorf("after it was removed: got %v, want ErrTicket", err)
	}
	if n := len(m.list(t, alice)); n != 0 {
		t.Errorf("it came back: %d", n)
	}
	if n, err := m.Tidy(t.Context()); err != nil || n != 0 {
		t.Errorf("tidying: %d, %v", n, err)
	}
	config := m.Config
	config.Now = func() time.Time { return at.Add(pfxconnector.TicketLife) }
	if n, err := pfxconnector.New(config).Tidy(t.Context()); err != nil || n != 1 {
		t.Errorf("tidying later: %d, %v; want the other ticket", n, err)
	}
}

// What the two ways say of a file is the same.
func TestBothWaysSayTheSame(t *testing.T) {
	for _, name := range []string{"openssl-default.p12", "java-four.p12", "openssl-chain.p12"} {
		m := elsewhere(t)
		m.user(t, "alice@example.com")
		f := sample(t, name)
		want, err := json.Marshal(m.take(t, with(f, func(f *pfxconnector.File) { f.DryRun = true })))
		if err != nil {
			t.Fatal(err)
		}
		o, offer := m.opened(f)
		offer.DryRun = true
		ticket, files := m.judge(offer)
		var items []pfxconnector.IdentityReport
		for _, i := range files[0].Identities {
			items = append(items, i.IdentityReport)
		}
		got, err := json.Marshal(o.Report(items))
		if err != nil || string(got) != string(want) || ticket != "" {
			t.Errorf("%s: got\n%s, %v, ticket %q; want\n%s", name, got, err, ticket, want)
		}
	}
}

// A key that cannot sign is not sealed elsewhere.
func TestCannotProve(t *testing.T) {
	m := elsewhere(t)
	o, _ := m.opened(sample(t, "openssl-key-X25519.p12"))
	_, err := pfxconnector.SealFor(m.to, o.Identities[0], "id", "user")
	if bad := fault.Of(err); bad == nil || bad.Code != "pfx_key_cannot_prove" {
		t.Errorf("got %v", err)
	}
}
