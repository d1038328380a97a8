package landing

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
)

// How many may ask for a link at a time, and how long the answer takes: always
// the same, so that nobody learns from it who is a user here.
const (
	askers     = 32
	askersEach = 2
	askTime    = time.Second
)

// fail offers a new link to who has no session.
func (p pages) fail(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	if f.Code == access.ErrSession.Code && p.Links != nil {
		view := httpd.View{Title: "Your secure mail", Data: askPath}
		if p.html.Write(w, status, "ask", view) == nil {
			return
		}
	}
	p.html.Fail(w, r, status, f)
}

// ask mails a link to a user, and says the same to everybody.
func (p pages) ask(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	if p.Links == nil {
		return httpd.ErrNotFound
	}
	leave := p.asking.Enter(r)
	if leave == nil {
		return httpd.ErrBusy
	}
	defer leave()
	done := time.After(askTime)
	if err := r.ParseForm(); err != nil {
		return httpd.ErrBody.With(err)
	}
	if err := p.Links.MailLink(r.Context(), by.Actor.Remote, strings.TrimSpace(r.PostForm.Get("address"))); err != nil {
		return fmt.Errorf("mailing a link: %w", err)
	}
	select {
	case <-done:
	case <-r.Context().Done():
	}
	return p.html.Write(w, http.StatusOK, "asked", httpd.View{Title: "Look into your mail"})
}
