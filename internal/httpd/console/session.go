package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
)

// Addresses of signing in and out.
const (
	signInPath  = Path + "sign-in"
	signOutPath = Path + "sign-out"
)

// cookie is bound to this host and to HTTPS by its prefix. It is another than
// that of the users' pages: an administrator is a user too.
const cookie = "__Host-signet-console"

// Sessions are the stays of administrators.
type Sessions interface {
	// OpenConsole opens a session of the caller, who has shown a token.
	OpenConsole(ctx context.Context, by httpd.Caller) (seal.Secret, error)
	// Console gives the caller whose session is presented, or
	// access.ErrConsole, also when his token has ended.
	Console(ctx context.Context, presented, remote string) (httpd.Caller, error)
	// CloseConsole ends the session that the caller is in.
	CloseConsole(ctx context.Context, by httpd.Caller) error
}

// guard knows who is signed in.
func (p console) guard(r *http.Request, remote string) (httpd.Caller, error) {
	c, err := r.Cookie(cookie)
	if err != nil || c.Value == "" {
		return httpd.Caller{}, access.ErrConsole
	}
	return p.Sessions.Console(r.Context(), c.Value, remote)
}

func (p console) askSignIn(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	return p.writeSignIn(w, http.StatusOK, "")
}

func (p console) writeSignIn(w http.ResponseWriter, status int, wrong string) error {
	return p.html.Write(w, status, "sign-in", httpd.View{Title: "Sign in", Data: map[string]any{"Action": signInPath, "Wrong": wrong}})
}

// signIn takes the token, once, for a session. What is no token, has expired, was
// revoked or is of a disabled user looks the same.
func (p console) signIn(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	if err := r.ParseForm(); err != nil {
		return httpd.ErrBody.With(err)
	}
	caller, err := p.Tokens.Token(r.Context(), strings.TrimSpace(r.PostForm.Get("token")), by.Actor.Remote)
	switch f := httpd.FaultOf(err); {
	case err == nil:
	case f.Code == access.ErrUnauthenticated.Code:
		return p.writeSignIn(w, http.StatusUnauthorized, "This is no token that is good now. It may have expired or been revoked.")
	default:
		return err
	}
	session, err := p.Sessions.OpenConsole(r.Context(), caller)
	if err != nil {
		return err
	}
	p.leave(r, by.Actor.Remote)
	setCookie(w, session.RevealString(), int(access.ConsoleLife.Seconds()))
	http.Redirect(w, r, Path, http.StatusSeeOther)
	return nil
}

// leave ends the session that the browser had before, if there is one.
func (p console) leave(r *http.Request, remote string) {
	if old, err := p.guard(r, remote); err == nil {
		p.Sessions.CloseConsole(r.Context(), old) // it ends by itself otherwise
	}
}

// signOut ends the session, here and on the server.
func (p console) signOut(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	if err := p.Sessions.CloseConsole(r.Context(), by); err != nil {
		return err
	}
	setCookie(w, "", -1)
	http.Redirect(w, r, signInPath, http.StatusSeeOther)
	return nil
}

// setCookie gives the browser its session for so many seconds; fewer than none
// takes it away.
func setCookie(w http.ResponseWriter, secret string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: secret, Path: "/", MaxAge: seconds,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
