package scep_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// question asks about a certificate as RFC 5019 clients do.
func question(t testing.TB, c, issuer *x509.Certificate, hash crypto.Hash) []byte {
	t.Helper()
	return must(ocsp.CreateRequest(c, issuer, &ocsp.RequestOptions{Hash: hash}))(t)
}

func (w *world) asked(c *x509.Certificate, hash crypto.Hash) *ocsp.Response {
	w.t.Helper()
	issuer := theHouse().mail.Issuer.Certificate()
	a := must(w.s.OCSP(w.t.Context(), "smime", question(w.t, c, issuer, hash)))(w.t)
	r := must(ocsp.ParseResponseForCert(a.DER, c, issuer))(w.t)
	if !r.ThisUpdate.Equal(a.ThisUpdate.Truncate(time.Minute)) || r.NextUpdate.Sub(r.ThisUpdate) != ca.OCSPLife || a.NextUpdate.After(r.NextUpdate.Add(time.Minute)) {
		w.t.Errorf("it says %v to %v, the reply %v to %v", r.ThisUpdate, r.NextUpdate, a.ThisUpdate, a.NextUpdate)
	}
	return r
}

// An answer is signed once, again when half of its life is over, and at once
// when the certificate is revoked.
func TestOCSP(t *testing.T) {
	w := newWorld(t)
	kept, gone := w.enrolled(scep.MailSigning, 1).cert, w.enrolled(scep.MailSigning, 2).cert
	if len(kept.OCSPServer) != 1 || kept.OCSPServer[0] != "http://mdm.example.com/ocsp/smime" {
		t.Errorf("the certificate names the responders %v", kept.OCSPServer)
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		first := w.asked(gone, hash)
		if first.Status != ocsp.Good || first.IssuerHash != hash || !bytes.Equal(first.Raw, w.asked(gone, hash).Raw) {
			t.Errorf("%v: got status %d, hash %v, or another answer the second time", hash, first.Status, first.IssuerHash)
		}
	}
	before := w.asked(kept, crypto.SHA1)
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(gone.Raw), "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	stored := must(w.db.SCEP().Answer(t.Context(), "smime", scep.Question{Serial: cert.SerialOf(gone.SerialNumber), Hash: crypto.SHA256}))(t)
	if r := must(ocsp.ParseResponse(stored.DER, nil))(t); r.Status != ocsp.Revoked || stored.Outdated {
		t.Errorf("when the revocation was answered, the stored answer said %d", r.Status)
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		if r := w.asked(gone, hash); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.KeyCompromise || !r.RevokedAt.Equal(w.clock()) {
			t.Errorf("%v: got status %d, reason %d, at %v", hash, r.Status, r.RevocationReason, r.RevokedAt)
		}
	}
	w.sleep(ca.OCSPLife/2 - time.Minute)
	if !bytes.Equal(w.asked(kept, crypto.SHA1).Raw, before.Raw) {
		t.Error("signed anew before half of its life was over")
	}
	w.sleep(time.Minute)
	if got := w.asked(kept, crypto.SHA1); bytes.Equal(got.Raw, before.Raw) || got.Status != ocsp.Good {
		t.Error("not signed anew when half of its life was over")
	}
}

// Nothing that we did not issue is ever good.
func TestOCSPSaysNothingOfStrangers(t *testing.T) {
	w := newWorld(t)
	mail, device := theHouse().mail.Issuer.Certificate(), theHouse().device.Issuer.Certificate()
	c := w.enrolled(scep.MailSigning, 1).cert
	unknown := *c
	unknown.SerialNumber = newClient(1).cert.SerialNumber
	two := question(t, c, mail, crypto.SHA1)
	for name, x := range map[string]struct {
		request []byte
		want    []byte
	}{
		"never issued":      {question(t, &unknown, mail, crypto.SHA1), ocsp.UnauthorizedErrorResponse},
		"another issuer":    {question(t, c, device, crypto.SHA1), ocsp.UnauthorizedErrorResponse},
		"another hash":      {question(t, c, mail, crypto.SHA512), ocsp.UnauthorizedErrorResponse},
		"our RA":            {question(t, theHouse().mail.RA.Certificate, mail, crypto.SHA1), ocsp.UnauthorizedErrorResponse},
		"nothing":           {nil, ocsp.MalformedRequestErrorResponse},
		"something else":    {[]byte("x"), ocsp.MalformedRequestErrorResponse},
		"and more behind":   {append(bytes.Clone(two), 0), ocsp.MalformedRequestErrorResponse},
		"cut off":           {two[:len(two)-1], ocsp.MalformedRequestErrorResponse},
		"base64 that fails": {scep.DecodeOCSP("%"), ocsp.MalformedRequestErrorResponse},
	} {
		a, err := w.s.OCSP(t.Context(), "smime", x.request)
		if err != nil || !bytes.Equal(a.DER, x.want) || !a.ThisUpdate.IsZero() {
			t.Errorf("%s: got %x, %v", name, a.DER, err)
		}
	}
	if _, err := w.s.OCSP(t.Context(), "other", two); !errors.Is(err, scep.ErrIssuerUnknown) {
		t.Errorf("got %v, want ErrIssuerUnknown", err)
	}
	w.sleep(c.NotAfter.Sub(w.clock()) + time.Second)
	if a := must(w.s.OCSP(t.Context(), "smime", two))(t); !bytes.Equal(a.DER, ocsp.UnauthorizedErrorResponse) {
		t.Errorf("expired: got %x", a.DER)
	}
}

