package scep_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

func TestChallenge(t *testing.T) {
	w := newWorld(t)
	c := must(w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: w.user, Device: w.device}))(t)
	sum := sha256.Sum256(theHouse().root.Certificate().Raw)
	if c.URL != "https://mdm.example.com/scep/device-identity" || !bytes.Equal(c.Fingerprint, sum[:]) ||
		!c.Expires.Equal(w.clock().Add(time.Hour)) || len(c.Secret.Reveal()) < 26 {
		t.Errorf("got %s until %v with a secret of %d", c.URL, c.Expires, len(c.Secret.Reveal()))
	}
	url, secret, err := w.s.SigningChallenge(t.Context(), "", w.user, w.device)
	if err != nil || url != "https://mdm.example.com/scep/smime-signing" {
		t.Fatalf("got %s, %v", url, err)
	}
	if got := w.send(ask{challenge: secret.RevealString()}); got.status != "0" {
		t.Errorf("got %v", got)
	}
}

// What renews an identity is fetched within a day, not within an hour.
// What a device would wait for in vain is not sent.
func TestNoChallengeThatComesToNothing(t *testing.T) {
	for name, change := range map[string]func(*scep.Config){
		"approval": func(c *scep.Config) { profiles(c)[1].Approval = true },
		"matching": func(c *scep.Config) { profiles(c)[1].MatchNames = true },
	} {
		w := newWorld(t, change)
		if _, secret, err := w.s.SigningChallenge(t.Context(), "", w.user, w.device); !errors.Is(err, scep.ErrDelivered) || !secret.Empty() {
			t.Errorf("%s: got %v, want ErrDelivered", name, err)
		}
	}
}

func TestIdentityChallenge(t *testing.T) {
	w := newWorld(t)
	url, secret, err := w.s.IdentityChallenge(t.Context(), w.user, w.device)
	if err != nil || url != "https://mdm.example.com/scep/device-identity" {
		t.Fatalf("got %s, %v", url, err)
	}
	ticket, err := w.db.SCEP().Ticket(t.Context(), secret.Hash())
	if err != nil || ticket.Profile != scep.DeviceIdentity || !ticket.Expires.Equal(w.clock().Add(25*time.Hour)) {
		t.Errorf("got %s until %v, %v", ticket.Profile, ticket.Expires, err)
	}
}

