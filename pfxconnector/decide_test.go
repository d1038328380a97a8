package pfxconnector_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// held imports a certificate and gives its fingerprint.
func (h *house) held(t *testing.T, c x509.Certificate, key crypto.Signer) cert.Fingerprint {
	t.Helper()
	f := made(t, c, key)
	f.AllowSigning = true
	r := h.take(t, f)
	if r.Status != pfxconnector.Imported {
		t.Fatalf("got %+v", r)
	}
	print, err := cert.ParseFingerprint(r.Identities[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	return print
}

// at gives how a certificate is listed.
func (h *house) at(t *testing.T, u subject.User, f cert.Fingerprint) pfxconnector.Item {
	t.Helper()
	for _, i := range h.list(t, u) {
		if i.Cert == f.String() {
			return i
		}
	}
	t.Fatalf("%s is not listed", f)
	return pfxconnector.Item{}
}

func TestRepurpose(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.user(t, "alice@example.com"), h.user(t, "bob@example.com")
	both := h.held(t, x509.Certificate{KeyUsage: ds | ke}, sharedRSA)
	signs := h.held(t, x509.Certificate{KeyUsage: ds}, sharedEC)
	for _, c := range []struct {
		name string
		user subject.User
		of   cert.Fingerprint
		said pfxconnector.Decision
		want cert.Use
		err  *fault.Error
	}{
		{"encryption", alice, both, pfxconnector.Decision{Purpose: cert.Encryption}, cert.Encryption, nil},
		{"the same again", alice, both, pfxconnector.Decision{Purpose: cert.Encryption}, cert.Encryption, nil},
		{"signing only", alice, both, pfxconnector.Decision{Purpose: cert.Signing}, cert.Encryption, pfxconnector.ErrNotEncryption},
		{"signing only, and that is meant", alice, both, pfxconnector.Decision{Purpose: cert.Signing, AllowSigning: true}, cert.Signing, nil},
		{"what the certificate says", alice, both, pfxconnector.Decision{}, cert.Both, nil},
		{"a device identity", alice, both, pfxconnector.Decision{Purpose: cert.Identity}, cert.Both, pfxconnector.ErrPurpose},
		{"a signing key stays one", alice, signs, pfxconnector.Decision{}, cert.Signing, nil},
		{"more than it says", alice, signs, pfxconnector.Decision{Purpose: cert.Both}, cert.Both, nil},
		{"and back takes a word", alice, signs, pfxconnector.Decision{}, cert.Both, pfxconnector.ErrNotEncryption},
		{"another's", bob, both, pfxconnector.Decision{Purpose: cert.Encryption}, cert.Unknown, pfxconnector.ErrKeyUnknown},
	} {
		got, err := h.Repurpose(t.Context(), by, c.user, c.of, c.said)
		if f := fault.Of(err); got != c.want || (f == nil) != (c.err == nil) || f != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: got %s, %v; want %s, %v", c.name, got, err, c.want, c.err)
		}
	}
	if i := h.at(t, alice, both); i.Purpose != "both" || i.Says != "both" {
		t.Errorf("got %+v", i)
	}
	if i := h.at(t, alice, signs); i.Purpose != "both" || i.Says != "signing" {
		t.Errorf("got %+v", i)
	}
	lines, err := h.db.Journal().Lines(t.Context(), journal.Query{User: alice.ID, Limit: 1})
	if err != nil || lines[0].Action != journal.KeyPurpose || lines[0].Detail["from"] != "signing" || lines[0].Detail["to"] != "both" || lines[0].Cert != signs {
		t.Errorf("journal: %+v, %v", lines, err)
	}
}

func TestPin(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, "alice@example.com", "old@example.com")
	newest := h.held(t, x509.Certificate{NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(1, 0, 0)}, sharedRSA)
	old := h.held(t, x509.Certificate{EmailAddresses: []string{"old@example.com"}}, sharedRSA)
	past := h.held(t, x509.Certificate{NotBefore: at.AddDate(-3, 0, 0), NotAfter: at.AddDate(-1, 0, 0)}, sharedRSA)
	signs := h.held(t, x509.Certificate{KeyUsage: ds}, sharedRSA)
	places := func(name string, current, other cert.Fingerprint) {
		t.Helper()
		c, o := h.at(t, alice, current), h.at(t, alice, other)
		if c.Place != cert.Current || o.Place != cert.Past || c.Reason == "" || o.Reason == "" {
			t.Errorf("%s: got %s because %q, and %s because %q", name, c.Place, c.Reason, o.Place, o.Reason)
		}
	}
	places("by the rules", newest, old)
	for range 2 { // again changes nothing
		if err := h.Pin(t.Context(), by, alice, old); err != nil {
			t.Fatal(err)
		}
	}
	places("pinned", old, newest)
	if i := h.at(t, alice, old); !i.Pinned || i.Reason != "An administrator chose it." {
		t.Errorf("got %+v", i)
	}
	for name, f := range map[string]cert.Fingerprint{"expired": past, "for signing": signs} {
		if err := h.Pin(t.Context(), by, alice, f); !errors.Is(err, pfxconnector.ErrPin) {
			t.Errorf("%s: got %v, want ErrPin", name, err)
		}
	}
	if err := h.Pin(t.Context(), by, alice, cert.Fingerprint{1}); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
		t.Errorf("got %v, want ErrKeyUnknown", err)
	}
	places("after the refusals", old, newest)
	if err := h.Pin(t.Context(), by, alice, newest); err != nil || h.at(t, alice, old).Pinned {
		t.Errorf("the other is pinned still, %v", err)
	}
	if err := errors.Join(h.Pin(t.Context(), by, alice, old), h.Unpin(t.Context(), by, alice)); err != nil {
		t.Fatal(err)
	}
	places("unpinned", newest, old)
	lines, err := h.db.Journal().Lines(t.Context(), journal.Query{User: alice.ID, Limit: 2})
	if err != nil || lines[0].Action != journal.KeyUnpinned || lines[1].Action != journal.KeyPinned {
		t.Errorf("journal: %+v, %v", lines, err)
	}
}
