package scep_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
)

func (w *world) crl(issuer string) *x509.RevocationList {
	w.t.Helper()
	return must(x509.ParseRevocationList(must(w.s.CRL(w.t.Context(), issuer, ""))(w.t).DER))(w.t)
}

// A revocation is public before the call returns: OpenSSL refuses the
// certificate by the list that is served.
func TestRevoke(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	kept := w.enrolled(scep.MailSigning, 1).cert
	gone := w.enrolled(scep.MailSigning, 2).cert
	for _, c := range []*x509.Certificate{kept, gone} {
		judge.Run(t, nil, "openssl", w.verify(c)...)
	}
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(gone.Raw), "cessationOfOperation"); err != nil {
		t.Fatal(err)
	}
	judge.Run(t, nil, "openssl", w.verify(kept)...)
	if said := judge.Refuses(t, nil, "openssl", w.verify(gone)...); !contains(said, "certificate revoked") {
		t.Errorf("openssl refuses for another reason:\n%s", said)
	}
	list := must(w.s.CRL(t.Context(), "smime", ""))(t).DER
	text := judge.Run(t, list, "openssl", "crl", "-inform", "DER", "-noout", "-text", "-CAfile", pemFile(t, theHouse().mail.Issuer.Chain()...))
	if !contains(text, "Cessation Of Operation") {
		t.Errorf("openssl shows:\n%s", text)
	}
	if w.actions(journal.CertificateRevoked) != 1 {
		t.Error("it is not in the journal")
	}
}

// verify is a check of c and its CA against the CRLs that are served.
func (w *world) verify(c *x509.Certificate) []string {
	w.t.Helper()
	var lists []byte
	for _, issuer := range []string{"smime", "root"} {
		lists = append(lists, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: must(w.s.CRL(w.t.Context(), issuer, ""))(w.t).DER})...)
	}
	h := theHouse()
	return []string{"verify", "-x509_strict", "-purpose", "smimesign", "-crl_check_all", "-CRLfile", file(w.t, "crl.pem", lists),
		"-CAfile", pemFile(w.t, h.root.Certificate()), "-untrusted", pemFile(w.t, h.mail.Issuer.Certificate()), pemFile(w.t, c)}
}

func TestRevokeAgainOrWrongly(t *testing.T) {
	w := newWorld(t)
	c := w.enrolled(scep.MailSigning, 1).cert
	f := cert.FingerprintOf(c.Raw)
	by := worker
	if err := w.s.Revoke(t.Context(), by, cert.FingerprintOf([]byte("x")), ""); !errors.Is(err, scep.ErrCertificateUnknown) {
		t.Errorf("unknown: got %v", err)
	}
	if err := w.s.Revoke(t.Context(), by, f, "certificateHold"); !errors.Is(err, scep.ErrReason) {
		t.Errorf("hold: got %v", err)
	}
	for range 2 {
		if err := w.s.Revoke(t.Context(), by, f, "superseded"); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.crl("smime").RevokedCertificateEntries; len(got) != 1 || got[0].ReasonCode != 4 || w.actions(journal.CertificateRevoked) != 1 {
		t.Errorf("got %v", got)
	}
	at := w.clock()
	w.sleep(time.Hour)
	for _, reason := range []string{"keyCompromise", "superseded"} { // nothing is worse
		if err := w.s.Revoke(t.Context(), by, f, reason); err != nil {
			t.Fatal(err)
		}
		got := w.crl("smime").RevokedCertificateEntries
		if len(got) != 1 || got[0].ReasonCode != 1 || !got[0].RevocationTime.Equal(at) || w.actions(journal.CertificateRevoked) != 2 {
			t.Errorf("then %s: got %v", reason, got)
		}
		if r := w.asked(c, crypto.SHA256); r.RevocationReason != ocsp.KeyCompromise || !r.RevokedAt.Equal(at) {
			t.Errorf("then %s: the answer says %d at %v", reason, r.RevocationReason, r.RevokedAt)
		}
	}
}

// The number rises with each list; a list is made when something changed, and
// once a day.
func TestCRLRefresh(t *testing.T) {
	w := newWorld(t)
	if n, err := w.keeper.Refresh(t.Context()); n != 3 || err != nil {
		t.Fatalf("at first: %d lists, %v; want 3", n, err)
	}
	first := w.crl("smime")
	if got := w.crl("smime"); got.Number.Cmp(first.Number) != 0 {
		t.Error("a list was made without need")
	}
	c := w.enrolled(scep.MailSigning, 1).cert
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(c.Raw), ""); err != nil {
		t.Fatal(err)
	}
	second := w.crl("smime")
	if n, err := w.keeper.Refresh(t.Context()); n != 0 || err != nil {
		t.Errorf("after a revocation: %d lists, %v; want none", n, err)
	}
	w.sleep(24 * time.Hour)
	if n, err := w.keeper.Refresh(t.Context()); n != 3 || err != nil {
		t.Errorf("a day later: %d lists, %v; want 3", n, err)
	}
	third := w.crl("smime")
	if second.Number.Cmp(first.Number) <= 0 || third.Number.Cmp(second.Number) <= 0 {
		t.Errorf("numbers %v, %v, %v do not rise", first.Number, second.Number, third.Number)
	}
	if len(first.RevokedCertificateEntries) != 0 || len(third.RevokedCertificateEntries) != 1 || third.RevokedCertificateEntries[0].ReasonCode != 0 {
		t.Errorf("entries: %v, then %v", first.RevokedCertificateEntries, third.RevokedCertificateEntries)
	}
	if got := third.NextUpdate.Sub(third.ThisUpdate); got != 7*24*time.Hour {
		t.Errorf("the next list is due after %v", got)
	}
	if _, err := w.s.CRL(t.Context(), "other", ""); !errors.Is(err, scep.ErrIssuerUnknown) {
		t.Errorf("unknown issuer: got %v", err)
	}
}

