package scep_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/upstream"
	"github.com/signet-mdm/signet/scep/upstream/upstreamtest"
)

// A CA where a person decides: the client waits as it does for ours, and gets
// one certificate, over restarts.
func TestOutsidePending(t *testing.T) {
	w, other := outsideWorld(t)
	other.Play(upstreamtest.Scene{Pending: 4})
	a := w.askOutside(w.challenge(scep.MailSigning))
	for n, send := range []func(ask) answer{w.send, w.poll, w.send} {
		if got := send(a); got.status != "3" {
			t.Fatalf("message %d: got %v, want PENDING", n, got)
		}
		w.restart()
	}
	if r := w.waiting(); r.State != scep.RequestUpstream || r.Holder.User != w.user.ID || w.actions(journal.RequestPending) != 1 {
		t.Errorf("the request is %+v", r)
	}
	if err := w.s.Approve(t.Context(), approvers, approver, w.waiting().ID); !errors.Is(err, scep.ErrRequestDecided) {
		t.Errorf("approving here what waits there: got %v, want ErrRequestDecided", err)
	}
	for name, elsewhere := range map[string]ask{"transaction": {transaction: "T-2"}, "key": {from: newClient(2)}} {
		elsewhere.to = a.to
		if got := w.poll(elsewhere); !got.refused("4", scep.ErrTransaction) {
			t.Errorf("a poll with another %s: got %v, want badCertId", name, got)
		}
	}
	w.sleep(6 * 24 * time.Hour) // the challenge is long over
	if got := w.poll(a); got.status != "3" {
		t.Fatalf("after days: got %v, want PENDING", got)
	}
	first := w.poll(a)
	for name, got := range map[string]answer{"first": first, "again": w.poll(a), "sent again": w.send(a)} {
		if got.cert == nil || !got.cert.Equal(first.cert) || got.cert.CheckSignatureFrom(other.CA) != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if len(other.Issued()) != 1 || w.certificates() != 1 || w.actions(journal.CertificateIssued) != 1 || w.waiting().State != scep.RequestIssued {
		t.Errorf("the other CA made %d, %d on record, request %s", len(other.Issued()), w.certificates(), w.waiting().State)
	}
}

// The last word of the other CA, and what is wrong with its certificate, end
// the request; the log says why.
func TestOutsidePendingThenNo(t *testing.T) {
	for name, c := range map[string]struct {
		scene upstreamtest.Scene
		want  error
	}{
		"refused":           {upstreamtest.Scene{Refuse: true}, upstream.ErrRefused},
		"another key":       {upstreamtest.Scene{Key: rsaKey(2).Public()}, upstream.ErrCertificate},
		"another CA":        {upstreamtest.Scene{Other: true}, upstream.ErrCertificate},
		"another's address": {upstreamtest.Scene{Certify: func(c *x509.Certificate) { c.EmailAddresses = []string{"bob@example.com"} }}, scep.ErrUpstreamCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			w, other := outsideWorld(t)
			c.scene.Pending = 2
			other.Play(c.scene)
			secret := w.challenge(scep.MailSigning)
			a := w.askOutside(secret)
			for range 2 {
				if got := w.send(a); got.status != "3" {
					t.Fatalf("got %v, want PENDING", got)
				}
			}
			if got := w.poll(a); !got.refused("2", c.want) {
				t.Errorf("decided: got %v, want %v", got, c.want)
			}
			for name, got := range map[string]answer{"poll": w.poll(a), "sent again": w.send(a)} {
				if !got.refused("2", scep.ErrRequestDenied) {
					t.Errorf("%s after that: got %v, want ErrRequestDenied", name, got)
				}
			}
			if r := w.waiting(); r.State != scep.RequestDenied || r.Reason == "" || r.By != journal.Worker(scep.Upstream) || w.certificates() != 0 {
				t.Errorf("%d certificates, request %+v", w.certificates(), r)
			}
			if got := w.actions(journal.RequestDenied); got != 1 {
				t.Errorf("%d denials in the journal, want 1", got)
			}
			if s := w.log.String(); !strings.Contains(s, "the other CA refused a certificate request") || strings.Contains(s, secret.RevealString()) {
				t.Errorf("the log is %s", s)
			}
		})
	}
}

// What is no word of the other CA ends nothing, and time does.
func TestOutsidePendingWaits(t *testing.T) {
	w, other := outsideWorld(t)
	other.Play(upstreamtest.Scene{Pending: 1 << 30})
	a := w.askOutside(w.challenge(scep.MailSigning))
	if got := w.send(a); got.status != "3" {
		t.Fatalf("got %v, want PENDING", got)
	}
	other.Play(upstreamtest.Scene{Pending: 1 << 30, Stranger: true})
	if got := w.poll(a); !got.refused("2", upstream.ErrUntrusted) {
		t.Errorf("a stranger's answer: got %v", got)
	}
	other.Play(upstreamtest.Scene{Pending: 1 << 30})
	for range 60 { // more than certificates may be made in an hour
		if got := w.poll(a); got.status != "3" {
			t.Fatalf("after a stranger: got %v, want PENDING", got)
		}
		w.sleep(time.Second)
	}
	w.sleep(7 * 24 * time.Hour)
	other.Play(upstreamtest.Scene{})
	if got := w.poll(a); !got.refused("2", scep.ErrRequestExpired) || len(other.Issued()) != 0 {
		t.Errorf("a week later: got %v", got)
	}
}

