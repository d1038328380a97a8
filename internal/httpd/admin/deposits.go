package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Deposits takes keys that were sealed on the importer's machine.
type Deposits interface {
	// Recipients gives, as text, whom keys are sealed to.
	Recipients() (active string, recovery []string)
	// Judge tells what is wanted of files, and gives a ticket to hand it in
	// when there is any.
	Judge(ctx context.Context, by journal.Actor, offers []pfxconnector.Offer) (ticket string, files []pfxconnector.Judged, err error)
	// Deposit stores what was sealed, all of it at once.
	Deposit(ctx context.Context, by journal.Actor, ticket string, offers []pfxconnector.Offer) ([]pfxconnector.Judged, error)
}

// Recipients is whom keys are sealed to. A client compares their fingerprint
// with what it was told another way.
type Recipients struct {
	Escrow   string   `json:"escrow" doc:"The escrow key"`
	Recovery []string `json:"recovery" nullable:"false" doc:"The recovery keys, age recipients"`
	MaxFile  int64    `json:"maxFile" doc:"Bytes of a file that are taken at most"`
}

// Offers are files that were opened elsewhere, with one of the ways in.
type Offers struct {
	Ticket string               `json:"ticket,omitempty" maxLength:"64" doc:"When sealed keys are handed in"`
	Files  []pfxconnector.Offer `json:"files" nullable:"false" maxItems:"64" doc:"Of at most 256 identities together"`
}

// Judgement is what is thought of them, in the same order.
type Judgement struct {
	Ticket string                `json:"ticket,omitempty" doc:"To hand in, once, what is wanted"`
	Files  []pfxconnector.Judged `json:"files" nullable:"false" doc:"In the order of the offer"`
}

func (a *API) deposits() {
	limit := 6*a.MaxFile + large // certificates, ciphertext and recovery file of a file's keys, base64
	register(a, operation{id: "recipients", tag: "keys", method: http.MethodGet, path: "/imports/recipients",
		summary: "Tell whom private keys are sealed to", permission: access.KeyImport}, a.recipients)
	register(a, operation{id: "judge", tag: "keys", method: http.MethodPost, path: "/imports/offers",
		summary: "Judge the certificates of files that were opened elsewhere", permission: access.KeyImport, maxBody: limit}, a.judge)
	register(a, operation{id: "deposit", tag: "keys", method: http.MethodPost, path: "/imports/deposits",
		summary: "Store keys that were sealed elsewhere", permission: access.KeyImport, maxBody: limit,
		faults: []*fault.Error{pfxconnector.ErrTicket, pfxconnector.ErrRecipient}}, a.deposit)
}

func (a *API) recipients(context.Context, journal.Actor, *struct{}) (*body[Recipients], error) {
	active, recovery := a.Deposits.Recipients()
	return &body[Recipients]{Recipients{active, append([]string{}, recovery...), a.MaxFile}}, nil
}

func (a *API) judge(ctx context.Context, by journal.Actor, in *body[Offers]) (*body[Judgement], error) {
	if tooMany(in.Body.Files) {
		return nil, ErrRequest
	}
	ticket, files, err := a.Deposits.Judge(ctx, by, in.Body.Files)
	return &body[Judgement]{Judgement{ticket, append([]pfxconnector.Judged{}, files...)}}, err
}

func (a *API) deposit(ctx context.Context, by journal.Actor, in *body[Offers]) (*body[Judgement], error) {
	if tooMany(in.Body.Files) {
		return nil, ErrRequest
	}
	files, err := a.Deposits.Deposit(ctx, by, in.Body.Ticket, in.Body.Files)
	return &body[Judgement]{Judgement{"", append([]pfxconnector.Judged{}, files...)}}, err
}

func tooMany(files []pfxconnector.Offer) bool {
	n := 0
	for _, f := range files {
		n += len(f.Identities)
	}
	return n > pfxconnector.MostIdentities
}

// Recipients tells whom private keys are sealed to.
func (c *Client) Recipients(ctx context.Context) (Recipients, error) {
	return get[Recipients](ctx, c, "/imports/recipients")
}

// Judge asks what is wanted of files that were opened here.
func (c *Client) Judge(ctx context.Context, files []pfxconnector.Offer) (Judgement, error) {
	return send[Judgement](ctx, c, http.MethodPost, "/imports/offers", Offers{Files: files})
}

// Deposit hands in what was sealed here.
func (c *Client) Deposit(ctx context.Context, o Offers) (Judgement, error) {
	return send[Judgement](ctx, c, http.MethodPost, "/imports/deposits", o)
}
