package console

import (
	"net/url"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// voice is an approval with who gave it.
type voice struct {
	admin.Approval
	Who admin.User
}

// consent shows what several people must agree to, and who has.
func (v visit) consent() error {
	c, err := v.api.Consent(v.r.Context(), v.named("consent"))
	if err != nil {
		return err
	}
	requester, err := v.who(c.Requester)
	if err != nil {
		return err
	}
	ender, err := v.who(c.EndedBy)
	if err != nil {
		return err
	}
	var voices []voice
	for _, a := range c.Approvals {
		who, err := v.who(a.Approver)
		if err != nil {
			return err
		}
		voices = append(voices, voice{a, who})
	}
	return v.page("consent", "Approval", "approvals", map[string]any{"C": c, "Requester": requester, "Ender": ender, "Voices": voices,
		"Mine": c.Requester == v.by.User, "Decides": v.may("approveConsent"), "Cancels": v.may("cancelConsent")})
}

// agree approves it.
func (v visit) agree() error {
	id := v.named("consent")
	return v.decided(id, v.api.ApproveConsent(v.r.Context(), id))
}

// disagree denies it.
func (v visit) disagree() error {
	id := v.named("consent")
	return v.decided(id, v.api.DenyConsent(v.r.Context(), id, v.r.PostForm.Get("reason")))
}

// cancel takes back what the caller asked for.
func (v visit) cancel() error {
	id := v.named("consent")
	return v.decided(id, v.api.CancelConsent(v.r.Context(), id))
}

func (v visit) decided(id string, err error) error {
	if err != nil {
		return err
	}
	return v.to("consents/" + url.PathEscape(id))
}
