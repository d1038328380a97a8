package scep_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// second is the CA for mail that follows the first, with its RA.
var second = sync.OnceValue(func() authority {
	return newAuthority(theHouse().root, "smime-2", ecKey(elliptic.P256()), ca.NewMailCA, rsaKey(keyOfDeviceRA))
})

// stand gives both CAs for mail their places.
func (w *world) stand(first, then scep.Place) {
	w.t.Helper()
	h, n := theHouse(), second()
	first.Authority, then.Authority = "smime", "smime"
	old, next := h.mail.public(), n.public()
	old.Place, next.Place = first, then
	if err := w.s.Succeed([]scep.Authority{h.device.public(), old, next, {Issuer: h.root.Public}}); err != nil {
		w.t.Fatal(err)
	}
	w.keeper.Succeed([]scep.Seat{h.device.seat(), {Issuer: h.mail.Issuer, RA: h.mail.RA, Place: first}, {Issuer: n.Issuer, RA: n.RA, Place: then}, {Issuer: h.root}})
}

// announced is before the roll-over, rolled after it.
func (w *world) announced() { w.stand(scep.Place{}, scep.Place{Standing: scep.Next, Since: w.clock()}) }

func (w *world) rolled() {
	w.stand(scep.Place{Standing: scep.Past, Since: w.clock()}, scep.Place{Since: w.clock()})
}

func TestGetNextCACert(t *testing.T) {
	w := newWorld(t)
	offers := func() bool {
		return slices.Contains(strings.Split(string(must(w.s.GetCACaps(t.Context(), scep.MailSigning))(t)), "\n"), "GetNextCACert")
	}
	if _, err := w.s.GetNextCACert(t.Context(), scep.MailSigning); !errors.Is(err, scep.ErrNoNext) || offers() {
		t.Errorf("with none: %v, offered %v", err, offers())
	}
	w.announced()
	body := must(w.s.GetNextCACert(t.Context(), scep.MailSigning))(t)
	signed := must(cms.Verify(body, cms.Accept{}))(t)
	got := must(cms.Certificates(signed.Content, 0))(t)
	want := []*x509.Certificate{second().RA.Certificate, second().Issuer.Certificate(), theHouse().root.Certificate()}
	if !signed.Signer.Equal(theHouse().mail.RA.Certificate) || !slices.EqualFunc(got, want, (*x509.Certificate).Equal) || !offers() {
		t.Errorf("signed by %s: %d certificates, offered %v", signed.Signer.Subject, len(got), offers())
	}
	if _, err := w.s.GetNextCACert(t.Context(), scep.DeviceIdentity); !errors.Is(err, scep.ErrNoNext) {
		t.Errorf("of the other profile: %v", err)
	}
	// Nothing else follows it yet.
	if c := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()}); c.cert == nil || !theHouse().mail.Issuer.Made(c.cert) {
		t.Errorf("issued before the roll-over: %v", c)
	}
	w.rolled()
	if _, err := w.s.GetNextCACert(t.Context(), scep.MailSigning); !errors.Is(err, scep.ErrNoNext) || offers() {
		t.Errorf("afterwards: %v, offered %v", err, offers())
	}
	bag, _, err := w.s.GetCACert(t.Context(), scep.MailSigning)
	if got := must(cms.Certificates(bag, 0))(t); err != nil || !got[0].Equal(second().RA.Certificate) || !got[1].Equal(second().Issuer.Certificate()) {
		t.Errorf("GetCACert gives %s, %v", got[0].Subject, err)
	}
}

// OpenSSL takes the answer apart: the content is a bag of certificates, and the
// RA of now signed it.
func TestOpenSSLReadsNextCACert(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	w.announced()
	body := must(w.s.GetNextCACert(t.Context(), scep.MailSigning))(t)
	inner := judge.Run(t, body, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any",
		"-CAfile", pemFile(t, theHouse().root.Certificate()))
	text := judge.Run(t, inner, "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout")
	for _, name := range []string{"Example CA smime-2", "Example RA smime-2", "Example Root"} {
		if !contains(text, name) {
			t.Errorf("openssl does not find %s in\n%s", name, text)
		}
	}
}

