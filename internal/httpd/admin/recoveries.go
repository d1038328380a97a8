package admin

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
)

// Recoveries exports users' keys, sealed to a recipient, when several people
// agree.
type Recoveries interface {
	// Ask asks people to agree to an export.
	Ask(ctx context.Context, by access.Caller, u subject.User, n NewRecovery) (access.Consent, error)
	// Take gives what was sealed to the recipient, as long as it is kept.
	Take(ctx context.Context, by access.Caller, id string) ([]byte, error)
}

// NewRecovery asks for an export.
type NewRecovery struct {
	User         string   `json:"user" maxLength:"320" doc:"Whose keys: our id, an address or a UPN"`
	Certificates []string `json:"certificates,omitempty" maxItems:"200" nullable:"false" doc:"SHA-256 of the certificates, hex; all that the user has when left out"`
	Recipient    string   `json:"recipient" maxLength:"8192" doc:"Who alone can open the file: an age recipient (age1…), or an RSA certificate as PEM"`
	Format       string   `json:"format" enum:"pem,pkcs12" doc:"How the keys stand in it"`
	Reason       string   `json:"reason" maxLength:"300" doc:"Approvers and the user read it"`
}

func (a *API) recoveries() {
	register(a, operation{id: "askRecovery", once: true, tag: "keys", method: http.MethodPost, path: "/recoveries",
		summary: "Ask people to agree to an export of a user's keys", permission: access.ConsentAsk, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{directory.ErrUserUnknown, access.ErrPerson, access.ErrConsentMany, access.ErrConsentRequest, recovery.ErrRecipient,
			recovery.ErrFormat, recovery.ErrReason, recovery.ErrKeys}}, a.askRecovery)
	register(a, operation{id: "takeRecovery", tag: "keys", method: http.MethodGet, path: "/recoveries/{approval}/file",
		summary: "Take what was exported, which its recipient alone can open", permission: access.ConsentAsk, answers: octets,
		faults: []*fault.Error{access.ErrConsentUnknown, access.ErrConsentOver, access.ErrPerson}}, a.takeRecovery)
}

func (a *API) askRecovery(ctx context.Context, _ journal.Actor, in *body[NewRecovery]) (*body[Consent], error) {
	u, err := a.Users.User(ctx, in.Body.User)
	if err != nil {
		return nil, err
	}
	c, err := a.Recoveries.Ask(ctx, callOf(ctx).caller, u, in.Body)
	if err != nil {
		return nil, err
	}
	return &body[Consent]{a.consentOf(c)}, nil
}

func (a *API) takeRecovery(ctx context.Context, _ journal.Actor, in *consentPath) (*archive, error) {
	file, err := a.Recoveries.Take(ctx, callOf(ctx).caller, in.Consent)
	if err != nil {
		return nil, err
	}
	return &archive{func(c huma.Context) {
		c.SetHeader("Content-Type", octets)
		_, w := humamux.Unwrap(c)
		w.Write(file)
	}}, nil
}

// AskRecovery asks people to agree to an export.
func (c *Client) AskRecovery(ctx context.Context, n NewRecovery) (Consent, error) {
	var out Consent
	return out, c.do(ctx, http.MethodPost, "/recoveries", n, &out)
}

// TakeRecovery writes what was exported to out.
func (c *Client) TakeRecovery(ctx context.Context, id string, out io.Writer) error {
	return c.do(ctx, http.MethodGet, at("recoveries", id, "file"), nil, out)
}
