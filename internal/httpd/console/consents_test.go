package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
)

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
	bob, _ := w.signedIn(access.Approver, "bob")
	carol, _ := w.signedIn(access.Approver, "carol")
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
