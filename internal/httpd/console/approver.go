package console

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
)

// ApproverPath is where approvers make their token; a link is behind it.
const ApproverPath = Path + "approver/"

// Credentials gives approvers their tokens.
type Credentials interface {
	// TakeCredential uses a link up and gives its approver his token, this once;
	// access.ErrApproverLink.
	TakeCredential(ctx context.Context, link, remote string) (access.Token, seal.Secret, error)
}

// askCredential asks first, because programs look at links.
func (p console) askCredential(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	return p.html.Write(w, http.StatusOK, "approver", httpd.View{Title: "Your token", Data: map[string]any{"Secret": ""}})
}

// credential uses the link up and shows the token, this once.
func (p console) credential(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	token, secret, err := p.Credentials.TakeCredential(r.Context(), mux.Vars(r)["link"], by.Actor.Remote)
	if err != nil {
		return err
	}
	return p.html.Write(w, http.StatusOK, "approver", httpd.View{Title: "Your token", Data: map[string]any{"Secret": secret.RevealString(), "Expires": token.Expires, "SignIn": signInPath}})
}
