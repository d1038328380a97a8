package scep_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/intune"
	"github.com/signet-mdm/signet/scep/intune/intunetest"
)

// theirs is a challenge of Intune's: long, and in no log.
var theirs = "MIIIntune" + strings.Repeat("0123456789", 300)

// intuneWorld takes Intune's challenges for signing certificates.
func intuneWorld(t *testing.T, change ...func(*scep.Config)) (*world, *intunetest.Server) {
	t.Helper()
	s := intunetest.Start()
	t.Cleanup(s.Close)
	s.Challenge(theirs, intunetest.Expected{CommonName: "Alice Example", Mail: "alice@example.com"})
	w := newWorld(t, append([]func(*scep.Config){func(c *scep.Config) { profiles(c)[1].Validator = scep.Intune }}, change...)...)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	client := intune.New(intune.Config{Tenant: intunetest.Tenant, ClientID: intunetest.ClientID, Secret: seal.SecretString(intunetest.Secret),
		Product: "Signet/test", Login: s.URL, Graph: s.URL, TLS: pool, Log: w.config.Log, Now: time.Now})
	reports := w.db.Reports(must(seal.NewBox(seal.RandomRoot(), "reports"))(t))
	w.elsewhere = &scep.Elsewhere{Validator: client, ReportStore: reports, User: directory.New(w.db.Directory(), w.clock).User}
	w.restart()
	return w, s
}

func asking(challenge string) ask { return ask{challenge: challenge, template: alice} }

func TestElsewhere(t *testing.T) {
	w, s := intuneWorld(t)
	a := asking(theirs)
	got := w.send(a)
	if got.cert == nil || got.cert.Subject.CommonName != "Alice Example" {
		t.Fatal(got)
	}
	told := s.Successes()
	if len(told) != 1 || told[0].Transaction != "T-1" || told[0].Thumbprint != cert.Thumbprint(got.cert.Raw) {
		t.Errorf("Intune was told %+v", told)
	}
	if again := w.send(a); again.cert == nil || !again.cert.Equal(got.cert) || s.Asked(intunetest.Validate) != 1 || len(s.Successes()) != 1 {
		t.Errorf("the same request again: %v, asked %d times, told %d", again, s.Asked(intunetest.Validate), len(s.Successes()))
	}
	other := a
	other.from, other.transaction = newClient(2), "T-2"
	if got := w.send(other); !got.refused("2", scep.ErrChallengeUsed) || len(s.Failures()) > 0 {
		t.Errorf("another key: %v, and Intune was told %v", got, s.Failures())
	}
	// Our own challenges are as before, whatever the client asks for.
	if got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString(), from: newClient(3), transaction: "T-3"}); got.cert == nil || s.Asked(intunetest.Validate) != 1 {
		t.Errorf("our own challenge: %v", got)
	}
	// Intune hears of no renewal by the old key, so there is none.
	issued := must(w.db.SCEP().Issued(t.Context(), cert.FingerprintOf(got.cert.Raw)))(t)
	if issued.Holder.User != w.user.ID || issued.Holder.Device == w.device.ID {
		t.Errorf("the holder is %v", issued.Holder)
	}
	w.sleep(364 * 24 * time.Hour)
	renewal := ask{kind: "17", from: client{a.defaults().from.key, got.cert}, key: rsaKey(2), transaction: "T-4"}
	if got := w.send(renewal); !got.refused("2", scep.ErrRenewalUnknown) {
		t.Errorf("renewal: %v", got)
	}
	if strings.Contains(w.log.String(), theirs[:40]) {
		t.Error("the challenge is in the log")
	}
}

