package access

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Kinds of consents that change who approves.
const (
	AppointKind = "approver.add"
	DismissKind = "approver.remove"
)

// ApproverLinkLife is how long an approver has to follow his link.
const ApproverLinkLife = 24 * time.Hour

// credentialLife is how long what an approver signs in with is good.
const credentialLife = 365 * 24 * time.Hour

// Failures of appointing approvers.
var (
	ErrApproverToken = fault.New(fault.Denied, "approver_token",
		"An approver makes his own token, which nobody else sees.", "signet approver add USER: he is sent a link.")
	ErrApproverUnknown = fault.New(fault.NotFound, "approver_unknown",
		"This user is no approver.", "signet approver list shows who is.")
	ErrApproverAlready = fault.New(fault.Conflict, "approver_already",
		"This user is an approver already.", "signet approver link USER sends him another link.")
	ErrApproverConsent = fault.New(fault.Denied, "approver_consent_needed",
		"There are enough approvers to decide on this: it needs their consent.", "Ask for it in your own name.")
	ErrApproverFirst = fault.New(fault.Denied, "approver_first",
		"The first approvers are appointed on the server's own machine only.",
		"Run signet approver add there, without --server: one administrator could else appoint two persons of his own.")
	ErrApproverAddress = fault.New(fault.Conflict, "approver_address_changed",
		"The address of this user is not the one that he was made an approver with.", "Remove him as an approver, and add him again.")
	ErrApproverLink = fault.New(fault.Unauthenticated, "approver_link_invalid",
		"This link is not good, or not any more.", "Ask for another one: signet approver link.")
	ErrApproverMail = fault.New(fault.Denied, "approver_mail_needed",
		"No mail is configured, so an approver gets his link on the server's own machine only.",
		"Have him run this there, or configure mail.")
	ErrApproverSeat = fault.New(fault.Denied, "approver_not_appointed",
		"You approve with what you made yourself, as an appointed approver; this is not that.", "signet approver list shows who is appointed.")
)

// Appointee is a person who decides.
type Appointee struct {
	User      string // our id
	Address   string // his links go there and nowhere else
	Appointed time.Time
	Mark      []byte // shows that a server of this installation appointed him
}

func (a Appointee) aad() string {
	return fmt.Sprintf("approver %s %q %d", a.User, a.Address, a.Appointed.UnixMicro())
}

// Credential is what an approver signs in with.
type Credential struct {
	Token
	Hash seal.Hash // of its secret
	Mark []byte    // shows that he made it himself
}

func (c Credential) aad(of Appointee) string {
	return fmt.Sprintf("credential %s %s %d of %s", c.ID, c.Hash, c.Expires.UnixMicro(), of.aad())
}

// ApproverLink lets an approver make his credential, once.
type ApproverLink struct {
	User    string
	Expires time.Time
	Used    time.Time // zero: not yet
	Mark    []byte
}

func (l ApproverLink) aad(hash seal.Hash) string {
	return fmt.Sprintf("approver link %s %s %d", hash, l.User, l.Expires.UnixMicro())
}

// Backing is the consent that a change rests on; zero while there are too few
// approvers to ask.
type Backing struct {
	ID     string
	Digest seal.Hash
}

// ApproverStore keeps approvers.
type ApproverStore interface {
	// ApproverAppointed makes somebody an approver. Without a backing only while
	// there are fewer than first: [ErrApproverConsent]. [ErrApproverAlready],
	// [ErrConsentOver].
	ApproverAppointed(ctx context.Context, a Appointee, first int, b Backing, e journal.Entry) error
	// ApproverRemoved ends it, with his tokens and links. [ErrApproverUnknown],
	// [ErrConsentOver].
	ApproverRemoved(ctx context.Context, user string, b Backing, e journal.Entry) error
	// Approvers lists those who are; never nil.
	Approvers(ctx context.Context) ([]Appointee, error)
	// ApproverLinkMade stores a link in place of those before.
	ApproverLinkMade(ctx context.Context, l ApproverLink, hash seal.Hash, e journal.Entry) error
	// ApproverLink gives the link of that hash; ErrApproverLink.
	ApproverLink(ctx context.Context, hash seal.Hash) (ApproverLink, error)
	// CredentialMade uses the link up and stores the token in place of the
	// approver's others: ErrApproverLink when it is used or expired at e.At.
	CredentialMade(ctx context.Context, link seal.Hash, c Credential, e journal.Entry) error
	// Credential gives the token of that id with its mark; ErrTokenUnknown.
	Credential(ctx context.Context, token string) (Credential, error)
}

// change is the request of a consent to another approver, or to one less.
func change(a Appointee) (string, error) {
	b, err := json.Marshal(struct {
		User    string `json:"user"`
		Address string `json:"address"`
	}{a.User, a.Address})
	return string(b), err
}

// AskChange asks the approvers to agree to a change of who they are.
func (c *Consents) AskChange(ctx context.Context, by Caller, kind string, a Appointee, sentence string) (Consent, error) {
	text, err := change(a)
	if err != nil {
		return Consent{}, fmt.Errorf("writing what is asked for: %w", err)
	}
	return c.Ask(ctx, by, Ask{Kind: kind, Request: text, Sentence: sentence})
}

// backing proves the consent of that id, if there is one.
func (c *Consents) backing(ctx context.Context, kind, id string, a Appointee) (Backing, error) {
	if id == "" {
		return Backing{}, nil
	}
	of, err := c.Agreed(ctx, kind, id)
	if err != nil {
		return Backing{}, err
	}
	if text, err := change(a); err != nil || text != of.Request {
		return Backing{}, ErrConsentOver
	}
	return Backing{of.ID, of.Digest()}, nil
}