// A process that dies between a revocation and its list leaves the list to the
// next who asks.
func TestRevokedButNotPublished(t *testing.T) {
	w := newWorld(t)
	c := w.enrolled(scep.MailSigning, 1).cert
	if got := w.crl("smime").RevokedCertificateEntries; len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	e := journal.Entry{At: w.clock(), Actor: worker, Action: journal.CertificateRevoked}
	if err := w.db.SCEP().CertificateRevoked(t.Context(), cert.FingerprintOf(c.Raw), "keyCompromise", e); err != nil {
		t.Fatal(err)
	}
	if got := w.crl("smime").RevokedCertificateEntries; len(got) != 1 || got[0].SerialNumber.Cmp(c.SerialNumber) != 0 {
		t.Errorf("got %v, want the revoked one", got)
	}
}

// What was reserved by a process that died is revoked, so that a signature
// that may exist is worth nothing.
func TestLeftReservationIsRevoked(t *testing.T) {
	dying := &failing{step: "before the certificate is stored"}
	w := newWorld(t, func(c *scep.Config) { dying.Store, c.Store = c.Store, dying })
	w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	w.crl("smime")
	w.sleep(24 * time.Hour)
	if _, err := w.keeper.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.crl("smime").RevokedCertificateEntries; len(got) != 1 || got[0].ReasonCode != 5 {
		t.Errorf("got %v, want the reserved serial number", got)
	}
}

// noList cannot publish.
type noList struct{ scep.Store }

func (noList) CRLPublished(context.Context, scep.CRL, int64) error { return errDied }

// An old list is better than none, while it lasts.
func TestOldCRLIsServedWhenNoNewOneCanBe(t *testing.T) {
	w := newWorld(t)
	old := w.crl("smime")
	w.config.Store = noList{w.config.Store}
	w.restart()
	w.sleep(25 * time.Hour)
	if got := w.crl("smime"); got.Number.Cmp(old.Number) != 0 {
		t.Error("got another list")
	}
	w.sleep(7 * 24 * time.Hour)
	if _, err := w.s.CRL(t.Context(), "smime", ""); !errors.Is(err, errDied) {
		t.Errorf("after its end: got %v, want the failure", err)
	}
	c := w.enrolled(scep.MailSigning, 1).cert
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(c.Raw), ""); !errors.Is(err, errDied) {
		t.Errorf("a revocation that is not public: got %v, want the failure", err)
	}
}