func TestElsewhereRefused(t *testing.T) {
	w, s := intuneWorld(t)
	w.person("carol@example.com", "Carol Example")
	disabled, _ := w.person("bob@example.com", "Bob Example")
	disabled.Disabled = true
	if err := w.db.Directory().UserSaved(t.Context(), disabled, journal.Entry{At: start, Actor: worker, Action: journal.UserChanged}); err != nil {
		t.Fatal(err)
	}
	named := func(name string, mail ...string) x509.CertificateRequest {
		return x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, EmailAddresses: mail}
	}
	for n, c := range []struct {
		name     string
		template x509.CertificateRequest
		known    bool // to Intune
		want     error
		told     bool
	}{
		{"a guess", alice, false, intune.ErrChallenge, false},
		{"nobody of ours", named("Eve Example", "eve@example.com"), true, scep.ErrElsewhereUser, true},
		{"disabled", named("Bob Example", "bob@example.com"), true, scep.ErrHolder, true},
		{"another name than ours", named("Caroline Example", "carol@example.com"), true, scep.ErrNamesDiffer, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			challenge := fmt.Sprint("challenge of Intune ", n)
			if c.known {
				s.Challenge(challenge, intunetest.Expected{CommonName: c.template.Subject.CommonName, Mail: c.template.EmailAddresses[0]})
			}
			before := len(s.Failures())
			got := w.send(ask{challenge: challenge, template: c.template, from: newClient(2), transaction: fmt.Sprint("T-", n)})
			if !got.refused("2", c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			failures := s.Failures()[before:]
			if (len(failures) == 1) != c.told || c.told && failures[0].Reason != fault.Code(c.want) {
				t.Errorf("Intune was told %+v", failures)
			}
			if !strings.Contains(w.log.String(), "code="+fault.Code(c.want)) {
				t.Error("the log does not say why")
			}
		})
	}
	// Two addresses of different people, no address: Intune would take neither here, so it is told to.
	for name, template := range map[string]x509.CertificateRequest{"two people": named("Alice Example", "alice@example.com", "carol@example.com"), "no address": named("Alice Example")} {
		s.Answer("Success")
		if got := w.send(ask{challenge: "any " + name, template: template, from: newClient(2), transaction: "T-9"}); !got.refused("2", scep.ErrElsewhereUser) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	// Not the key that asks: nobody is asked.
	asked := s.Asked(intunetest.Validate)
	if got := w.send(ask{challenge: theirs, template: alice, from: newClient(2), key: rsaKey(3)}); !got.refused("2", scep.ErrKeyForeign) || s.Asked(intunetest.Validate) != asked {
		t.Errorf("foreign key: got %v", got)
	}
	// At a profile without a validator it is no challenge.
	if got := w.send(ask{profile: scep.DeviceIdentity, challenge: theirs, from: newClient(2), transaction: "T-10"}); !got.refused("2", scep.ErrChallengeUnknown) || s.Asked(intunetest.Validate) != asked {
		t.Errorf("device identity: got %v", got)
	}
	if n := w.actions(journal.CertificateIssued); n > 0 {
		t.Errorf("%d certificates", n)
	}
	w.elsewhere = nil
	w.restart()
	if got := w.send(asking(theirs)); !got.refused("2", scep.ErrValidatorMissing) {
		t.Errorf("nobody to ask: got %v", got)
	}
}

// While Intune is away nothing is given out, and nothing is lost.
func TestElsewhereAway(t *testing.T) {
	away := make([]intunetest.Trouble, 3)
	for n := range away {
		away[n] = intunetest.Trouble{Status: 503}
	}
	w, s := intuneWorld(t)
	a := asking(theirs)
	s.Play(intunetest.Validate, away...)
	if got := w.send(a); !got.refused("2", intune.ErrUnreachable) || w.actions(journal.ChallengeIssued) > 0 {
		t.Fatalf("got %v", got)
	}
	// It validates, and is away when it is to be told.
	s.Play(intunetest.Success, away...)
	if got := w.send(a); !got.refused("2", intune.ErrUnreachable) || w.actions(journal.CertificateIssued) != 1 {
		t.Fatalf("got %v", got)
	}
	w.restart()
	if n, err := w.keeper.Report(t.Context()); n != 0 || err != nil {
		t.Errorf("reported %d, %v: the request itself has a minute to do that", n, err)
	}
	w.sleep(2 * time.Minute)
	s.Play(intunetest.Success, away...)
	if n, err := w.keeper.Report(t.Context()); n != 0 || !errors.Is(err, intune.ErrUnreachable) {
		t.Errorf("reported %d, %v", n, err)
	}
	w.sleep(2 * time.Minute)
	for want := 1; want >= 0; want-- {
		if n, err := w.keeper.Report(t.Context()); n != want || err != nil {
			t.Errorf("reported %d, %v, want %d", n, err, want)
		}
	}
	got := w.send(a)
	if got.cert == nil || w.actions(journal.CertificateIssued) != 1 {
		t.Fatalf("got %v", got)
	}
	if told := s.Successes(); len(told) != 1 || told[0].Thumbprint != cert.Thumbprint(got.cert.Raw) {
		t.Errorf("Intune was told %+v", told)
	}
}

