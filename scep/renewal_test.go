package scep_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// enrolled gives a client with a certificate of ours.
func (w *world) enrolled(profile string, n int) client {
	w.t.Helper()
	got := w.send(ask{profile: profile, challenge: w.challenge(profile).RevealString(), from: newClient(n), transaction: "first"})
	if got.cert == nil {
		w.t.Fatal(got)
	}
	return client{newClient(n).key, got.cert}
}

// untilRenewal lets the time come when certificates are renewed.
func (w *world) untilRenewal() { w.sleep(300 * 24 * time.Hour) }

func TestRenewal(t *testing.T) {
	for _, profile := range []string{scep.DeviceIdentity, scep.MailSigning} {
		for name, c := range map[string]ask{
			"RenewalReq":                       {kind: "17"},
			"PKCSReq":                          {kind: "19"},
			"PKCSReq with a challenge of once": {kind: "19", challenge: "used-long-ago"},
		} {
			t.Run(profile+" by "+name, func(t *testing.T) {
				w := newWorld(t)
				old := w.enrolled(profile, 1)
				w.untilRenewal()
				a := ask{profile: profile, kind: c.kind, challenge: c.challenge, from: old, key: newClient(2).key}
				got := w.send(a)
				if got.cert == nil {
					t.Fatal(got)
				}
				if !newClient(2).key.PublicKey.Equal(got.cert.PublicKey) || !bytes.Equal(got.cert.RawSubject, old.cert.RawSubject) ||
					!got.cert.NotAfter.After(old.cert.NotAfter) {
					t.Errorf("got %s until %v", got.cert.Subject, got.cert.NotAfter)
				}
				if again := w.send(a); again.cert == nil || !again.cert.Equal(got.cert) {
					t.Errorf("the same request again: got %v", again)
				}
				a.transaction = "T-2"
				if again := w.send(a); !again.refused("2", scep.ErrRenewalOver) {
					t.Errorf("another request: got %v", again)
				}
				if w.certificates() != 2 {
					t.Errorf("%d certificates on record, want 2", w.certificates())
				}
			})
		}
	}
}

// A renewed certificate says what the first one was granted, whatever became of
// the user's name and whatever the request says.
func TestRenewalRenamesNobody(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	u := w.user
	u.Name, u.Mail = "Mallory", "mallory@example.com"
	if err := w.db.Directory().UserSaved(t.Context(), u, journal.Entry{At: start, Action: journal.UserChanged}); err != nil {
		t.Fatal(err)
	}
	w.untilRenewal()
	got := w.send(ask{kind: "17", from: old})
	if got.cert == nil || got.cert.Subject.CommonName != "Alice Example" || got.cert.EmailAddresses[0] != "alice@example.com" {
		t.Errorf("got %v", got)
	}
}

// moves gives the world's user other addresses; somebody else may have his.
func (w *world) moves() {
	w.t.Helper()
	u := w.user
	u.Mail, u.UPN = "alice@example.org", "alice@example.org"
	if err := w.db.Directory().UserSaved(w.t.Context(), u, journal.Entry{At: w.clock(), Actor: worker, Action: journal.UserChanged}); err != nil {
		w.t.Fatal(err)
	}
}

// An address is certified while it is the user's, and not a day longer.
func TestAddressThatIsAnothers(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	identity := w.enrolled(scep.DeviceIdentity, 3)
	w.moves()
	w.untilRenewal()
	if got := w.send(ask{kind: "17", from: old, key: newClient(2).key}); !got.refused("2", scep.ErrAddressGone) {
		t.Errorf("renewal: got %v", got)
	}
	if got := w.send(ask{profile: scep.DeviceIdentity, kind: "17", from: identity, key: newClient(4).key}); got.cert == nil {
		t.Errorf("an identity, which names no address: got %v", got)
	}
	w = newWorld(t)
	challenge := w.challenge(scep.MailSigning)
	w.moves()
	if got := w.send(ask{challenge: challenge.RevealString()}); !got.refused("2", scep.ErrAddressGone) {
		t.Errorf("challenge: got %v", got)
	}
}

func TestRenewalThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(w *world, old client) ask
		want error
	}{
		"too early": {func(w *world, old client) ask {
			w.sleep(-60 * 24 * time.Hour)
			return ask{from: old}
		}, scep.ErrRenewalEarly},
		"expired": {func(w *world, old client) ask {
			w.sleep(66 * 24 * time.Hour)
			return ask{from: old}
		}, scep.ErrRenewalOver},
		"revoked": {func(w *world, old client) ask {
			if err := w.s.Revoke(w.t.Context(), worker, cert.FingerprintOf(old.cert.Raw), ""); err != nil {
				w.t.Fatal(err)
			}
			return ask{from: old}
		}, scep.ErrRenewalOver},
		"replaced": {func(w *world, old client) ask {
			w.enrolled(scep.MailSigning, 2)
			return ask{from: old}
		}, scep.ErrRenewalOver},
		"removed device": {func(w *world, old client) ask {
			w.remove()
			return ask{from: old}
		}, scep.ErrHolder},
		"another profile": {func(w *world, old client) ask {
			return ask{from: old, profile: scep.DeviceIdentity}
		}, scep.ErrRenewalUnknown},
		"self-signed": {func(w *world, old client) ask {
			return ask{from: newClient(1)}
		}, scep.ErrRenewalUnknown},
		"ours but not on record": {func(w *world, old client) ask {
			p := must(theHouse().mail.Issuer.Prepare(ca.Request{Kind: ca.MailSigning, Key: newClient(1).key.Public(),
				Names: ca.Names{CommonName: "Alice Example", Mail: []string{"alice@example.com"}}}, start))(w.t)
			return ask{from: client{newClient(1).key, must(theHouse().mail.Issuer.Issue(p))(w.t)}}
		}, scep.ErrRenewalUnknown},
		"the RA's own": {func(w *world, old client) ask {
			ra := theHouse().mail.RA
			return ask{from: client{rsaKey(keyOfMailRA), ra.Certificate}}
		}, scep.ErrRenewalUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.enrolled(scep.MailSigning, 1)
			w.untilRenewal()
			a := c.ask(w, old)
			a.kind, a.key = "17", newClient(3).key
			before := w.certificates()
			if got := w.send(a); !got.refused("2", c.want) || w.certificates() != before {
				t.Errorf("got %v with %d issued, want %v", got, w.certificates()-before, c.want)
			}
		})
	}
	t.Run("profile without renewal", func(t *testing.T) {
		w := newWorld(t, func(c *scep.Config) { profiles(c)[1].RenewWithin = 0 })
		old := w.enrolled(scep.MailSigning, 1)
		w.untilRenewal()
		if got := w.send(ask{kind: "17", from: old}); !got.refused("2", scep.ErrRenewalUnknown) {
			t.Errorf("got %v", got)
		}
	})
}

// A known certificate does not make a bad challenge good.
func TestKnownSignerWithABadChallenge(t *testing.T) {
	w := newWorld(t)
	old := w.enrolled(scep.MailSigning, 1)
	w.untilRenewal()
	if got := w.send(ask{from: old, challenge: "WRONG"}); !got.refused("2", scep.ErrChallengeUnknown) {
		t.Errorf("got %v", got)
	}
}
