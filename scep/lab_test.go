package scep_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

const static = "LABORATORY-SECRET"

// laboratory makes a world with a static challenge for a profile.
func laboratory(t *testing.T, profile, challenge string, change ...func(*scep.Config)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.lab = &scep.Lab{Profile: profile, Challenge: seal.SecretString(challenge),
		User: func(context.Context) (subject.User, error) { return w.user, nil }}
	w.restart()
	return w
}

// Each key gets one certificate, in the configured user's name.
func TestLab(t *testing.T) {
	w := laboratory(t, scep.MailSigning, static)
	if err := w.keeper.CheckLab(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := ask{challenge: static}, ask{challenge: static, from: newClient(2), transaction: "T-2"}
	first, again, other := w.send(a), w.send(a), w.send(b)
	if first.cert == nil || again.cert == nil || other.cert == nil || !bytes.Equal(first.cert.Raw, again.cert.Raw) || other.cert.Equal(first.cert) {
		t.Fatal(first, again, other)
	}
	if first.cert.Subject.CommonName != w.user.Name || w.certificates() != 0 || w.actions(journal.CertificateIssued) != 2 {
		t.Errorf("subject %s, %d for the phone, %d in all", first.cert.Subject, w.certificates(), w.actions(journal.CertificateIssued))
	}
	for name, c := range map[string]string{"wrong": static + "x", "shorter": static[:16], "none": "", "in lower case": strings.ToLower(static)} {
		if got := w.send(ask{challenge: c, from: newClient(3), transaction: "T-3"}); !got.refused("2", scep.ErrChallengeUnknown) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if got := w.send(ask{profile: scep.DeviceIdentity, challenge: static, from: newClient(3)}); !got.refused("2", scep.ErrChallengeUnknown) {
		t.Errorf("at another profile: got %v", got)
	}
	w.sleep(25 * time.Hour)
	if got := w.send(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("a day later: got %v", got)
	}
	w.user.Disabled = true
	if got := w.send(ask{challenge: static, from: newClient(3), transaction: "T-3"}); !got.refused("2", scep.ErrHolder) {
		t.Errorf("the user is disabled: got %v", got)
	}
	if strings.Contains(w.log.String(), static) {
		t.Error("the challenge is in the log")
	}
}

// The keeper counts guesses itself, whatever address the RA says; a challenge
// that cannot be guessed is as good as ever at all other profiles.
func TestLabIsGuessed(t *testing.T) {
	w := laboratory(t, scep.MailSigning, static)
	certify := func(profile, challenge string, key, n int) error {
		csr := must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: challenge}, newClient(key).key))(t)
		_, err := w.keeper.Certify(t.Context(), scep.Application{Profile: profile, Type: "19", Transaction: fmt.Sprint("T-", n), CSR: csr,
			Signer: newClient(key).cert.Raw, Remote: fmt.Sprint("192.0.2.", n)})
		return err
	}
	for n := range 100 {
		if err := certify(scep.MailSigning, "a guess", 1, n); !errors.Is(err, scep.ErrChallengeUnknown) {
			t.Fatalf("guess %d: got %v", n, err)
		}
	}
	if err := certify(scep.MailSigning, static, 1, 100); !errors.Is(err, scep.ErrTooMany) {
		t.Errorf("right after a hundred guesses: got %v, want ErrTooMany", err)
	}
	if strings.Count(w.log.String(), "being guessed") != 1 {
		t.Errorf("the log says %s", w.log)
	}
	if err := certify(scep.DeviceIdentity, w.challenge(scep.DeviceIdentity).RevealString(), 1, 101); err != nil {
		t.Errorf("another profile: %v", err)
	}
	w.sleep(time.Minute)
	if err := certify(scep.MailSigning, static, 2, 102); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

// Where a person approves, the static challenge gives nothing before.
func TestLabWithApproval(t *testing.T) {
	w := laboratory(t, scep.MailSigning, static, func(c *scep.Config) { profiles(c)[1].Approval = true })
	if got := w.send(ask{challenge: static}); got.status != "3" {
		t.Fatalf("got %v, want PENDING", got)
	}
	w.approve()
	if err := w.s.Approve(t.Context(), approvers, w.user.ID, w.waiting().ID); !errors.Is(err, scep.ErrRequestOwn) {
		t.Errorf("got %v, want ErrRequestOwn", err)
	}
	if got := w.poll(ask{}); got.cert == nil {
		t.Errorf("approved: got %v", got)
	}
}

// What is no laboratory's is said at start, and gives nothing whatever happens.
func TestNoLab(t *testing.T) {
	for name, c := range map[string]struct {
		profile, challenge string
		change             func(*scep.Config)
		want               error
	}{
		"device identities": {scep.DeviceIdentity, static, func(*scep.Config) {}, scep.ErrLab},
		"enrolled devices":  {scep.MailSigning, static, func(c *scep.Config) { profiles(c)[1].NeedsDevice = true }, scep.ErrLab},
		"too short":         {scep.MailSigning, "LABORATORYSECRE", func(*scep.Config) {}, scep.ErrLab},
		"unknown profile":   {"x", static, func(*scep.Config) {}, scep.ErrProfileUnknown},
	} {
		w := laboratory(t, c.profile, c.challenge, c.change)
		if err := w.keeper.CheckLab(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		for _, profile := range []string{scep.DeviceIdentity, scep.MailSigning} {
			if got := w.send(ask{profile: profile, challenge: c.challenge}); !got.refused("2", scep.ErrChallengeUnknown) {
				t.Errorf("%s at %s: got %v", name, profile, got)
			}
		}
	}
}
