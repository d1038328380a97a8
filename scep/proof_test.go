package scep_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// A front end in other hands has the RA keys, every certificate there is and
// what clients sent before; of the old key it has no signature but over what
// the device itself asked. With all of that it renews nothing to its own key.
func TestFrontEndCannotRenew(t *testing.T) {
	const laptops = "laptops"
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
		"the device's message at another profile of the same CA": {func(w *world, old client) scep.Application {
			return scep.Application{Profile: laptops, Message: honest(w, old)}
		}, scep.ErrRenewalUnknown},
		"the device's message of long ago": {func(w *world, old client) scep.Application {
			a := scep.Application{Message: honest(w, old)}
			w.sleep(25 * time.Hour)
			return a
		}, scep.ErrClock},
		"the device's message after a renewal": {func(w *world, old client) scep.Application {
			a := scep.Application{Message: w.message(ask{kind: "17", from: old, key: rsaKey(3), transaction: "before"})}
			w.send(ask{kind: "17", from: old, key: newClient(2).key})
			return a
		}, scep.ErrRenewalOver},
		"the device's message when its certificate is revoked": {func(w *world, old client) scep.Application {
			if err := w.s.Revoke(w.t.Context(), worker, cert.FingerprintOf(old.cert.Raw), ""); err != nil {
				w.t.Fatal(err)
			}
			return scep.Application{Message: honest(w, old)}
		}, scep.ErrRenewalOver},
		"the first request as a renewal": {func(w *world, old client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "17", from: newClient(1), key: newClient(1).key})}
		}, scep.ErrRenewalUnknown},
		"a letter of the type changed": {func(w *world, old client) scep.Application {
			return scep.Application{Message: bytes.Replace(honest(w, old), []byte("\x13\x0217"), []byte("\x13\x0219"), 1)}
		}, scep.ErrMessage},
		"a letter of the transaction changed": {func(w *world, old client) scep.Application {
			return scep.Application{Message: bytes.Replace(honest(w, old), []byte("\x13\x03T-1"), []byte("\x13\x03T-2"), 1)}
		}, scep.ErrMessage},
		"a type that is none": {func(w *world, old client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "18", from: old})}
		}, scep.ErrMessageType},
		"an envelope to nobody": {func(w *world, old client) scep.Application {
			return scep.Application{Message: w.message(ask{kind: "17", from: old, to: newClient(2).cert})}
		}, scep.ErrUnreadable},
		"no transaction": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "19", CSR: own, Signer: old.cert.Raw}
		}, scep.ErrMessage},
		"a transaction for the log": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "19", Transaction: "T\nlevel=INFO", CSR: own, Signer: old.cert.Raw}
		}, scep.ErrMessage},
		"a long transaction": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "20", Transaction: strings.Repeat("T", 256), Signer: old.cert.Raw}
		}, scep.ErrMessage},
		"an address that is a tale": {func(w *world, old client) scep.Application {
			return scep.Application{Message: honest(w, old), Remote: strings.Repeat("1", 65)}
		}, scep.ErrMessage},
		"a large request": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "19", Transaction: "T", CSR: make([]byte, scep.MaxMessage+1), Signer: old.cert.Raw}
		}, scep.ErrTooLarge},
		"a large certificate": {func(_ *world, old client) scep.Application {
			return scep.Application{Type: "19", Transaction: "T", CSR: own, Signer: make([]byte, scep.MaxMessage+1)}
		}, scep.ErrTooLarge},
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
			w := newWorld(t, func(c *scep.Config) {
				p := profiles(c)[1]
				p.Name = laptops
				c.Profiles = append(profiles(c), p)
			})
			old := w.enrolled(scep.MailSigning, 1)
			w.untilRenewal()
			a := c.forge(w, old)
			before := w.certificates()
			if a.Profile == "" {
				a.Profile = scep.MailSigning
			}
			if r, err := w.keeper.Certify(t.Context(), a); !errors.Is(err, c.want) {
				t.Errorf("got %s, %v, want %v", r.Serial, err, c.want)
			}
			if n := w.certificates() - before; n != 0 {
				t.Errorf("%d certificates were made", n)
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

// A renewal that a person approves is asked for by the message and fetched by a
// poll, which gets the key that asked its certificate and nobody else's.
func TestRenewalWithApproval(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	profiles(&w.config)[1].Approval = true
	w.restart()
	w.untilRenewal()
	a := ask{kind: "17", from: old, key: newClient(2).key}
	if got := w.send(a); got.status != "3" {
		t.Fatalf("got %v, want PENDING", got)
	}
	if got := w.poll(a); got.status != "3" {
		t.Errorf("before the approval: got %v, want PENDING", got)
	}
	w.approve()
	poll := scep.Application{Profile: scep.MailSigning, Type: "20", Transaction: "T-1", Signer: newClient(3).cert.Raw}
	if _, err := w.keeper.Certify(t.Context(), poll); !errors.Is(err, scep.ErrTransaction) {
		t.Errorf("a poll by another key: got %v, want ErrTransaction", err)
	}
	got := w.poll(a)
	if got.cert == nil || !newClient(2).key.PublicKey.Equal(got.cert.PublicKey) {
		t.Fatalf("approved: got %v", got)
	}
	poll.Signer, poll.CSR = old.cert.Raw, []byte("of the RA's own")
	again, err := w.keeper.Certify(t.Context(), poll)
	if err != nil || again.Fingerprint != cert.FingerprintOf(got.cert.Raw) || w.certificates() != 2 {
		t.Errorf("a poll of the RA's own: got %s, %v, %d on record", again.Serial, err, w.certificates())
	}
}

// Whoever has the RA makes challenges of his own and is slowed down; the
// challenge of whom he keeps waiting stays good.
func TestCertificatesPerHour(t *testing.T) {
	w := newWorld(t)
	w.rate = scep.Rate{PerDevice: 2, PerUser: 3}
	w.restart()
	other := subject.NewDeviceID()
	give := func(d subject.DeviceID) answer {
		c := must(w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user,
			Device: subject.Device{ID: d, User: w.user.ID}}))(t)
		a := ask{challenge: c.Secret.RevealString(), transaction: string(d)}
		if d == other {
			a.from = newClient(2)
		}
		return w.send(a)
	}
	for n, c := range []struct {
		device  subject.DeviceID
		refused bool
	}{{w.device.ID, false}, {w.device.ID, false}, {w.device.ID, true}, {other, false}, {other, true}} {
		got := give(c.device)
		if c.refused != got.refused("2", scep.ErrCertificatesMany) || c.refused != (got.cert == nil) {
			t.Errorf("certificate %d: got %v, refused %v", n, got, c.refused)
		}
	}
	if !bytes.Contains(w.log.Bytes(), []byte("level=ERROR")) {
		t.Error("nobody is told")
	}
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString(), transaction: "T-9"}
	for range 2 * scep.MaxAttempts {
		if got := w.send(a); !got.refused("2", scep.ErrCertificatesMany) {
			t.Fatalf("got %v", got)
		}
	}
	w.sleep(time.Hour)
	if got := w.send(a); got.cert == nil {
		t.Errorf("an hour later: got %v", got)
	}
	if w.actions(journal.ChallengeRefused) != 0 {
		t.Error("waiting counts as wrong tries")
	}
}
