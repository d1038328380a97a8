package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// keyed posts under a key, and gives the status and the code.
func (w *world) keyed(t *testing.T, token, key, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("POST", w.url+admin.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header["Idempotency-Key"] = []string{key}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var p struct{ Code string }
	if b, err := io.ReadAll(res.Body); err != nil || json.Unmarshal(b, &p) != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if res.StatusCode < 400 {
		p.Code = "" // of an invitation
	}
	return res.StatusCode, p.Code
}

// A request that comes twice under one key makes one thing; one that was
// refused may come again, and callers do not know each other's keys.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	one, two := w.token(t, access.Admin).RevealString(), w.token(t, access.Admin).RevealString()
	const alice, bob, nobody = `{"mail":"alice@example.com"}`, `{"mail":"bob@example.com"}`, `{"mail":"nobody"}`
	for i, c := range []struct {
		token, key, path, body string
		status                 int
		code                   string
	}{
		{one, "k-1", "/users", alice, 201, ""},
		{one, "k-1", "/users", alice, 409, "idempotency_key_reused"},
		{one, "k-1", "/users", bob, 409, "idempotency_key_reused"},
		{one, "k-1", "/tokens", `{"name":"x","role":"auditor"}`, 409, "idempotency_key_reused"},
		{two, "k-1", "/users", bob, 201, ""},
		{one, "k-2", "/users", nobody, 400, "address_invalid"},
		{one, "k-2", "/users", `{`, 400, "request_invalid"},
		{one, "k-2", "/users", `{"mail":"carol@example.com"}`, 201, ""},
		{one, "k-3", "/users/alice@example.com/invitations", "", 201, ""},
		{one, "k-3", "/users/alice@example.com/invitations", "", 409, "idempotency_key_reused"},
		{one, "k-4", "/challenges", `{"profile":"smime-signing","user":"alice@example.com"}`, 201, ""},
		{one, "k-5", "/jobs?dryRun=true", `{"kind":"device.refresh","all":true}`, 200, ""},
		{one, "k-5", "/jobs", `{"kind":"device.refresh","all":true}`, 202, ""},
		{one, "k-5", "/jobs", `{"kind":"device.refresh","all":true}`, 409, "idempotency_key_reused"},
		{one, "", "/users", alice, 400, "idempotency_key_invalid"},
		{one, strings.Repeat("x", 201), "/users", alice, 400, "idempotency_key_invalid"},
		{one, "\u00fc", "/users", alice, 400, "idempotency_key_invalid"},
	} {
		if status, code := w.keyed(t, c.token, c.key, c.path, c.body); status != c.status || code != c.code {
			t.Errorf("request %d: got %d %s, want %d %s", i, status, code, c.status, c.code)
		}
	}
}

// Of many that come at once, one makes it.
func TestOnceAtATime(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, access.Admin).RevealString()
	statuses := make([]int, 8)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i], _ = w.keyed(t, token, "k", "/tokens", `{"name":"x","role":"auditor"}`) })
	}
	wg.Wait()
	made := 0
	for _, s := range statuses {
		if s == http.StatusCreated {
			made++
		}
	}
	if made != 1 {
		t.Errorf("got %v, want one 201", statuses)
	}
}
