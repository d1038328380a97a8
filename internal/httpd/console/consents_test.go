package console_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// approver is a window of somebody who was appointed, and made his token himself.
func (w *world) approver(name string) browser {
	w.t.Helper()
	u, err := w.users.Add(w.t.Context(), journal.Worker("test"), subject.User{Mail: name + "@example.com", Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	var link string
	if err := w.consents.Appoint(w.t.Context(), access.Local(), string(u.ID), u.Mail, ""); err != nil {
		w.t.Fatal(err)
	}
	err = w.consents.Link(w.t.Context(), access.Local(), string(u.ID), u.Mail, func(_ context.Context, l seal.Secret, _ time.Time) error {
		link = "/admin/approver/" + l.RevealString()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	b := w.browser()
	for range 2 { // looking is not using
		if res, page := b.get(link); res.StatusCode != http.StatusOK || strings.Contains(page, "signet_") {
			w.t.Fatalf("the link: got %s %s", res.Status, page)
		}
	}
	_, page := b.post(link, nil)
	token := regexp.MustCompile(`signet_[A-Z0-9]+`).FindString(page)
	if res, page := w.browser().post(link, nil); res.StatusCode != http.StatusUnauthorized || strings.Contains(page, "signet_") {
		w.t.Fatalf("the link again: got %s %s", res.Status, page)
	}
	if res, _ := b.post("/admin/sign-in", url.Values{"token": {token}}); res.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("signing in: got %s", res.Status)
	}
	return b
}

// What several people must agree to is decided on in the console, by those who
// did not ask for it.
func TestConsent(t *testing.T) {
	w := newWorld(t)
	alice, token := w.signedIn(access.Admin, "alice")
	ask := func() string {
		by := access.Caller{Actor: journal.Actor{Kind: journal.Admin, ID: token.ID}, Role: token.Role, User: token.User}
		c, err := w.consents.Ask(context.Background(), by, access.Ask{Kind: "key.export", Request: nasty, Sentence: "Export " + nasty})
		if err != nil {
			t.Fatal(err)
		}
		return "/admin/consents/" + c.ID
	}
	page := ask()
	bob, carol := w.approver("bob"), w.approver("carol")
	if _, list := bob.get("/admin/approvals"); !strings.Contains(list, page) || strings.Contains(list, nasty) {
		t.Errorf("the list: got %s", list)
	}
	if _, text := alice.get(page); !strings.Contains(text, "You asked for this") || strings.Contains(text, "/approve\"") || strings.Contains(text, nasty) {
		t.Errorf("for who asked: got %s", text)
	}
	if res, _ := alice.post(page+"/approve", nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("approved by who asked: got %s", res.Status)
	}
	for _, b := range []browser{bob, carol} {
		if res, _ := b.post(page+"/approve", nil); res.StatusCode != http.StatusSeeOther {
			t.Errorf("approving: got %s", res.Status)
		}
	}
	if _, text := carol.get(page); !strings.Contains(text, ", agreed") || !strings.Contains(text, "bob") {
		t.Errorf("agreed: got %s", text)
	}
	if res, _ := bob.post(page+"/deny", url.Values{"reason": {"not now"}}); res.StatusCode != http.StatusSeeOther {
		t.Errorf("denying: got %s", res.Status)
	}
	if _, text := alice.get(page); !strings.Contains(text, "not now") {
		t.Errorf("denied: got %s", text)
	}
	other := ask()
	if res, _ := alice.post(other+"/cancel", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("cancelling: got %s", res.Status)
	}
}