// An OCSP signer is replaced long before it ends, and its end is known.
func TestOCSPSigner(t *testing.T) {
	w := newWorld(t)
	c := w.enrolled(scep.MailSigning, 1).cert
	first := w.asked(c, crypto.SHA1).Certificate
	end := w.keeper.SignerEnds()
	if len(end) != 1 || !end["smime"].Equal(first.NotAfter) {
		t.Errorf("got ends %v, want %v", end, first.NotAfter)
	}
	w.sleep(24 * time.Hour)
	if got := w.asked(c, crypto.SHA1).Certificate; !got.Equal(first) {
		t.Error("another signer after a day")
	}
	w.sleep(45 * 24 * time.Hour)
	if _, err := w.keeper.Refresh(t.Context()); err != nil || len(w.keeper.SignerEnds()) != 0 {
		t.Errorf("an old signer is kept though nobody asks: %v", err)
	}
	got := w.asked(c, crypto.SHA1).Certificate
	if got.Equal(first) || got.NotAfter.Sub(w.clock()) < ca.OCSPLife {
		t.Errorf("after half of its life: good until %v", got.NotAfter)
	}
	if len(got.ExtKeyUsage) != 1 || got.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning || got.KeyUsage != x509.KeyUsageDigitalSignature || len(got.OCSPServer) != 0 {
		t.Errorf("usages %v %v, responders %v", got.ExtKeyUsage, got.KeyUsage, got.OCSPServer)
	}
}

// away is a keeper that cannot be reached.
type away struct{ scep.Keeper }

func (away) Publish(context.Context, string) error { return errDied }

// While the keeper is away an old answer is better than none, as long as it is
// good and true.
func TestOCSPWithoutKeeper(t *testing.T) {
	w := newWorld(t)
	kept, gone, never := w.enrolled(scep.MailSigning, 1).cert, w.enrolled(scep.MailSigning, 2).cert, w.enrolled(scep.MailSigning, 3).cert
	w.asked(kept, crypto.SHA1)
	w.asked(gone, crypto.SHA1)
	c := w.config
	c.Keeper = away{w.keeper}
	w.s = must(scep.New(c))(t)
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(gone.Raw), "superseded"); !errors.Is(err, errDied) {
		t.Errorf("a revocation that is not public: got %v, want the failure", err)
	}
	mail := theHouse().mail.Issuer.Certificate()
	later := func(c *x509.Certificate) bool {
		a := must(w.s.OCSP(t.Context(), "smime", question(t, c, mail, crypto.SHA1)))(t)
		return bytes.Equal(a.DER, ocsp.TryLaterErrorResponse)
	}
	for _, age := range []time.Duration{0, ca.OCSPLife / 2, ca.OCSPLife/2 - time.Minute} {
		w.sleep(age)
		for range 2 {
			if w.asked(kept, crypto.SHA1).Status != ocsp.Good || !later(gone) || !later(never) {
				t.Errorf("after another %v: wrong", age)
			}
		}
	}
	if w.sleep(time.Minute); !later(kept) {
		t.Error("an answer that is over is served")
	}
}

// OpenSSL verifies answers with its default options.
func TestOpenSSLReadsOCSP(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	kept, gone := w.enrolled(scep.MailSigning, 1).cert, w.enrolled(scep.MailSigning, 2).cert
	identity := w.enrolled(scep.DeviceIdentity, 3).cert
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(gone.Raw), "superseded"); err != nil {
		t.Fatal(err)
	}
	h := theHouse()
	for name, x := range map[string]struct {
		issuer *ca.Issuer
		cert   *x509.Certificate
		want   []string
	}{
		"good":     {h.mail.Issuer, kept, []string{": good"}},
		"revoked":  {h.mail.Issuer, gone, []string{": revoked", "Reason: superseded"}},
		"RSA CA":   {h.device.Issuer, identity, []string{": good"}},
		"stranger": {h.mail.Issuer, h.mail.RA.Certificate, []string{"unauthorized"}},
	} {
		for _, hash := range []string{"-sha1", "-sha256"} {
			issuer := pemFile(t, x.issuer.Certificate())
			at := t.TempDir() + "/request.der"
			judge.Run(t, nil, "openssl", "ocsp", hash, "-issuer", issuer, "-cert", pemFile(t, x.cert), "-reqout", at)
			request := must(os.ReadFile(at))(t)
			a := must(w.s.OCSP(t.Context(), x.issuer.Name(), request))(t)
			args := []string{"ocsp", "-respin", file(t, "answer.der", a.DER), hash, "-issuer", issuer, "-cert", pemFile(t, x.cert),
				"-CAfile", pemFile(t, h.root.Certificate())}
			if name == "stranger" {
				if said := judge.Refuses(t, nil, "openssl", args...); !contains(said, x.want[0]) {
					t.Errorf("openssl says:\n%s", said)
				}
				continue
			}
			said := judge.Run(t, nil, "sh", "-c", "openssl "+strings.Join(args, " ")+" 2>&1")
			for _, want := range append(x.want, "Response verify OK") {
				if !contains(said, want) {
					t.Errorf("%s %s: openssl says:\n%s", name, hash, said)
				}
			}
		}
	}
}
