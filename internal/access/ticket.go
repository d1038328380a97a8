package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// ticketLife is how long a ticket is good at most.
const ticketLife = time.Hour

// ticketPrefix lets secret scanners know one of ours when they see it.
const ticketPrefix = "signet_ticket_"

// Tickets are what programs get for an API token where a protocol wants
// something short-lived. A ticket is as good as its token, for an hour at most:
// it opens nothing once that has ended. Only importers get any, because whoever
// has the box could make them. Nothing of a ticket is stored.
type Tickets struct {
	*Service
	box *seal.Box
}

// Tickets makes tickets in that box.
func (s *Service) Tickets(box *seal.Box) *Tickets {
	if box == nil {
		panic("access: nil dependency")
	}
	return &Tickets{s, box}
}

// Ticket gives a ticket for the token with that id, and how long it is good.
// ErrUnauthenticated when the token is not.
func (t *Tickets) Ticket(ctx context.Context, token string) (seal.Secret, time.Duration, error) {
	of, err := t.live(ctx, token)
	if err != nil {
		return seal.Secret{}, 0, err
	}
	life := min(ticketLife, of.Expires.Sub(t.now()))
	until := strconv.FormatInt(t.now().Add(life).Unix(), 10)
	sealed := t.box.Close(seal.SecretString(of.ID+" "+until), ticketPrefix)
	return seal.SecretString(ticketPrefix + base64.RawURLEncoding.EncodeToString(sealed)), life, nil
}

// live gives the importer's token with that id if it is good now.
func (t *Tickets) live(ctx context.Context, token string) (Token, error) {
	of, err := t.store.TokenByID(ctx, token)
	switch {
	case errors.Is(err, ErrTokenUnknown):
		return of, ErrUnauthenticated
	case err != nil:
		return of, fmt.Errorf("looking up token: %w", err)
	case of.Role != Importer || !of.live(t.now()):
		return of, ErrUnauthenticated
	}
	return of, nil
}

// Token gives the caller whose ticket or API token is presented.
func (t *Tickets) Token(ctx context.Context, presented, remote string) (Caller, error) {
	text, is := strings.CutPrefix(presented, ticketPrefix)
	if !is {
		return t.Service.Token(ctx, presented, remote)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Caller{}, ErrUnauthenticated
	}
	plain, err := t.box.Open(sealed, ticketPrefix)
	if err != nil {
		return Caller{}, ErrUnauthenticated
	}
	token, until, _ := strings.Cut(plain.RevealString(), " ")
	end, err := strconv.ParseInt(until, 10, 64)
	if err != nil || t.now().Unix() >= end {
		return Caller{}, ErrUnauthenticated
	}
	of, err := t.live(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Actor: journal.Actor{Kind: journal.Admin, ID: of.ID, Remote: remote}, Role: of.Role, User: of.User}, nil
}
