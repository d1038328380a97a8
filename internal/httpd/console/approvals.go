package console

import (
	"net/url"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// requestStates are how a request can stand.
var requestStates = []string{"open", "approved", "upstream", "issued", "denied", "void", "expired"}

// approvals lists the requests that a person decides on; those that wait, unless
// others are asked for.
func (v visit) approvals() error {
	state := "open"
	if v.r.Form.Has("state") {
		state = v.asked("state")
	}
	list, next, err := v.api.RequestPart(v.r.Context(), state, v.asked("after"))
	if err != nil {
		return err
	}
	consents, err := v.api.Consents(v.r.Context(), string(access.ConsentOpen), 100)
	if err != nil {
		return err
	}
	return v.page("approvals", "Approvals", "approvals", map[string]any{
		"Consents": consents, "List": list, "Next": v.next(next), "State": state, "States": requestStates})
}

// approval shows one request, and who may decides on it.
func (v visit) approval() error {
	r, err := v.api.Request(v.r.Context(), v.named("request"))
	if err != nil {
		return err
	}
	user, err := v.who(r.UserID)
	if err != nil {
		return err
	}
	decider, err := v.who(r.Decider)
	if err != nil {
		return err
	}
	return v.page("approval", "Certificate request", "approvals", map[string]any{"R": r, "User": user, "Decider": decider, "Barred": v.barred(r)})
}

// barred says why the caller is not offered to decide; empty when he is. The API
// has the last word.
func (v visit) barred(r admin.Request) string {
	switch {
	case !v.may("approveRequest"):
		return "To decide on it, sign in with a token of the role approver that names a person."
	case r.UserID == v.by.User:
		return "It is in your own name: another approver decides on it."
	}
	return ""
}

// approve lets the client have its certificate.
func (v visit) approve() error {
	id := v.named("request")
	if err := v.api.ApproveRequest(v.r.Context(), id); err != nil {
		return err
	}
	return v.to("approvals/" + url.PathEscape(id))
}

// deny refuses a request.
func (v visit) deny() error {
	id := v.named("request")
	if err := v.api.DenyRequest(v.r.Context(), id, v.r.PostForm.Get("reason")); err != nil {
		return err
	}
	return v.to("approvals/" + url.PathEscape(id))
}
