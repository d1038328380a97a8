package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

func testApprovers(t *testing.T, c *council) {
	erin := addUser(t, c.db, "erin@example.com")
	a := access.Appointee{User: string(erin.ID), Address: erin.Mail, Appointed: at, Mark: []byte("mark")}
	if err := c.ApproverAppointed(t.Context(), a, 4, access.Backing{}, entry(journal.ApproverAdded)); !errors.Is(err, access.ErrApproverConsent) {
		t.Errorf("a fifth without consent: got %v, want ErrApproverConsent", err)
	}
	backing := func(id string) access.Backing {
		of := c.asked(id, "alice", "alice")
		c.must(c.approve(of, "bob", "bob"))
		c.must(c.approve(of, "carol", "carol"))
		return access.Backing{ID: of.ID, Digest: of.Digest()}
	}
	b := backing("c-1")
	c.must(c.ApproverAppointed(t.Context(), a, 4, b, entry(journal.ApproverAdded)))
	if err := c.ApproverAppointed(t.Context(), a, 4, b, entry(journal.ApproverAdded)); !errors.Is(err, access.ErrConsentOver) {
		t.Errorf("by the same consent: got %v, want ErrConsentOver", err)
	}
	if err := c.ApproverAppointed(t.Context(), a, 9, access.Backing{}, entry(journal.ApproverAdded)); !errors.Is(err, access.ErrApproverAlready) {
		t.Errorf("twice: got %v, want ErrApproverAlready", err)
	}
	list, err := c.Approvers(t.Context())
	if err != nil || len(list) != 5 || !hasAppointee(list, a) {
		t.Errorf("got %v, %v", list, err)
	}
	moved := erin
	moved.Mail = "erin@example.org"
	if err := c.db.Directory().UserChanged(t.Context(), erin, moved, entry(journal.UserChanged)); !errors.Is(err, directory.ErrMailBound) {
		t.Errorf("another address: got %v, want ErrMailBound", err)
	}

	link := seal.Random().Hash()
	l := access.ApproverLink{User: a.User, Expires: at.Add(time.Hour), Mark: []byte("mark")}
	c.must(c.ApproverLinkMade(t.Context(), l, seal.Random().Hash(), entry(journal.ApproverLinked)))
	c.must(c.ApproverLinkMade(t.Context(), l, link, entry(journal.ApproverLinked)))
	if got, err := c.ApproverLink(t.Context(), link); err != nil || !cmp.Equal(got, l) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.ApproverLink(t.Context(), seal.Random().Hash()); !errors.Is(err, access.ErrApproverLink) {
		t.Errorf("another: got %v, want ErrApproverLink", err)
	}
	late := entry(journal.TokenCreated)
	late.At = l.Expires
	cred := access.Credential{Token: access.Token{ID: "late", Name: "x", Role: access.Approver, User: a.User, Created: at, Expires: at.Add(time.Hour)}, Mark: []byte("own"), Hash: seal.Random().Hash()}
	if err := c.CredentialMade(t.Context(), link, cred, late); !errors.Is(err, access.ErrApproverLink) {
		t.Errorf("expired: got %v, want ErrApproverLink", err)
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		cred := cred
		cred.ID = string(rune('a' + i))
		cred.Hash = seal.SecretString(cred.ID).Hash()
		wg.Go(func() {
			errs[i] = c.CredentialMade(t.Context(), link, cred, entry(journal.TokenCreated))
		})
	}
	wg.Wait()
	made := ""
	for i, err := range errs {
		if err == nil {
			made += string(rune('a' + i))
		} else if !errors.Is(err, access.ErrApproverLink) {
			t.Error(err)
		}
	}
	if len(made) != 1 {
		t.Fatalf("made %q with one link", made)
	}
	cred.ID, cred.Hash = made, seal.SecretString(made).Hash()
	if got, err := c.Credential(t.Context(), made); err != nil || !cmp.Equal(got, cred) {
		t.Errorf("got %+v, %v", got, err)
	}

	c.must(c.ApproverRemoved(t.Context(), a.User, backing("c-2"), entry(journal.ApproverRemoved)))
	if got, err := c.Credential(t.Context(), made); err != nil || got.Revoked.IsZero() {
		t.Errorf("the credential of who is removed: got %+v, %v", got, err)
	}
	if err := c.ApproverRemoved(t.Context(), a.User, backing("c-3"), entry(journal.ApproverRemoved)); !errors.Is(err, access.ErrApproverUnknown) {
		t.Errorf("removed twice: got %v, want ErrApproverUnknown", err)
	}
	c.must(c.ApproverAppointed(t.Context(), a, 4, backing("c-4"), entry(journal.ApproverAdded)))
}

func hasAppointee(list []access.Appointee, a access.Appointee) bool {
	for _, p := range list {
		if cmp.Equal(p, a) {
			return true
		}
	}
	return false
}
