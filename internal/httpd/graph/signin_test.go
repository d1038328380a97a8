package graph_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
)

// A client with a secret, as Microsoft's library for .NET asks for its token.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	const trusted = "/.well-known/webfinger?rel=http://schemas.microsoft.com/rel/trusted-realm&resource=https://"
	status, body := w.ask(http.MethodGet, trusted+"signet.example.com", "", "")
	if want := `{"links":[{"rel":"http://schemas.microsoft.com/rel/trusted-realm","href":"https://signet.example.com"}],"subject":"https://signet.example.com"}`; status != 200 || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
	if status, body := w.ask(http.MethodGet, trusted+"other.example.com", "", ""); status != 404 {
		t.Errorf("another host: got %d %s, want 404", status, body)
	}

	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {strings.ToUpper(w.tokenID)}, "client_secret": {w.token},
		"scope": {"https://signet.example.com/graph/.default"}}
	status, body = w.ask(http.MethodPost, "/adfs/oauth2/token", form.Encode(), "")
	var got struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Type != "Bearer" || got.Expires < 3590 || got.Expires > 3600 {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
	if got.Token == w.token {
		t.Error("the API token itself came back")
	}
	if status, body := w.ask(http.MethodGet, "/graph/beta/deviceManagement/userPfxCertificates", "", got.Token); status != 200 || body != `{"value":[]}` {
		t.Errorf("with the ticket: got %d %s", status, body)
	}

	for name, c := range map[string]struct {
		key, value string
		status     int
		want       string
	}{
		"another id":       {"client_id", "00000000-0000-0000-0000-000000000001", 401, "invalid_client"},
		"another secret":   {"client_secret", "signet_AAAAAAAAAAAAAAAAAAAAAAAAAA", 401, "invalid_client"},
		"a ticket":         {"client_secret", got.Token, 401, "invalid_client"},
		"no secret":        {"client_secret", "", 400, "invalid_request"},
		"a user":           {"grant_type", "password", 400, "unsupported_grant_type"},
		"no kind of grant": {"grant_type", "", 400, "invalid_request"},
		"far too much":     {"scope", strings.Repeat("x", 1<<20), 413, "invalid_request"},
	} {
		other := url.Values{}
		for k, v := range form {
			other[k] = v
		}
		other.Set(c.key, c.value)
		if status, body := w.ask(http.MethodPost, "/adfs/oauth2/token", other.Encode(), ""); status != c.status || !strings.Contains(body, `"error":"`+c.want+`"`) {
			t.Errorf("%s: got %d %s, want %d %s", name, status, body, c.status, c.want)
		}
	}
	for _, text := range []string{"", "%zz", form.Encode() + "&client_id=x"} {
		if status, body := w.ask(http.MethodPost, "/adfs/oauth2/token", text, ""); status != 400 || !strings.Contains(body, "invalid_request") {
			t.Errorf("%.20q: got %d %s, want 400", text, status, body)
		}
	}
	if err := w.tokens.RevokeToken(t.Context(), by, w.tokenID); err != nil {
		t.Fatal(err)
	}
	if status, body := w.ask(http.MethodGet, "/graph/beta/deviceManagement/userPfxCertificates", "", got.Token); status != 401 || !strings.Contains(body, access.ErrUnauthenticated.Code) {
		t.Errorf("after the end of the token: got %d %s, want 401", status, body)
	}
}

// ask sends a request, with a form or with a token.
func (w *world) ask(method, path, form, token string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form))
	w.must(err)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	w.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.must(err)
	return res.StatusCode, string(body)
}
