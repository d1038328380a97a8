package scep_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/asn1"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// approver is a person who decides.
const approver = subject.UserID("approver")

var approvers = journal.Actor{Kind: journal.Admin, ID: "token"}

// approving makes a world whose signing certificates a person approves.
func approving(t *testing.T, change ...func(*scep.Config)) *world {
	t.Helper()
	return newWorld(t, append([]func(*scep.Config){func(c *scep.Config) { profiles(c)[1].Approval = true }}, change...)...)
}

// poll asks what became of a request.
func (w *world) poll(a ask) answer {
	w.t.Helper()
	a = a.defaults()
	a.kind = "20"
	return w.deliver(a, w.wrap(a, w.issuerAndSubject()))
}

func (w *world) issuerAndSubject() []byte {
	return must(asn1.Marshal(struct{ Issuer, Subject asn1.RawValue }{
		asn1.RawValue{FullBytes: theHouse().mail.Issuer.Certificate().RawSubject},
		asn1.RawValue{FullBytes: newClient(1).cert.RawSubject},
	}))(w.t)
}

// waiting gives the newest request.
func (w *world) waiting() scep.Request {
	w.t.Helper()
	list := must(w.s.Requests(w.t.Context(), scep.RequestQuery{Limit: 1}))(w.t)
	if len(list) == 0 {
		w.t.Fatal("no request waits")
	}
	return list[0]
}

func (w *world) approve() {
	w.t.Helper()
	if err := w.s.Approve(w.t.Context(), approvers, approver, w.waiting().ID); err != nil {
		w.t.Fatal(err)
	}
}

