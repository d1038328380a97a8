package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// get asks for a path with a token.
func (w *world) get(t *testing.T, token, path string, out any) int {
	t.Helper()
	r, err := http.NewRequest("GET", w.url+admin.Prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// A list is read part by part, each thing once, in one order; what comes in
// the meantime moves nothing.
func TestParts(t *testing.T) {
	w := newWorld(t)
	c, token := w.as(t, access.Admin), w.token(t, access.Admin).RevealString()
	for i := range 7 {
		if _, err := c.AddUser(t.Context(), admin.NewUser{Mail: fmt.Sprintf("u%d@example.com", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for path, key := range map[string]string{"/users": "mail", "/tokens": "id", "/journal": "id"} {
		var seen []string
		for after := ""; ; {
			var part struct {
				Items []map[string]any
				Next  string
			}
			w.get(t, token, path+"?limit=2&after="+after, &part)
			for _, item := range part.Items {
				seen = append(seen, item[key].(string))
			}
			if path != "/users" { // the newest is before what was read
				w.token(t, access.Auditor)
			}
			if after = part.Next; after == "" {
				break
			}
			if len(part.Items) != 2 {
				t.Errorf("%s: a part has %d items, want 2", path, len(part.Items))
			}
		}
		var whole struct{ Items []map[string]any }
		w.get(t, token, path, &whole)
		old := whole.Items[len(whole.Items)-len(seen):]
		for i, item := range old {
			if item[key] != seen[i] {
				t.Errorf("%s: part by part %v, at once %v", path, seen, old)
				break
			}
		}
		if len(seen) < 2 {
			t.Errorf("%s: got %v", path, seen)
		}
	}
}

func TestPartsOfDevices(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, access.Helpdesk).RevealString()
	w.devices.list = []mdm.Device{{Device: subject.Device{ID: "d-2"}, CreatedAt: at}, {Device: subject.Device{ID: "d-1"}, CreatedAt: at}}
	var part struct {
		Items []admin.Device
		Next  string
	}
	w.get(t, token, "/devices?limit=1", &part)
	if len(part.Items) != 1 || part.Next == "" || w.devices.asked.Limit != 2 {
		t.Fatalf("got %+v after %+v", part, w.devices.asked)
	}
	w.get(t, token, "/devices?limit=1&after="+part.Next, &part)
	if q := w.devices.asked; !q.Before.Equal(at) || q.ID != "d-2" {
		t.Errorf("the next part was asked for with %+v", q)
	}
}

// What is no place in a list is refused, as is a part that is too large.
func TestRefusedParts(t *testing.T) {
	w := newWorld(t)
	if _, err := w.as(t, access.Admin).AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	token := w.token(t, access.Admin).RevealString()
	for query, want := range map[string]string{
		"after=!":                            "cursor_invalid",
		"after=YQ":                           "cursor_invalid", // no time
		"after=LTEuYQ":                       "cursor_invalid", // before 1970
		"after=" + strings.Repeat("Y", 2000): "request_invalid",
		"limit=0":                            "request_invalid",
		"limit=501":                          "request_invalid",
		"limit=x":                            "request_invalid",
		"page=2":                             "request_invalid",
	} {
		for _, path := range []string{"/users", "/tokens", "/journal", "/devices", "/users/alice@example.com/keys"} {
			if path == "/users" && (query == "after=YQ" || query == "after=LTEuYQ") {
				continue // any text is a place among addresses
			}
			var p struct{ Code string }
			if status := w.get(t, token, path+"?"+query, &p); p.Code != want || status < 400 {
				t.Errorf("%s?%.20s: got %d %s, want %s", path, query, status, p.Code, want)
			}
		}
	}
}

// The client gives whole lists, however many parts they have.
func TestClientReadsAllParts(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	const n = 503
	for i := range n {
		u := subject.User{Mail: fmt.Sprintf("u%04d@example.com", i)}
		if _, err := w.users.Add(t.Context(), journal.Actor{Kind: journal.Local, ID: "test"}, u); err != nil {
			t.Fatal(err)
		}
	}
	users, err := c.Users(t.Context())
	if err != nil || len(users) != n || users[n-1].Mail != "u0502@example.com" {
		t.Errorf("got %d users, %v", len(users), err)
	}
	for _, limit := range []int{1, 500, 501, n} {
		if lines, err := c.Journal(t.Context(), limit, "", ""); err != nil || len(lines) != limit {
			t.Errorf("got %d lines, %v; want %d", len(lines), err, limit)
		}
	}
}
