package graph

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
)

// What is wrong with a request for a ticket.
var (
	ErrForm = fault.New(fault.Invalid, "oauth_request_invalid",
		"This is no request for a token.", "It is a form with grant_type, client_id and client_secret, each once.")
	ErrGrant = fault.New(fault.Invalid, "oauth_grant_unsupported",
		"Tokens are given to programs only.", "Use client_credentials: a client secret, no user and no password.")
)

// Tickets gives what is short-lived for what is not.
type Tickets interface {
	// Ticket gives a ticket for the API token with that id, and how long it is
	// good; access.ErrUnauthenticated.
	Ticket(ctx context.Context, token string) (seal.Secret, time.Duration, error)
}

// The addresses of an AD FS server that a client with a secret asks.
const (
	tokenPath   = "/adfs/oauth2/token"
	trustedPath = "/.well-known/webfinger"
)

// trustedRealm is how an AD FS authority says that it speaks for a host.
const trustedRealm = "http://schemas.microsoft.com/rel/trusted-realm"

// SignIn is what Microsoft's client library asks of an AD FS server before it
// sends the requests of [Area]: a program shows the id of an API token as
// client_id and the token as client_secret, and gets a ticket. Host is our name
// without port.
func SignIn(host string, tokens httpd.Tokens, tickets Tickets) []httpd.Area {
	if host == "" || tokens == nil || tickets == nil {
		panic("graph: nil dependency")
	}
	s := signIn{"https://" + host, httpd.Bounded(tokens), tickets}
	return []httpd.Area{
		{Render: renderOAuth, Routes: []httpd.Route{
			{Method: http.MethodPost, Path: tokenPath, Permission: httpd.Anyone, MaxBody: 16 << 10, Handle: s.ticket}}},
		{Render: render, Routes: []httpd.Route{
			{Method: http.MethodGet, Path: trustedPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: s.trusted}}},
	}
}

type signIn struct {
	host    string
	tokens  httpd.Tokens
	tickets Tickets
}

// ticket answers a program with a secret.
//
// Spec: RFC 6749 section 4.4
func (s signIn) ticket(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	defer clear(body)
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ErrForm
	}
	for _, values := range form {
		if len(values) > 1 {
			return ErrForm
		}
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	switch grant := form.Get("grant_type"); {
	case grant == "password" || grant == "authorization_code" || grant == "refresh_token":
		return ErrGrant
	case grant != "client_credentials" || id == "" || secret == "":
		return ErrForm
	}
	caller, err := s.tokens.Token(r.Context(), secret, by.Actor.Remote)
	if err != nil {
		return err
	}
	if !strings.EqualFold(caller.Actor.ID, id) {
		return access.ErrUnauthenticated
	}
	ticket, life, err := s.tickets.Ticket(r.Context(), caller.Actor.ID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]any{
		"access_token": ticket.RevealString(), "token_type": "Bearer", "expires_in": int(life.Seconds())})
}

// trusted says that we speak for our own host.
//
// Spec: RFC 7033 section 4
func (s signIn) trusted(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	q := r.URL.Query()
	if q.Get("resource") != s.host || q.Get("rel") != trustedRealm {
		return httpd.ErrNotFound
	}
	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	return answer(w, http.StatusOK, map[string]any{"subject": s.host, "links": []link{{trustedRealm, s.host}}})
}

// renderOAuth tells failures as an authorization server does.
//
// Spec: RFC 6749 section 5.2
func renderOAuth(w http.ResponseWriter, _ *http.Request, status int, f *fault.Error) {
	name := "invalid_request"
	switch {
	case f.Code == ErrGrant.Code:
		name = "unsupported_grant_type"
	case status == http.StatusUnauthorized:
		name = "invalid_client"
		w.Header().Set("WWW-Authenticate", `Bearer realm="signet"`)
	case status >= http.StatusInternalServerError:
		name = "server_error"
	}
	answer(w, status, map[string]string{"error": name, "error_description": f.Code + ": " + strings.TrimSpace(f.Msg+" "+f.Hint)})
}
