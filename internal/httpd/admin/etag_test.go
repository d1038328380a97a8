package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// ask makes a request as an administrator, with If-Match unless it is empty,
// and gives status, ETag and body.
func (w *world) ask(t *testing.T, method, path, contentType, ifMatch, body string) (int, string, string) {
	t.Helper()
	r, err := http.NewRequest(method, w.url+admin.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+w.token(t, access.Admin).RevealString())
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("ETag"), string(text)
}

// Who changes a user he looked at does not undo what another changed since.
func TestChangeUser(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	if _, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com", Name: "Alice", Aliases: []string{"a@example.com"}}); err != nil {
		t.Fatal(err)
	}
	const path, kind = "/users/alice@example.com", "application/json"
	_, seen, _ := w.ask(t, "GET", path, kind, "", "")
	if !strings.HasPrefix(seen, `"`) {
		t.Fatalf("ETag %q", seen)
	}
	status, next, body := w.ask(t, "PATCH", path, kind, seen, `{"name":"Alice Example"}`)
	var u admin.UserDetail
	if err := json.Unmarshal([]byte(body), &u); err != nil || status != 200 || u.Name != "Alice Example" || len(u.Aliases) != 1 || next == seen {
		t.Fatalf("got %d %s, %v; ETag %s after %s", status, body, err, next, seen)
	}
	for name, c := range map[string]struct {
		ifMatch, body string
		status        int
		code          string
	}{
		"as it was":      {seen, `{"name":"A"}`, 412, "precondition_failed"},
		"another tag":    {`"x"`, `{"name":"A"}`, 412, "precondition_failed"},
		"as it is":       {`"x", ` + next, `{"disabled":false}`, 200, ""},
		"whatever it is": {"*", `{"surname":""}`, 200, ""},
		"unasked":        {"", `{"givenName":""}`, 200, ""},
		"no address":     {"", `{"mail":"alice"}`, 400, "address_invalid"},
		"unknown member": {"", `{"groups":[]}`, 422, "request_invalid"},
	} {
		if status, _, body := w.ask(t, "PATCH", path, kind, c.ifMatch, c.body); status != c.status || c.code != "" && !strings.Contains(body, c.code) {
			t.Errorf("%s: got %d %s, want %d %s", name, status, body, c.status, c.code)
		}
	}
	disabled, aliases := true, []string{}
	u, err := c.UpdateUser(t.Context(), "alice@example.com", admin.UserChange{Disabled: &disabled, Aliases: &aliases})
	if err != nil || !u.Disabled || len(u.Aliases) != 0 || u.Name != "Alice Example" {
		t.Errorf("got %+v, %v", u, err)
	}
}

// What was shown by a dry run is what is applied, or nothing.
func TestApplyWhatWasSeen(t *testing.T) {
	w := newWorld(t)
	const kind, docs = "application/yaml", "kind: Policy\n"
	status, seen, _ := w.ask(t, "POST", "/apply?dryRun=true", kind, "", docs)
	if status != 200 || seen != `"r-1"` {
		t.Fatalf("got %d, ETag %s", status, seen)
	}
	for ifMatch, want := range map[string]int{seen: 200, "*": 200, `"r-0"`: 412} {
		if status, _, body := w.ask(t, "POST", "/apply", kind, ifMatch, docs); status != want {
			t.Errorf("If-Match %s: got %d %s, want %d", ifMatch, status, body, want)
		}
	}
}
