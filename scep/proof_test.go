package scep_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/scep"
)

// A front end in other hands has the RA keys, every certificate there is and
// what clients sent before; of the old key it has no signature but over what
// the device itself asked. With all of that it renews nothing to its own key.
func TestFrontEndCannotRenew(t *testing.T) {
	own := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey(3)))(t)
	honest := func(w *world, old client) []byte {
		return w.message(ask{kind: "17", from: old, key: newClient(2).key})
	}
	for name, c := range map[string]struct {
		forge func(w *world, old client) scep.Application
		want  error
	}{
		"RenewalReq with the certificate alone": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "17", Transaction: "T-9", CSR: own, Signer: old.cert.Raw}
		}, scep.ErrRenewalUnproven},
		"PKCSReq with the certificate alone": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "19", Transaction: "T-9", CSR: own, Signer: old.cert.Raw}
		}, scep.ErrRenewalUnproven},
		"a message of its own key": {func(w *world, _ client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "17", from: newClient(3)})}
		}, scep.ErrRenewalUnknown},
		"the certificate in a message of its own key": {func(w *world, old client) scep.Application {
			return scep.Application{Message: spliced(w.t.(*testing.T), w.message(ask{kind: "17", from: posing(old.cert)}), honest(w, old), certificates)}
		}, scep.ErrMessage},
		"its request in the device's message": {func(w *world, old client) scep.Application {
			other := w.message(ask{kind: "17", from: old, key: rsaKey(3)})
			return scep.Application{Message: spliced(w.t.(*testing.T), honest(w, old), other, content)}
		}, scep.ErrMessage},
		"the device's message for another profile": {func(w *world, old client) scep.Application {
			w.untilRenewal()
			return scep.Application{Profile: scep.DeviceIdentity, Message: honest(w, old)}
		}, scep.ErrUnreadable},
		"a poll of nothing that waits": {func(w *world, old client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "20", from: old})}
		}, scep.ErrTransaction},
		"an algorithm of old": {func(w *world, old client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "17", from: old, csr: withSHA1(old.key)})}
		}, scep.ErrAlgorithm},
		"no message": {func(*world, client) scep.Application {
			return scep.Application{Message: []byte{}}
		}, scep.ErrMessage},
		"too large": {func(w *world, old client) scep.Application {
			return scep.Application{Message: append(honest(w, old), make([]byte, scep.MaxMessage)...)}
		}, scep.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.enrolled(scep.MailSigning, 1)
			w.untilRenewal()
			a := c.forge(w, old)
			if a.Profile == "" {
				a.Profile = scep.MailSigning
			}
			if r, err := w.keeper.Certify(t.Context(), a); !errors.Is(err, c.want) {
				t.Errorf("got %s, %v, want %v", r.Serial, err, c.want)
			}
			if n := w.certificates(); n != 1 {
				t.Errorf("%d certificates on record, want 1", n)
			}
		})
	}
}

// What an RA says beside the message counts for nothing.
func TestRenewalIsReadFromTheMessage(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	w.untilRenewal()
	a := scep.Application{Profile: scep.MailSigning, Message: w.message(ask{kind: "17", from: old, key: newClient(2).key}),
		Type: "19", Transaction: "T-9", Signer: newClient(3).cert.Raw,
		CSR: must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey(3)))(t)}
	first := must(w.keeper.Certify(t.Context(), a))(t)
	if got := must(first.Certificate())(t); !newClient(2).key.PublicKey.Equal(got.PublicKey) {
		t.Error("the certificate is for another key than the device's")
	}
	if again, err := w.keeper.Certify(t.Context(), a); err != nil || again.Fingerprint != first.Fingerprint {
		t.Errorf("the message again: got %s, %v, want %s", again.Serial, err, first.Serial)
	}
	if n := w.certificates(); n != 2 {
		t.Errorf("%d certificates on record, want 2", n)
	}
}

// A keeper that cannot open renewals gives none, rather than believe.
func TestKeeperWithoutRAKey(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	w.untilRenewal()
	w.keeper.Succeed([]scep.Seat{theHouse().device.seat(), {Issuer: theHouse().mail.Issuer}, {Issuer: theHouse().root}})
	got := w.send(ask{kind: "17", from: old, key: newClient(2).key})
	if got.cert != nil || !bytes.Contains(w.log.Bytes(), []byte("scep_renewal_sealed")) {
		t.Errorf("got %v", got)
	}
}

// posing is a client of its own key whose certificate is called as c is.
func posing(c *x509.Certificate) client {
	template := &x509.Certificate{SerialNumber: c.SerialNumber, RawSubject: c.RawIssuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	der := made(x509.CreateCertificate(rand.Reader, template, template, rsaKey(3).Public(), rsaKey(3)))
	return client{rsaKey(3), made(x509.ParseCertificate(der))}
}