// A client that asked for the certificates just before encrypts to the old RA,
// which answers; its certificate is by the new CA. A day later it does not.
func TestOldRAOpensForADay(t *testing.T) {
	w := newWorld(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()} // encrypted to the old one
	w.rolled()
	got := w.send(a)
	if got.cert == nil || !second().Issuer.Made(got.cert) {
		t.Fatalf("got %v", got)
	}
	reply := must(cms.Verify(got.raw, cms.Accept{}))(t)
	if !reply.Signer.Equal(theHouse().mail.RA.Certificate) {
		t.Errorf("the reply is signed by %s", reply.Signer.Subject)
	}
	if i := must(w.config.Store.Issued(t.Context(), cert.FingerprintOf(got.cert.Raw)))(t); i.Issuer != "smime-2" {
		t.Errorf("the record names issuer %s", i.Issuer)
	}
	b := ask{challenge: w.challenge(scep.MailSigning).RevealString(), from: newClient(2), transaction: "T-2", to: second().RA.Certificate}
	if got := w.send(b); got.cert == nil {
		t.Errorf("to the new RA: got %v", got)
	}
	w.sleep(25 * time.Hour)
	c := ask{challenge: w.challenge(scep.MailSigning).RevealString(), from: newClient(3), transaction: "T-3"}
	if got := w.send(c); !got.refused("1", scep.ErrUnreadable) {
		t.Errorf("a day later: got %v", got)
	}
}

// An RA that was renewed opens for a day, too.
func TestFormerRA(t *testing.T) {
	w := newWorld(t)
	key := rsaKey(keyOfDeviceRA)
	h := theHouse()
	renewed := must(ca.NewRA(h.mail.Issuer, key.Public(), ca.Names{CommonName: "Example RA again"}, start))(t)
	a := h.mail.public()
	a.Former = []scep.Former{{RA: a.RA, Since: w.clock()}}
	a.RA = scep.RA{Certificate: renewed, Signer: key, Decrypter: key}
	if err := w.s.Succeed([]scep.Authority{h.device.public(), a, {Issuer: h.root.Public}}); err != nil {
		t.Fatal(err)
	}
	for n, to := range []*x509.Certificate{h.mail.RA.Certificate, renewed} {
		a := ask{challenge: w.challenge(scep.MailSigning).RevealString(), from: newClient(n + 1), transaction: fmt.Sprint(n), to: to}
		got := w.send(a)
		if got.cert == nil || !must(cms.Verify(got.raw, cms.Accept{}))(t).Signer.Equal(to) {
			t.Errorf("to RA %d: got %v", n, got)
		}
	}
	if err := w.s.Succeed([]scep.Authority{{Issuer: h.device.Issuer.Public, RA: a.RA}}); err == nil {
		t.Error("an RA of another CA was taken")
	}
}

// A certificate of the old CA renews itself under the new one, as clients do it:
// with RenewalReq, and with PKCSReq signed by it.
func TestRenewalAcrossRollover(t *testing.T) {
	for _, kind := range []string{"17", "19"} {
		w := newWorld(t)
		old := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
		w.sleep(300 * 24 * time.Hour)
		w.rolled()
		got := w.send(ask{kind: kind, transaction: "T-2", key: rsaKey(2), from: client{newClient(1).key, old.cert}, to: second().RA.Certificate})
		if got.cert == nil || !second().Issuer.Made(got.cert) {
			t.Errorf("message %s: got %v", kind, got)
			continue
		}
		// Both can be revoked, each in the list of who issued it.
		for name, c := range map[string]*x509.Certificate{"smime": old.cert, "smime-2": got.cert} {
			if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(c.Raw), "superseded"); err != nil {
				t.Fatal(err)
			}
			list := must(x509.ParseRevocationList(must(w.s.CRL(t.Context(), name, ""))(t).DER))(t)
			if name == "smime" && (list.CheckSignatureFrom(theHouse().mail.Issuer.Certificate()) != nil) ||
				name == "smime-2" && list.CheckSignatureFrom(second().Issuer.Certificate()) != nil {
				t.Errorf("the list %s is by another", name)
			}
		}
	}
}

// What the next CA has not issued yet, nobody can renew; and an identity of the
// old one stays good.
func TestIdentityOfPastCA(t *testing.T) {
	w := newWorld(t)
	h := theHouse()
	got := w.send(ask{profile: scep.DeviceIdentity, challenge: w.challenge(scep.DeviceIdentity).RevealString()})
	next := newAuthority(h.root, "device-2", rsaKey(2), ca.NewDeviceCA, rsaKey(keyOfMailRA))
	old, then := h.device.public(), next.public()
	old.Place, then.Place = scep.Place{Authority: "device", Standing: scep.Past, Since: w.clock()}, scep.Place{Authority: "device"}
	if err := w.s.Succeed([]scep.Authority{old, then, h.mail.public(), {Issuer: h.root.Public}}); err != nil {
		t.Fatal(err)
	}
	if r, err := w.s.Identity(t.Context(), got.cert); err != nil || r.Holder.Device != w.device.ID {
		t.Errorf("got %v, %v", r.Holder, err)
	}
	if err := w.s.Succeed([]scep.Authority{then, h.mail.public(), {Issuer: h.root.Public}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Identity(t.Context(), got.cert); !errors.Is(err, scep.ErrIdentity) {
		t.Errorf("when that CA is over: got %v", err)
	}
}