func TestChallengeThatIsRefused(t *testing.T) {
	w := newWorld(t)
	good := scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user, Device: w.device}
	for name, c := range map[string]struct {
		change func(*scep.ChallengeRequest)
		want   error
	}{
		"unknown profile":  {func(r *scep.ChallengeRequest) { r.Profile = "x" }, scep.ErrProfileUnknown},
		"another's device": {func(r *scep.ChallengeRequest) { r.Device.User = subject.NewUserID() }, scep.ErrHolder},
		"identity of none": {func(r *scep.ChallengeRequest) { r.Profile, r.Device.ID = scep.DeviceIdentity, "" }, scep.ErrDeviceNeeded},
		"disabled user":    {func(r *scep.ChallengeRequest) { r.User.Disabled = true }, scep.ErrHolder},
		"no address":       {func(r *scep.ChallengeRequest) { r.User.Mail = "" }, subject.ErrVariableEmpty},
		"nothing that fits": {func(r *scep.ChallengeRequest) {
			r.User.Name, r.User.Mail = "", strings.Repeat("a", 60)+"@example.com"
		}, scep.ErrNames},
	} {
		r := good
		c.change(&r)
		if got, err := w.s.Challenge(t.Context(), worker, r); !errors.Is(err, c.want) || !got.Secret.Empty() {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// The common name is the first that fits; an address may have any letters.
func TestNames(t *testing.T) {
	for name, c := range map[string]struct{ mail, person, want string }{
		"name":                 {"bob@example.com", "Bob Example", "Bob Example"},
		"no name":              {"bob@example.com", "", "bob@example.com"},
		"name of 65":           {"bob@example.com", strings.Repeat("ä", 65), "bob@example.com"},
		"name of 64":           {"bob@example.com", strings.Repeat("ä", 64), strings.Repeat("ä", 64)},
		"letters not in ASCII": {"jürgen@example.com", "Jürgen", "Jürgen"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.user, w.device = w.person(c.mail, c.person)
			got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
			if got.cert == nil {
				t.Fatal(got)
			}
			if mail := cert.NamesOf(got.cert).Mail; got.cert.Subject.CommonName != c.want || len(mail) != 1 || mail[0] != c.mail {
				t.Errorf("got %q for %v", got.cert.Subject.CommonName, mail)
			}
		})
	}
}

func TestProfilesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	good := scep.Shipped("device", "smime")[1]
	for name, c := range map[string]struct {
		change func(*scep.Profile)
		want   string
	}{
		"encryption":        {func(p *scep.Profile) { p.Use = cert.Encryption }, "could not read"},
		"both":              {func(p *scep.Profile) { p.Use = cert.Both }, "could not read"},
		"no use":            {func(p *scep.Profile) { p.Use = cert.Unknown }, "neither"},
		"name in the path":  {func(p *scep.Profile) { p.Name = "a/b" }, "characters"},
		"no life":           {func(p *scep.Profile) { p.Life = 0 }, "validity"},
		"no challenge life": {func(p *scep.Profile) { p.ChallengeLife = 0 }, "challenges"},
		"no common name":    {func(p *scep.Profile) { p.Subject = nil }, "subject"},
		"unknown issuer":    {func(p *scep.Profile) { p.Issuer = "x" }, "no issuer x"},
		"issuer without RA": {func(p *scep.Profile) { p.Issuer = "root" }, "no issuer root with an RA"},
		"RA of another CA":  {func(p *scep.Profile) { p.Issuer = "crossed" }, "not of issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			c.change(&p)
			config := w.config
			config.Keeper, config.Profiles = w.keeper, scep.Fixed{p}
			if name == "RA of another CA" {
				config.Authorities = []scep.Authority{{Issuer: theHouse().mail.Issuer.Public, RA: theHouse().device.RA}}
				p.Issuer, c.want = "smime", "not of issuer"
				config.Profiles = scep.Fixed{p}
			}
			if _, err := scep.New(config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// A profile that breaks a rule gives no challenges, and what it breaks since then
// fails in our log, and not at the client's account.
func TestProfileThatBreaksARule(t *testing.T) {
	w := newWorld(t)
	secret := w.challenge(scep.MailSigning).RevealString()
	profiles(&w.config)[1].Policy = "2.23.140.1.5.1.3"
	w.restart()
	if _, err := w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user}); !errors.Is(err, scep.ErrProfileBroken) {
		t.Errorf("challenge: got %v, want ErrProfileBroken", err)
	}
	if n := w.actions(journal.ChallengeFailed); n != 1 {
		t.Errorf("%d entries say that there was no challenge, want 1", n)
	}
	got := w.send(ask{challenge: secret})
	if got.status != "2" || got.text != "internal" || w.certificates() != 0 || !contains(w.log.Bytes(), "rule policy") {
		t.Errorf("got %v\n%s", got, w.log)
	}
}

// A profile may be for enrolled devices only; else a client that is managed
// elsewhere gets an id of its own.
func TestChallengeOfADevice(t *testing.T) {
	w := newWorld(t)
	free := must(w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user}))(t)
	if !subject.ValidID(string(free.Device)) || free.Device == w.device.ID {
		t.Errorf("device %q", free.Device)
	}
	if got := w.send(ask{challenge: free.Secret.RevealString()}); got.cert == nil {
		t.Errorf("got %v", got)
	}
	bound := newWorld(t, func(c *scep.Config) { profiles(c)[1].NeedsDevice = true })
	if _, err := bound.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.MailSigning, User: bound.user}); !errors.Is(err, scep.ErrDeviceNeeded) {
		t.Errorf("got %v, want ErrDeviceNeeded", err)
	}
	if got := bound.send(ask{challenge: bound.challenge(scep.MailSigning).RevealString()}); got.cert == nil {
		t.Errorf("with a device: got %v", got)
	}
}
