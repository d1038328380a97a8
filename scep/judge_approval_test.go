package scep_test

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
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