// Appoint makes a user an approver, whose links go to that address. Consent is
// the id of one to [AppointKind]; it may be empty while there are fewer approvers
// than must agree, on the server's own machine: [ErrApproverFirst].
func (c *Consents) Appoint(ctx context.Context, by Caller, user, address, consent string) error {
	if consent == "" && by.Role != Socket {
		return ErrApproverFirst
	}
	a := Appointee{User: user, Address: address, Appointed: c.now().Truncate(time.Microsecond)}
	b, err := c.backing(ctx, AppointKind, consent, a)
	if err != nil {
		return err
	}
	a.Mark = c.box.Close(seal.Secret{}, a.aad())
	return c.store.ApproverAppointed(ctx, a, c.need, b, c.approverEntry(by, journal.ApproverAdded, user, b))
}

// Dismiss makes him one no more; his tokens end, and what he approved does not
// count. It always needs a consent, to [DismissKind].
func (c *Consents) Dismiss(ctx context.Context, by Caller, user, consent string) error {
	a, err := c.Approver(ctx, user)
	if err != nil {
		return err
	}
	if consent == "" {
		return ErrApproverConsent
	}
	b, err := c.backing(ctx, DismissKind, consent, a)
	if err != nil {
		return err
	}
	return c.store.ApproverRemoved(ctx, user, b, c.approverEntry(by, journal.ApproverRemoved, user, b))
}

// Approvers lists who may approve: those whom a server of ours appointed.
func (c *Consents) Approvers(ctx context.Context) ([]Appointee, error) {
	all, err := c.store.Approvers(ctx)
	list := []Appointee{}
	for _, a := range all {
		if _, forged := c.box.Open(a.Mark, a.aad()); forged == nil {
			list = append(list, a)
		}
	}
	return list, err
}

// Approver gives the one who is that user; ErrApproverUnknown.
func (c *Consents) Approver(ctx context.Context, user string) (Appointee, error) {
	list, err := c.Approvers(ctx)
	for _, a := range list {
		if a.User == user {
			return a, nil
		}
	}
	if err == nil {
		err = ErrApproverUnknown
	}
	return Appointee{}, err
}

// Link makes a link for an approver and hands it to send, which must bring it to
// his address and to nobody else. Address is the one that he has now.
func (c *Consents) Link(ctx context.Context, by Caller, user, address string, send func(ctx context.Context, link seal.Secret, expires time.Time) error) error {
	a, err := c.Approver(ctx, user)
	if err != nil {
		return err
	}
	if a.Address != address {
		return ErrApproverAddress
	}
	secret := seal.Random()
	l := ApproverLink{User: user, Expires: c.now().Add(ApproverLinkLife).Truncate(time.Microsecond)}
	l.Mark = c.box.Close(seal.Secret{}, l.aad(secret.Hash()))
	if err := c.store.ApproverLinkMade(ctx, l, secret.Hash(), c.approverEntry(by, journal.ApproverLinked, user, Backing{})); err != nil {
		return fmt.Errorf("making a link for approver %s: %w", user, err)
	}
	return send(ctx, secret, l.Expires)
}

// TakeCredential uses a link up and gives its approver his token, this once. His
// tokens of before end.
func (c *Consents) TakeCredential(ctx context.Context, link, remote string) (Token, seal.Secret, error) {
	hash := seal.SecretString(link).Hash()
	l, err := c.store.ApproverLink(ctx, hash)
	if err != nil {
		return Token{}, seal.Secret{}, err
	}
	if _, err := c.box.Open(l.Mark, l.aad(hash)); err != nil {
		return Token{}, seal.Secret{}, ErrApproverLink
	}
	a, err := c.Approver(ctx, l.User)
	if err != nil {
		return Token{}, seal.Secret{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, seal.Secret{}, fmt.Errorf("making token id: %w", err)
	}
	now := c.now().Truncate(time.Microsecond)
	t := Token{ID: id.String(), Name: "approver", Role: Approver, User: a.User, Created: now, Expires: now.Add(credentialLife)}
	secret := seal.SecretString(tokenPrefix + seal.Random().RevealString())
	cred := Credential{Token: t, Hash: secret.Hash()}
	cred.Mark = c.box.Close(seal.Secret{}, cred.aad(a))
	e := journal.Entry{At: now, Actor: journal.Actor{Kind: journal.Person, ID: a.User, Remote: remote}, Action: journal.TokenCreated,
		Detail: map[string]string{"token": t.ID, "person": a.User}}
	return t, secret, c.store.CredentialMade(ctx, hash, cred, e)
}

// seated refuses who does not approve with what he made himself.
func (c *Consents) seated(ctx context.Context, by Caller) error {
	a, err := c.Approver(ctx, by.User)
	if err != nil {
		return ErrApproverSeat.With(err)
	}
	cred, err := c.store.Credential(ctx, by.Actor.ID)
	if err != nil {
		return ErrApproverSeat.With(err)
	}
	if _, err := c.box.Open(cred.Mark, cred.aad(a)); err != nil || !cred.live(c.now()) {
		return ErrApproverSeat.With(err)
	}
	return nil
}

func (c *Consents) approverEntry(by Caller, a journal.Action, user string, b Backing) journal.Entry {
	e := journal.Entry{At: c.now(), Actor: by.Actor, Action: a, Detail: map[string]string{"approver": user}}
	if by.User != "" {
		e.Detail["person"] = by.User
	}
	if b.ID != "" {
		e.Detail["approval"] = b.ID
	}
	return e
}