// A certificate that Intune refuses to hear of is nobody's.
func TestElsewhereWithdrawn(t *testing.T) {
	w, s := intuneWorld(t)
	s.Answer("Success", "ScepProfileNoLongerTargetedToTheClient")
	a := asking(theirs)
	if got := w.send(a); !got.refused("2", intune.ErrTarget) {
		t.Fatalf("got %v", got)
	}
	if w.actions(journal.CertificateIssued) != 1 || w.actions(journal.CertificateRevoked) != 1 {
		t.Error("the certificate is not revoked")
	}
	if got := w.send(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("again: got %v", got)
	}
	w.sleep(time.Hour)
	if n, err := w.keeper.Report(t.Context()); n != 0 || err != nil {
		t.Errorf("reported %d, %v", n, err)
	}
}

// One challenge gives one certificate, whoever is quicker.
func TestElsewhereRaces(t *testing.T) {
	w, s := intuneWorld(t)
	var messages [][]byte
	var asks []ask
	for n := range 8 {
		a := asking(theirs)
		a.from, a.transaction = newClient(1+n%3), fmt.Sprint("T-", n%3)
		a = a.defaults()
		asks, messages = append(asks, a), append(messages, w.message(a))
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	different := map[string]bool{}
	for n, m := range messages {
		wait.Go(func() {
			got := w.deliver(asks[n], m)
			mu.Lock()
			defer mu.Unlock()
			if got.cert != nil {
				different[string(got.cert.Raw)] = true
			} else if got.err != nil || got.text != fault.Code(scep.ErrChallengeUsed) {
				t.Errorf("got %v", got)
			}
		})
	}
	wait.Wait()
	if len(different) != 1 || w.actions(journal.CertificateIssued) != 1 {
		t.Errorf("%d certificates, %d in the journal, want 1", len(different), w.actions(journal.CertificateIssued))
	}
	for _, n := range s.Successes() {
		if n.Thumbprint != s.Successes()[0].Thumbprint {
			t.Error("Intune was told of different certificates")
		}
	}
}

// dying is a store that dies before it stores a certificate.
type dying struct{ scep.Store }

func (dying) CertificateIssued(context.Context, scep.Issuance, cert.Record, journal.Entry) error {
	return errors.New("killed")
}

func TestElsewhereKilled(t *testing.T) {
	w, s := intuneWorld(t)
	whole := w.config.Store
	w.config.Store = dying{whole}
	w.restart()
	a := asking(theirs)
	if got := w.send(a); got.cert != nil {
		t.Fatal(got)
	}
	w.config.Store = whole
	w.restart()
	w.sleep(time.Hour / 2)
	if n, err := w.keeper.Report(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing was stored, and %d were reported, %v", n, err)
	}
	if got := w.send(a); got.cert == nil || len(s.Successes()) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestValidatorsOfProfiles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scep.Profile)
		want   error
	}{
		"good":       {func(*scep.Profile) {}, nil},
		"unknown":    {func(p *scep.Profile) { p.Validator = "ndes" }, scep.ErrProfileInvalid},
		"upstream":   {func(p *scep.Profile) { p.Issuer = scep.Upstream }, scep.ErrValidatorUse},
		"approval":   {func(p *scep.Profile) { p.Approval = true }, scep.ErrValidatorUse},
		"a device":   {func(p *scep.Profile) { p.NeedsDevice = true }, scep.ErrValidatorUse},
		"encryption": {func(p *scep.Profile) { p.Use, p.ChallengeLife = cert.Encryption, 0 }, scep.ErrValidatorUse},
		"identity":   {func(p *scep.Profile) { p.Use, p.Name = cert.Identity, scep.DeviceIdentity }, scep.ErrValidatorUse},
	} {
		p := scep.Shipped("device", "smime")[1]
		p.Validator = scep.Intune
		c.change(&p)
		if err := scep.Check(p); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
