package scep_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/scep"
)

// decideWhenAsked lets a person decide on the request that is open, once there is one.
func (w *world) decideWhenAsked(decide func(id string) error) (decided chan error) {
	decided = make(chan error, 1)
	go func() {
		for range 300 {
			list, err := w.s.Requests(w.t.Context(), scep.RequestQuery{State: scep.RequestOpen, Limit: 1})
			if err != nil || len(list) == 1 {
				if err == nil {
					err = decide(list[0].ID)
				}
				decided <- err
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		decided <- scep.ErrRequestUnknown
	}()
	return decided
}

// strongSwan polls until a person has decided, when it enrolls and when it
// renews.
func TestStrongSwanWaits(t *testing.T) {
	judge.Need(t, "pki", "openssl")
	w := approving(t, func(c *scep.Config) { profiles(c)[1].RenewWithin = profiles(c)[1].Life })
	url := w.serve(scep.MailSigning)
	a := strongSwanCA(t, url)
	approve := func(id string) error { return w.s.Approve(t.Context(), approvers, approver, id) }
	deny := func(id string) error { return w.s.Deny(t.Context(), approvers, approver, id, "no") }

	key, said := newKey(t), w.decideWhenAsked(approve)
	c := a.enroll(t, url, key, "--password", w.challenge(scep.MailSigning).RevealString(), "--interval", "1", "--maxpolltime", "60")
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	w.judge(a, scep.MailSigning, c)

	next, said := newKey(t), w.decideWhenAsked(approve)
	renewed := a.enroll(t, url, next, "--cert", file(t, "old.der", c.Raw), "--key", file(t, "old-key.der", key), "--interval", "1", "--maxpolltime", "60")
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	w.judge(a, scep.MailSigning, renewed)
	if renewed.Equal(c) || w.certificates() != 2 {
		t.Errorf("%d certificates on record, want 2", w.certificates())
	}

	said = w.decideWhenAsked(deny)
	heard := judge.Refuses(t, nil, "pki", "--scep", "--url", url, "--in", file(t, "key.der", newKey(t)), "--dn", "CN=x",
		"--password", w.challenge(scep.MailSigning).RevealString(), "--interval", "1", "--maxpolltime", "60",
		"--cacert-enc", a.ra, "--cacert-sig", a.ra, "--cacert", a.issuing, "--cacert", a.root)
	if err := <-said; err != nil || !contains(heard, "badRequest") {
		t.Errorf("denied: %v, and strongSwan says:\n%s", err, heard)
	}
}

// An iPhone waits for half a minute at most: for who decides in that time.
func TestPhoneWaits(t *testing.T) {
	for name, c := range map[string]struct {
		retries int
		ok      bool
	}{"decided in time": {30, true}, "not in time": {0, false}} {
		t.Run(name, func(t *testing.T) {
			w := approving(t)
			said := w.decideWhenAsked(func(id string) error { return w.s.Approve(t.Context(), approvers, approver, id) })
			_, err := phone.New(phone.Config{OSVersion: "18.2", HTTP: http.DefaultClient}).SCEP(t.Context(), phone.SCEPRequest{
				URL: w.serve(scep.MailSigning), Challenge: w.challenge(scep.MailSigning).RevealString(), Keysize: 2048, KeyUsage: 1,
				Subject: [][][]string{{{"CN", "x"}}}, Key: newClient(1).key, Retries: c.retries, RetryDelay: time.Second})
			failure, _ := errors.AsType[*phone.SCEPFailure](err)
			if c.ok != (err == nil) || !c.ok && (failure == nil || !failure.Pending) {
				t.Errorf("got %v", err)
			}
			if err := <-said; err != nil {
				t.Error(err)
			}
		})
	}
}