func TestApproval(t *testing.T) {
	w := approving(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	if got := w.poll(a); !got.refused("4", scep.ErrTransaction) {
		t.Errorf("before anything: got %v", got)
	}
	for n, send := range []func(ask) answer{w.send, w.send, w.poll} {
		if got := send(a); got.status != "3" {
			t.Fatalf("message %d: got %v, want PENDING", n, got)
		}
	}
	r := w.waiting()
	if r.State != scep.RequestOpen || r.Holder.User != w.user.ID || r.Names.CommonName != w.user.Name || r.Transaction != "T-1" {
		t.Errorf("the request is %+v", r)
	}
	for name, other := range map[string]ask{
		"another transaction": {transaction: "T-2"}, "another key": {from: newClient(2)}, "another profile": {profile: scep.DeviceIdentity},
	} {
		if got := w.poll(other); !got.refused("4", scep.ErrTransaction) {
			t.Errorf("poll with %s: got %v, want badCertId", name, got)
		}
	}
	if got := w.send(ask{challenge: a.challenge, from: newClient(2), transaction: "T-2"}); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("the challenge with another key: got %v", got)
	}
	if w.certificates() != 0 {
		t.Fatal("a certificate was issued")
	}
	w.approve()
	first, again, resent := w.poll(a), w.poll(a), w.send(a)
	for name, got := range map[string]answer{"first": first, "again": again, "sent again": resent} {
		if got.cert == nil || !bytes.Equal(got.cert.Raw, first.cert.Raw) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if r := w.waiting(); r.State != scep.RequestIssued || r.Cert != cert.FingerprintOf(first.cert.Raw) || w.certificates() != 1 {
		t.Errorf("%d certificates, request %s", w.certificates(), r.State)
	}
	for action, want := range map[journal.Action]int{journal.RequestPending: 1, journal.RequestApproved: 1, journal.CertificateIssued: 1} {
		if got := w.actions(action); got != want {
			t.Errorf("%s: %d in the journal, want %d", action, got, want)
		}
	}
	w.sleep(25 * time.Hour)
	if got := w.poll(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("a day later: got %v", got)
	}
	if s := w.log.String(); strings.Contains(s, a.challenge) || strings.Contains(s, "level=ERROR") {
		t.Errorf("log: %s", s)
	}
}

func TestDenial(t *testing.T) {
	w := approving(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	w.send(a)
	w.approve()
	r := w.waiting()
	if err := w.s.Deny(t.Context(), approvers, approver, r.ID, "no such laptop"); err != nil { // second thoughts
		t.Fatal(err)
	}
	for name, got := range map[string]answer{"poll": w.poll(a), "sent again": w.send(a)} {
		if !got.refused("2", scep.ErrRequestDenied) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	for name, err := range map[string]error{
		"approve": w.s.Approve(t.Context(), approvers, approver, r.ID), "deny": w.s.Deny(t.Context(), approvers, approver, r.ID, ""),
	} {
		if !errors.Is(err, scep.ErrRequestDecided) {
			t.Errorf("%s once more: got %v, want ErrRequestDecided", name, err)
		}
	}
	if r := w.waiting(); r.State != scep.RequestDenied || r.Reason != "no such laptop" || r.Decider != approver || w.certificates() != 0 {
		t.Errorf("the request is %+v", r)
	}
	// A new challenge begins anew, with the same key and transaction.
	b := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	if got := w.send(b); got.status != "3" {
		t.Fatalf("another challenge: got %v", got)
	}
	w.approve()
	if got := w.poll(b); got.cert == nil {
		t.Errorf("another challenge, approved: got %v", got)
	}
}

func TestWhoDecides(t *testing.T) {
	w := approving(t)
	w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	r := w.waiting()
	for _, c := range []struct {
		name      string
		err, want error
	}{ // in this order
		{"himself", w.s.Approve(t.Context(), approvers, w.user.ID, r.ID), scep.ErrRequestOwn},
		{"unknown", w.s.Approve(t.Context(), approvers, approver, "x"), scep.ErrRequestUnknown},
		{"long reason", w.s.Deny(t.Context(), approvers, approver, r.ID, strings.Repeat("x", 201)), scep.ErrRequestReason},
		{"his own no", w.s.Deny(t.Context(), approvers, w.user.ID, r.ID, ""), nil},
		{"after that", w.s.Approve(t.Context(), approvers, approver, r.ID), scep.ErrRequestDecided},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
}

// What is left too long, or whose challenge was replaced, gives nothing; and
// it may wait longer than the challenge lives.
func TestRequestsEnd(t *testing.T) {
	t.Run("challenge expired", func(t *testing.T) {
		w := approving(t)
		a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
		w.send(a)
		w.sleep(3 * 24 * time.Hour)
		w.approve()
		if got := w.poll(ask{}); got.cert == nil {
			t.Errorf("got %v, want a certificate", got)
		}
	})
	for name, approved := range map[string]bool{"open": false, "approved": true} {
		t.Run(name+" and expired", func(t *testing.T) {
			w := approving(t)
			w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
			if approved {
				w.approve()
			}
			w.sleep(7 * 24 * time.Hour)
			if got := w.poll(ask{}); !got.refused("2", scep.ErrRequestExpired) {
				t.Errorf("got %v", got)
			}
			if r := w.waiting(); r.State != scep.RequestExpired {
				t.Errorf("it is %s", r.State)
			}
		})
		t.Run(name+" and replaced", func(t *testing.T) {
			w := approving(t)
			w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
			if approved {
				w.approve()
			}
			w.challenge(scep.MailSigning)
			if got := w.poll(ask{}); !got.refused("2", scep.ErrChallengeVoid) {
				t.Errorf("got %v", got)
			}
		})
	}
}

type full struct{ scep.Store }

func (full) RequestMade(context.Context, scep.Request, journal.Entry) error {
	return scep.ErrRequestsMany
}

// That too many wait is no fault of the client's: its challenge stays good.
func TestTooManyRequests(t *testing.T) {
	var real scep.Store
	w := approving(t, func(c *scep.Config) { real, c.Store = c.Store, full{c.Store} })
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	for range scep.MaxAttempts + 1 {
		if got := w.send(a); !got.refused("2", scep.ErrRequestsMany) {
			t.Fatal(got)
		}
	}
	w.config.Store = real
	w.restart()
	if got := w.send(a); got.status != "3" {
		t.Errorf("with room again: got %v, want PENDING", got)
	}
}

// Whose user or device is gone gets nothing, and takes no serial numbers.
func TestApprovalOfTheGone(t *testing.T) {
	for name, before := range map[string]bool{"before the approval": true, "after it": false} {
		w := approving(t)
		w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
		if before {
			w.remove()
			if err := w.s.Approve(t.Context(), approvers, approver, w.waiting().ID); !errors.Is(err, scep.ErrHolder) {
				t.Errorf("%s: got %v, want ErrHolder", name, err)
			}
			continue
		}
		w.approve()
		w.remove()
		for range 3 {
			if got := w.poll(ask{}); !got.refused("2", scep.ErrHolder) {
				t.Errorf("%s: got %v", name, got)
			}
		}
		raw := must(sql.Open("sqlite", w.path))(t)
		defer raw.Close()
		n := 0
		if err := raw.QueryRow(`SELECT COUNT(*) FROM issuance`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d serial numbers were taken, %v", n, err)
		}
	}
}

// A renewal waits as well, and the old key asks what became of it.
func TestApprovedRenewal(t *testing.T) {
	w := approving(t)
	w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	w.approve()
	first := w.poll(ask{})
	w.sleep(300 * 24 * time.Hour)
	renewal := ask{kind: "17", from: client{newClient(1).key, first.cert}, key: rsaKey(2), transaction: "T-2"}
	if got := w.send(renewal); got.status != "3" {
		t.Fatalf("got %v, want PENDING", got)
	}
	w.approve()
	got := w.poll(renewal)
	if got.cert == nil || got.cert.Subject.String() != first.cert.Subject.String() || w.certificates() != 2 {
		t.Errorf("got %v", got)
	}
	if again := w.send(renewal); again.cert == nil || !bytes.Equal(again.cert.Raw, got.cert.Raw) {
		t.Errorf("sent again: got %v", again)
	}
}

// Between the question and the answer there are days: the certificate that was
// to be renewed may be revoked meanwhile, before or after somebody approved.
func TestRenewalOfTheRevokedWaits(t *testing.T) {
	for _, early := range []bool{true, false} {
		w := approving(t)
		w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
		w.approve()
		first := w.poll(ask{})
		w.sleep(300 * 24 * time.Hour)
		renewal := ask{kind: "17", from: client{newClient(1).key, first.cert}, key: rsaKey(2), transaction: "T-2"}
		if got := w.send(renewal); got.status != "3" {
			t.Fatalf("got %v, want PENDING", got)
		}
		revoke := func() {
			if err := w.s.Revoke(t.Context(), approvers, cert.FingerprintOf(first.cert.Raw), "keyCompromise"); err != nil {
				t.Fatal(err)
			}
		}
		if early {
			revoke()
			w.approve()
		} else {
			w.approve()
			revoke()
		}
		for what, got := range map[string]answer{"asked again": w.poll(renewal), "sent again": w.send(renewal)} {
			if !got.refused("2", scep.ErrRenewalOver) || w.certificates() != 1 {
				t.Errorf("revoked early %v, %s: got %v and %d certificates", early, what, got, w.certificates())
			}
		}
	}
}

// What was approved for an address is nothing when that is another's by then.
func TestApprovedForAnotherAddress(t *testing.T) {
	w := approving(t)
	w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	w.approve()
	w.moves()
	if got := w.poll(ask{}); !got.refused("2", scep.ErrAddressGone) || w.certificates() != 0 {
		t.Errorf("got %v", got)
	}
}

// Of many polls at once, each gets the one certificate.
func TestPollRace(t *testing.T) {
	w := approving(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	w.send(a)
	w.approve()
	messages := [][]byte{}
	for n := range 12 {
		b := a.defaults()
		if n%2 == 0 {
			messages = append(messages, w.message(b))
			continue
		}
		b.kind = "20"
		messages = append(messages, w.wrap(b, w.issuerAndSubject()))
	}
	answers := make([]answer, len(messages))
	var wg sync.WaitGroup
	for n := range messages {
		wg.Go(func() { answers[n] = w.deliver(a, messages[n]) })
	}
	wg.Wait()
	for _, got := range answers {
		if got.cert == nil || !bytes.Equal(got.cert.Raw, answers[0].cert.Raw) {
			t.Errorf("got %v", got)
		}
	}
	if w.certificates() != 1 {
		t.Errorf("%d certificates on record, want 1", w.certificates())
	}
}

// Wherever the process dies, the next poll gets the one certificate.
func TestDyingAfterApproval(t *testing.T) {
	for _, step := range []string{"before the reservation", "after the reservation", "before the certificate is stored", "after the certificate is stored"} {
		t.Run(step, func(t *testing.T) {
			dying := &failing{step: step}
			w := approving(t, func(c *scep.Config) { dying.Store, c.Store = c.Store, dying })
			w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
			w.approve()
			if got := w.poll(ask{}); got.text != "internal" {
				t.Fatalf("got %v, want an internal failure", got)
			}
			dying.step = ""
			w.restart()
			if got := w.poll(ask{}); got.cert == nil || w.certificates() != 1 {
				t.Errorf("got %v, %d certificates", got, w.certificates())
			}
		})
	}
}

// A CertPoll whose envelope does not open, or opens to something else, is
// answered like any other that does not.
func TestUnreadablePoll(t *testing.T) {
	w := approving(t)
	w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	names := w.issuerAndSubject()
	for name, content := range map[string][]byte{
		"nothing": {}, "garbage": {1, 2, 3}, "one name": names[:len(names)/2], "more": append(bytes.Clone(names), 0),
		"numbers": {0x30, 6, 2, 1, 1, 2, 1, 1}, "three": {0x30, 6, 0x30, 0, 0x30, 0, 0x30, 0},
	} {
		a := ask{kind: "20"}
		if got := w.deliver(a, w.wrap(a, content)); !got.refused("1", scep.ErrUnreadable) {
			t.Errorf("%s: got %v, want badMessageCheck", name, got)
		}
	}
}

func TestNoApprovalOfIdentities(t *testing.T) {
	w := newWorld(t)
	profiles(&w.config)[0].Approval = true
	c := w.config
	c.Keeper = w.keeper
	if _, err := scep.New(c); !errors.Is(err, scep.ErrProfileInvalid) {
		t.Errorf("got %v, want ErrProfileInvalid", err)
	}
}