// People here may withdraw what waits there, as a newer challenge does.
func TestOutsidePendingWithdrawn(t *testing.T) {
	for name, c := range map[string]struct {
		withdraw func(*world) error
		want     error
	}{
		"denied here": {func(w *world) error {
			return w.s.Deny(context.Background(), approvers, approver, w.waiting().ID, "left")
		}, scep.ErrRequestDenied},
		"challenged anew": {func(w *world) error {
			_, err := w.s.Challenge(context.Background(), worker, scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user, Device: w.device})
			return err
		}, scep.ErrChallengeVoid},
	} {
		t.Run(name, func(t *testing.T) {
			w, other := outsideWorld(t)
			other.Play(upstreamtest.Scene{Pending: 1})
			a := w.askOutside(w.challenge(scep.MailSigning))
			if got := w.send(a); got.status != "3" {
				t.Fatalf("got %v, want PENDING", got)
			}
			if err := c.withdraw(w); err != nil {
				t.Fatal(err)
			}
			if got := w.poll(a); !got.refused("2", c.want) || len(other.Issued()) != 0 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Both approve: ours first, then theirs.
func TestOutsidePendingTwice(t *testing.T) {
	w, other := outsideWorld(t)
	profiles(&w.config)[1].Approval = true
	w.restart()
	other.Play(upstreamtest.Scene{Pending: 1})
	a := w.askOutside(w.challenge(scep.MailSigning))
	if got := w.send(a); got.status != "3" || len(other.Asked()) != 0 {
		t.Fatalf("before ours: got %v, and the other CA was asked %v", got, other.Asked())
	}
	w.approve()
	if got := w.poll(a); got.status != "3" || w.waiting().State != scep.RequestUpstream {
		t.Fatalf("before theirs: got %v, request %s", got, w.waiting().State)
	}
	if got := w.poll(a); got.cert == nil || w.waiting().State != scep.RequestIssued || len(other.Issued()) != 1 {
		t.Errorf("after both: got %v, request %s", got, w.waiting().State)
	}
}

func (f *failing) RequestMade(ctx context.Context, r scep.Request, e journal.Entry) error {
	if f.step == "before the request is stored" {
		return errDied
	}
	err := f.Store.RequestMade(ctx, r, e)
	if f.step == "after the request is stored" && err == nil {
		return errDied
	}
	return err
}

// Wherever the process dies the client that comes again gets the one
// certificate that its challenge is for, of a CA that takes it once.
func TestOutsideDyingAnywhere(t *testing.T) {
	for _, pending := range []int{0, 1, 2} {
		for _, step := range []string{"before the reservation", "after the reservation", "before the certificate is stored", "after the certificate is stored",
			"before the request is stored", "after the request is stored"} {
			t.Run(step+strings.Repeat(", pending", pending), func(t *testing.T) {
				w, other := outsideWorld(t)
				other.Play(upstreamtest.Scene{Pending: pending})
				dying := &failing{Store: w.config.Store}
				w.config.Store = dying
				w.restart()
				a := w.askOutside(w.challenge(scep.MailSigning))
				dying.step = step
				w.send(a)
				w.poll(a)
				dying.step = ""
				w.restart()
				var got answer
				for range pending + 1 {
					if got = w.send(a); got.cert != nil {
						break
					}
				}
				if got.cert == nil || len(other.Issued()) != 1 || w.certificates() != 1 {
					t.Errorf("got %v; the other CA made %d, %d on record, want 1", got, len(other.Issued()), w.certificates())
				}
				if n := w.actions(journal.CertificateRefused); n != 0 {
					t.Errorf("%d certificates are said to be nobody's", n)
				}
			})
		}
	}
}

// The same poll from many sides at once gives one certificate, and nobody is
// told to revoke it.
func TestOutsidePendingRaces(t *testing.T) {
	w, other := outsideWorld(t)
	other.Play(upstreamtest.Scene{Pending: 1})
	a := w.askOutside(w.challenge(scep.MailSigning))
	if got := w.send(a); got.status != "3" {
		t.Fatalf("got %v, want PENDING", got)
	}
	answers := make([]answer, 12)
	var wg sync.WaitGroup
	for n := range answers {
		wg.Go(func() {
			if n%2 == 0 {
				answers[n] = w.poll(a)
			} else {
				answers[n] = w.send(a)
			}
		})
	}
	wg.Wait()
	var f cert.Fingerprint
	for _, got := range answers {
		if got.cert == nil || !f.IsZero() && f != cert.FingerprintOf(got.cert.Raw) {
			t.Fatalf("got %v", got)
		}
		f = cert.FingerprintOf(got.cert.Raw)
	}
	if w.certificates() != 1 || w.actions(journal.CertificateIssued) != 1 || w.actions(journal.CertificateRefused) != 0 {
		t.Errorf("%d on record, %d refused", w.certificates(), w.actions(journal.CertificateRefused))
	}
}
