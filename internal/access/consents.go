package access

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures of consents.
var (
	ErrConsentUnknown = fault.New(fault.NotFound, "approval_unknown",
		"Nothing of that id waits for approval.", "signet approval list shows what does.")
	ErrConsentOver = fault.New(fault.Conflict, "approval_over",
		"This is not approved, or not any more: it was used, denied, cancelled, has expired, or lacks approvals.",
		"signet approval show says which; ask again if it is still wanted.")
	ErrConsentOwn = fault.New(fault.Denied, "approval_own",
		"Nobody approves what he asked for himself.", "Another approver decides on it.")
	ErrConsentGiven = fault.New(fault.Conflict, "approval_given",
		"You have approved this already.", "It takes another person as well.")
	ErrConsentCancel = fault.New(fault.Denied, "approval_cancel_denied",
		"Only who asked for this can cancel it.", "An approver can deny it.")
	ErrConsentMany = fault.New(fault.Unavailable, "approvals_many",
		"Too much waits for approval.", "Decide on what waits, or wait until it has expired.")
	ErrConsentRequest = fault.New(fault.Invalid, "approval_request_invalid",
		"What is asked for is too long to be approved.", "Ask for less at a time.")
	ErrConsentReason = fault.New(fault.Invalid, "approval_reason_invalid",
		"A reason has at most 200 characters.", "")
)

// Bounds of what waits for approval.
const (
	MaxConsents       = 200
	maxConsentRequest = 64 << 10
	maxConsentText    = 1000
)

// Consents is how people agree to what nobody may do alone. Each approval is
// marked with a key that the database does not hold, so that a row which somebody
// wrote into it counts for nothing.
type Consents struct {
	*Service
	box  *seal.Box
	need int
}

// Consents takes approvals with marks of that box; need is how many other people
// must agree.
func (s *Service) Consents(box *seal.Box, need int) *Consents {
	if box == nil || need < 1 {
		panic("access: nil dependency")
	}
	return &Consents{s, box, need}
}

// Ask asks for consent. The caller must be a person: [ErrPerson].
func (c *Consents) Ask(ctx context.Context, by Caller, a Ask) (Consent, error) {
	if by.Actor.Kind != journal.Admin || by.User == "" {
		return Consent{}, ErrPerson
	}
	if a.Kind == "" || a.Sentence == "" || len(a.Request) > maxConsentRequest || len(a.Sentence) > maxConsentText {
		return Consent{}, ErrConsentRequest
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Consent{}, fmt.Errorf("making consent id: %w", err)
	}
	now := c.now().Truncate(time.Microsecond) // as it is stored, for the digest
	out := Consent{ID: id.String(), Ask: a, Person: by.User, Token: by.Actor.ID, Need: c.need, Created: now, Expires: now.Add(ConsentLife),
		State: ConsentOpen, Approved: []Approval{}}
	return out, c.store.ConsentAsked(ctx, out, c.consentEntry(by, journal.ConsentAsked, out))
}

// Consents lists them, newest first.
func (c *Consents) Consents(ctx context.Context, q ConsentQuery) ([]Consent, error) {
	q.Now = c.now()
	list, err := c.store.Consents(ctx, q)
	for i := range list {
		c.judge(&list[i])
	}
	return list, err
}

// Consent gives one.
func (c *Consents) Consent(ctx context.Context, id string) (Consent, error) {
	out, err := c.store.Consent(ctx, id, c.now())
	c.judge(&out)
	return out, err
}

// judge lets only approvals count that we took for what the consent says.
func (c *Consents) judge(of *Consent) {
	digest := of.Digest()
	for i, a := range of.Approved {
		if _, err := c.box.Open(a.Mark, a.aad(digest)); err != nil {
			of.Approved[i].Counts = false
		}
	}
}

// Agreed gives a consent of that kind if it may be used now: ErrConsentOver when
// not. Whoever does what was agreed to asks for it, does exactly what Request
// says, and hands ID and Digest to the verb that uses it up.
func (c *Consents) Agreed(ctx context.Context, kind, id string) (Consent, error) {
	out, err := c.Consent(ctx, id)
	switch {
	case err != nil:
		return Consent{}, err
	case out.Kind != kind:
		return Consent{}, ErrConsentUnknown
	case out.Standing(c.now()) != ConsentOpen || out.Expires.Sub(out.Created) > ConsentLife || out.count() < max(c.need, out.Need):
		return Consent{}, ErrConsentOver
	}
	return out, nil
}

// Approve adds the caller's approval: [ErrPerson], and what
// [ConsentStore.ConsentApproved] says.
func (c *Consents) Approve(ctx context.Context, by Caller, id string) error {
	if err := by.Authorize(RequestDecide); err != nil {
		return err
	}
	of, err := c.Consent(ctx, id)
	if err != nil {
		return err
	}
	if of.Person == by.User {
		return ErrConsentOwn
	}
	if err := c.seated(ctx, by); err != nil {
		return err
	}
	digest := of.Digest()
	a := Approval{Token: by.Actor.ID, Person: by.User, At: c.now().Truncate(time.Microsecond)}
	a.Mark = c.box.Close(seal.Secret{}, a.aad(digest))
	return c.store.ConsentApproved(ctx, id, digest, a, c.consentEntry(by, journal.ConsentApproved, of))
}

// Deny ends what waits: it takes one approver to say no.
func (c *Consents) Deny(ctx context.Context, by Caller, id, reason string) error {
	if err := by.Authorize(RequestDecide); err != nil {
		return err
	}
	if err := c.seated(ctx, by); err != nil {
		return err
	}
	return c.end(ctx, by, id, reason, ConsentDenied, journal.ConsentDenied)
}

// Cancel takes back what the caller asked for: [ErrConsentCancel] when it was
// somebody else.
func (c *Consents) Cancel(ctx context.Context, by Caller, id string) error {
	if err := by.Authorize(ConsentAsk); err != nil {
		return err
	}
	return c.end(ctx, by, id, "", ConsentCancelled, journal.ConsentCancelled)
}

func (c *Consents) end(ctx context.Context, by Caller, id, reason string, state ConsentState, action journal.Action) error {
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 200 {
		return ErrConsentReason
	}
	of, err := c.Consent(ctx, id)
	if err != nil {
		return err
	}
	if state == ConsentCancelled && of.Person != by.User {
		return ErrConsentCancel
	}
	return c.store.ConsentEnded(ctx, ConsentEnd{ID: id, State: state, Person: by.User, Reason: reason, At: c.now()}, c.consentEntry(by, action, of))
}

func (c *Consents) consentEntry(by Caller, a journal.Action, of Consent) journal.Entry {
	return journal.Entry{At: c.now(), Actor: by.Actor, Action: a, Detail: map[string]string{
		"approval": of.ID, "kind": of.Kind, "person": by.User, "digest": of.Digest().String()}}
}
