package pfxconnector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Item is one imported certificate of a user, as lists show it.
type Item struct {
	Cert        string     `json:"certSha256" doc:"SHA-256 of the certificate, hex"`
	SPKI        string     `json:"spkiSha256" doc:"SHA-256 of the public key, hex"`
	Thumbprint  string     `json:"thumbprint" doc:"SHA-1 of the certificate, as Windows shows it"`
	Serial      string     `json:"serial" doc:"Hex"`
	Subject     string     `json:"subject" doc:"RFC 4514"`
	Issuer      string     `json:"issuer" doc:"RFC 4514"`
	Addresses   []string   `json:"addresses" nullable:"false" doc:"That the certificate names"`
	Purpose     string     `json:"purpose" doc:"signing, encryption or both: what it is held for"`
	Says        string     `json:"certificatePurpose" doc:"What the certificate says of that; unknown when it says nothing for mail. Another purpose than this is an administrator's"`
	NotBefore   time.Time  `json:"notBefore" doc:"Begin of validity"`
	NotAfter    time.Time  `json:"notAfter" doc:"End of validity"`
	ImportedAt  time.Time  `json:"importedAt" doc:"When it came"`
	Source      string     `json:"source" enum:"imported,issued" doc:"imported, or issued by our CA for a key that was made here"`
	Pinned      bool       `json:"pinned" doc:"An administrator chose it; it is current while it is valid"`
	Place       cert.Place `json:"place" doc:"current, history or kept"`
	Reason      string     `json:"reason" doc:"Why it is there"`
	Unchecked   bool       `json:"unchecked,omitempty" doc:"It was sealed on another machine, and the keeper has not looked yet whether it opens"`
	Undelivered string     `json:"undeliverable,omitempty" doc:"Why no device gets it"`
}

// List gives a user's imported certificates, newest first, and where each one
// stands. It is empty, never nil.
func (s *Service) List(ctx context.Context, u subject.User) ([]Item, error) {
	records, err := s.Store.Imported(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("listing certificates of %s: %w", u.ID, err)
	}
	unchecked, err := s.Store.Unchecked(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("listing unchecked keys of %s: %w", u.ID, err)
	}
	choice := cert.Choose(records, u.Mail, s.Now())
	list := []Item{}
	for _, r := range records {
		item := newItem(r, choice)
		item.Unchecked = slices.Contains(unchecked, r.Fingerprint)
		list = append(list, item)
	}
	return list, nil
}

// Held gives the imported certificates of many users, newest first; who has
// none is left out.
func (s *Service) Held(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]cert.Record, error) {
	held, err := s.Store.ImportedOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading imported certificates: %w", err)
	}
	return held, nil
}

func newItem(r cert.Record, c cert.Choice) Item {
	says := cert.Unknown
	if leaf, err := r.Certificate(); err == nil {
		says, _ = cert.Classify(leaf)
	}
	return Item{
		Says: says.String(), Pinned: r.Pinned, Cert: r.Fingerprint.String(), SPKI: r.SPKI.String(), Thumbprint: cert.Thumbprint(r.DER),
		Serial: string(r.Serial), Subject: r.Subject, Issuer: r.Issuer, Addresses: r.Addresses, Purpose: r.Use.String(),
		NotBefore: r.NotBefore, NotAfter: r.NotAfter, ImportedAt: r.CreatedAt,
		Source: string(r.Source), Place: c.Place(r.Fingerprint), Reason: c.Reasons[r.Fingerprint], Undelivered: r.Deliverable,
	}
}

// Remove destroys a user's imported key for ever: what opens it goes first.
// Devices lose it with their next plan. ErrKeyUnknown when he has none such.
func (s *Service) Remove(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint) error {
	e := journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyRemoved, User: u.ID, Cert: f, Due: subject.OfUser(u.ID)}
	if err := s.Store.KeyRemoved(ctx, u.ID, f, e); err != nil {
		return fmt.Errorf("removing %s of %s: %w", f, u.ID, err)
	}
	return nil
}
