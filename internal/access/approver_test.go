package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/seal"
)

// The first approvers are appointed freely, all others by those who are.
func TestAppointing(t *testing.T) {
	c := newCouncil(t)
	if err := c.Appoint(t.Context(), access.Local(), c.id["alice"], "alice@example.com", ""); !errors.Is(err, access.ErrApproverConsent) {
		t.Errorf("without consent: got %v, want ErrApproverConsent", err)
	}
	c.exec(`DELETE FROM approver`)
	if err := c.Appoint(t.Context(), c.who["alice"], c.id["alice"], "alice@example.com", ""); !errors.Is(err, access.ErrApproverFirst) {
		t.Errorf("the first, by an administrator elsewhere: got %v, want ErrApproverFirst", err)
	}
	c = newCouncil(t)
	if err := c.Appoint(t.Context(), c.who["alice"], c.id["alice"], "alice@example.com", c.asked().ID); !errors.Is(err, access.ErrConsentUnknown) {
		t.Errorf("by a consent to an export: got %v, want ErrConsentUnknown", err)
	}
	if err := c.Dismiss(t.Context(), c.who["alice"], c.id["bob"], ""); !errors.Is(err, access.ErrApproverConsent) {
		t.Errorf("dismissed without consent: got %v, want ErrApproverConsent", err)
	}
	of := c.change(access.DismissKind, "dave")
	for name, do := range map[string]error{
		"the consent is to remove": c.Appoint(t.Context(), c.who["alice"], c.id["dave"], "dave@example.com", of.ID),
		"the consent is to dave":   c.Dismiss(t.Context(), c.who["alice"], c.id["bob"], of.ID),
	} {
		if !errors.Is(do, access.ErrConsentUnknown) && !errors.Is(do, access.ErrConsentOver) {
			t.Errorf("%s: got %v", name, do)
		}
	}
	if err := c.Dismiss(t.Context(), c.who["alice"], c.id["dave"], of.ID); err != nil {
		t.Error(err)
	}
	list, err := c.Approvers(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("got %v, %v", list, err)
	}
}

// A link is good once, for a day, for who is appointed, and goes to the address
// that he was appointed with.
func TestApproverLink(t *testing.T) {
	c := newCouncil(t)
	link := c.link("bob")
	c.time.t = c.time.t.Add(access.ApproverLinkLife)
	if _, _, err := c.TakeCredential(t.Context(), link, ""); !errors.Is(err, access.ErrApproverLink) {
		t.Errorf("a day later: got %v, want ErrApproverLink", err)
	}
	link = c.link("bob")
	c.take(link)
	if _, _, err := c.TakeCredential(t.Context(), link, ""); !errors.Is(err, access.ErrApproverLink) {
		t.Errorf("twice: got %v, want ErrApproverLink", err)
	}
	never := func(context.Context, seal.Secret, time.Time) error { t.Error("a link was sent"); return nil }
	if err := c.Link(t.Context(), access.Local(), c.id["bob"], "mallory@example.org", never); !errors.Is(err, access.ErrApproverAddress) {
		t.Errorf("another address: got %v, want ErrApproverAddress", err)
	}
	if err := c.Link(t.Context(), access.Local(), c.id["alice"], "alice@example.com", never); !errors.Is(err, access.ErrApproverUnknown) {
		t.Errorf("who is none: got %v, want ErrApproverUnknown", err)
	}
	link = c.link("dave")
	if err := c.Approve(t.Context(), c.who["bob"], c.asked().ID); !errors.Is(err, access.ErrApproverSeat) && !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("bob's token of before: got %v", err)
	}
	c.who["bob"] = c.take(c.link("bob"))
	if err := c.Dismiss(t.Context(), c.who["alice"], c.id["dave"], c.change(access.DismissKind, "dave").ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.TakeCredential(t.Context(), link, ""); !errors.Is(err, access.ErrApproverLink) {
		t.Errorf("dismissed: got %v, want ErrApproverLink", err)
	}
}

// Whoever can write the database does not become an approver by that: neither
// with a secret of his own for the token of one, nor with a session of his own.
func TestWrittenCredentials(t *testing.T) {
	c := newCouncil(t)
	mine := seal.SecretString("signet_mine")
	c.exec(`UPDATE token SET hash = ? WHERE id = ?`, mine.Hash().String(), c.who["bob"].Actor.ID)
	bob, err := c.Token(t.Context(), mine.RevealString(), "")
	if err != nil || bob.User != c.id["bob"] {
		t.Fatalf("got %+v, %v", bob, err)
	}
	for name, err := range map[string]error{"approving": c.Approve(t.Context(), bob, c.asked().ID), "denying": c.Deny(t.Context(), bob, c.asked().ID, "")} {
		if !errors.Is(err, access.ErrApproverSeat) {
			t.Errorf("%s: got %v, want ErrApproverSeat", name, err)
		}
	}

	own, err := c.OpenConsole(t.Context(), c.who["carol"])
	if err != nil {
		t.Fatal(err)
	}
	if by, err := c.Console(t.Context(), own.RevealString(), ""); err != nil || by.User != c.id["carol"] {
		t.Errorf("her own session: got %+v, %v", by, err)
	}
	secret, mark, _ := strings.Cut(own.RevealString(), ".")
	c.exec(`INSERT INTO console_session SELECT ?, token_id, opened_at, used_at, expires_at FROM console_session`, seal.SecretString("mine").Hash().String())
	for _, presented := range []string{"mine", "mine.", "mine." + mark, secret, secret + "." + mark[1:]} {
		if by, err := c.Console(t.Context(), presented, ""); !errors.Is(err, access.ErrConsole) {
			t.Errorf("a session that was written: got %+v, %v", by, err)
		}
	}
	c.exec(`UPDATE console_session SET token_id = ?`, c.who["dave"].Actor.ID)
	if by, err := c.Console(t.Context(), own.RevealString(), ""); !errors.Is(err, access.ErrConsole) {
		t.Errorf("a session that became another's: got %+v, %v", by, err)
	}
}
