package pfxconnector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Quarantine is a key whose user is not known. It is sealed to its place, opens
// for nobody and is delivered to nobody, until the keeper has sealed it anew to
// a user.
type Quarantine struct {
	ID          subject.UserID // its place, in that of a user
	Certificate cert.Record
	Why         string           // code of what kept it from a user
	Named       []subject.UserID // whom the certificate named when it came; several
	File        string           // that it came in, for people
	By          string           // who imported it: kind and id of the actor
	To          subject.UserID   // whose an administrator said it is; "" for nobody's yet
	Failure     string           // code of why the keeper did not seal it to the last one who was named
}

// Waiting is a key in quarantine, as lists show it.
type Waiting struct {
	ID         string    `json:"id" doc:"Of its place"`
	Cert       string    `json:"certSha256" doc:"SHA-256 of the certificate, hex"`
	Thumbprint string    `json:"thumbprint" doc:"SHA-1 of the certificate, as Windows shows it"`
	Subject    string    `json:"subject" doc:"RFC 4514"`
	Issuer     string    `json:"issuer" doc:"RFC 4514"`
	Addresses  []string  `json:"addresses" nullable:"false" doc:"That the certificate names"`
	Purpose    string    `json:"purpose" doc:"signing, encryption or both"`
	NotBefore  time.Time `json:"notBefore" doc:"Begin of validity"`
	NotAfter   time.Time `json:"notAfter" doc:"End of validity"`
	ImportedAt time.Time `json:"importedAt" doc:"When it came"`
	ImportedBy string    `json:"importedBy" doc:"Kind and id of who imported it"`
	File       string    `json:"file" doc:"That it came in"`
	Code       string    `json:"code" doc:"Why it is here"`
	Reason     string    `json:"reason" doc:"That, for people"`
	Candidates []string  `json:"candidates" nullable:"false" doc:"Addresses of the users whom the certificate names now"`
	Holders    []string  `json:"holders" nullable:"false" doc:"Ids of the users who have it"`
	State      string    `json:"state" enum:"waiting,assigning" doc:"assigning: the keeper is about to seal it to the user"`
	To         string    `json:"assignedTo,omitempty" doc:"Id of that user"`
	Failure    string    `json:"failure,omitempty" doc:"Code of why the last assignment was not done"`
}

// Waiting lists at most limit keys in quarantine, oldest first, those that
// follow after; never nil.
func (s *Service) Waiting(ctx context.Context, after string, limit int) ([]Waiting, error) {
	list, err := s.Store.InQuarantine(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the quarantine: %w", err)
	}
	out := make([]Waiting, len(list))
	for i, q := range list {
		if out[i], err = s.waiting(ctx, q); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// WaitingOne gives one; ErrQuarantineUnknown.
func (s *Service) WaitingOne(ctx context.Context, id string) (Waiting, error) {
	q, err := s.Store.Quarantine(ctx, subject.UserID(id))
	if err != nil {
		return Waiting{}, fmt.Errorf("reading the quarantine: %w", err)
	}
	return s.waiting(ctx, q)
}

func (s *Service) waiting(ctx context.Context, q Quarantine) (Waiting, error) {
	r := q.Certificate
	w := Waiting{ID: string(q.ID), Cert: r.Fingerprint.String(), Thumbprint: cert.Thumbprint(r.DER), Subject: r.Subject, Issuer: r.Issuer,
		Addresses: append([]string{}, r.Addresses...), Purpose: r.Use.String(), NotBefore: r.NotBefore, NotAfter: r.NotAfter,
		ImportedAt: r.CreatedAt, ImportedBy: q.By, File: q.File, Code: q.Why, Candidates: []string{}, Holders: []string{},
		State: "waiting", To: string(q.To), Failure: q.Failure}
	for _, f := range []*fault.Error{ErrNoUser, ErrAmbiguous} {
		if f.Code == q.Why {
			w.Reason = f.Msg
		}
	}
	if q.To != "" {
		w.State = "assigning"
	}
	holders, err := s.Store.Holders(ctx, r.Fingerprint)
	if err != nil {
		return w, fmt.Errorf("looking for holders: %w", err)
	}
	_, users := divide(holders)
	for _, id := range users {
		w.Holders = append(w.Holders, string(id))
	}
	c, err := r.Certificate()
	if err != nil {
		return w, fmt.Errorf("reading certificate %s: %w", r.Fingerprint, err)
	}
	names := cert.NamesOf(c)
	people, err := s.candidates(ctx, names)
	if err != nil {
		return w, err
	}
	found, _ := cert.Match(names, people)
	for _, u := range found {
		w.Candidates = append(w.Candidates, u.Mail)
	}
	return w, nil
}

// Assign says whose a key in quarantine is; the keeper then seals it to him.
// No single administrator gets at another's key that way: it is for who imported
// it, and so has it; for a user whom the certificate named when it came, if it
// still does; and for one whose primary address it names and who has no device
// yet, because his invitations go to that address. ErrAssign for anything else,
// ErrHeld, ErrQuarantineUnknown.
func (s *Service) Assign(ctx context.Context, by journal.Actor, id string, u subject.User) error {
	q, err := s.Store.Quarantine(ctx, subject.UserID(id))
	if err != nil {
		return fmt.Errorf("reading the quarantine: %w", err)
	}
	holders, err := s.Store.Holders(ctx, q.Certificate.Fingerprint)
	switch {
	case err != nil:
		return fmt.Errorf("looking for holders: %w", err)
	case slices.Contains(holders, u.ID):
		return ErrHeld
	}
	why, err := q.due(by, u)
	if err != nil {
		return err
	}
	e := journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyAssigning, User: u.ID, Cert: q.Certificate.Fingerprint,
		Detail: map[string]string{"quarantine": id, "because": why}}
	a := escrow.Assignment{From: q.ID, To: u.ID, By: by, Fresh: why == newcomer, At: e.At.Truncate(time.Microsecond)} // as it is stored
	if err := s.Store.AssignmentAsked(ctx, a.Marked(s.Marks), e); err != nil {
		return fmt.Errorf("assigning %s: %w", id, err)
	}
	return nil
}

// newcomer is why a user gets a key who cannot have had a device before.
const newcomer = "primary address, and no device"

// due tells why the key may go to that user.
func (q Quarantine) due(by journal.Actor, u subject.User) (string, error) {
	c, err := q.Certificate.Certificate()
	if err != nil {
		return "", fmt.Errorf("reading certificate %s: %w", q.Certificate.Fingerprint, err)
	}
	switch {
	case q.By == actor(by):
		return "imported it", nil
	case slices.Contains(q.Named, u.ID) && cert.NamesOf(c).Mentions(u):
		return "named when it came", nil
	case slices.Contains(q.Certificate.Addresses, u.Mail):
		return newcomer, nil
	}
	return "", ErrAssign
}

// actor is how who imported a key is kept.
func actor(by journal.Actor) string { return string(by.Kind) + ":" + by.ID }

// Discard destroys a key in quarantine for ever. ErrQuarantineUnknown.
func (s *Service) Discard(ctx context.Context, by journal.Actor, id string) error {
	q, err := s.Store.Quarantine(ctx, subject.UserID(id))
	if err != nil {
		return fmt.Errorf("reading the quarantine: %w", err)
	}
	e := journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyDiscarded, Cert: q.Certificate.Fingerprint, Detail: map[string]string{"quarantine": id}}
	if err := s.Store.KeyDiscarded(ctx, q.ID, e); err != nil {
		return fmt.Errorf("discarding %s: %w", id, err)
	}
	return nil
}

// aside is what is stored of a sealed key that nobody is known to own.
func (j job) aside(sealed escrow.Record, record cert.Record, to place) Arrival {
	q := &Quarantine{ID: sealed.User, Certificate: record, Why: to.why.Code, File: printable(j.file.Name), By: sealed.CreatedBy, Named: []subject.UserID{}}
	for _, u := range to.named {
		q.Named = append(q.Named, u.ID)
	}
	return Arrival{Deposit: escrow.Deposit{Certificate: record, Key: sealed}, Quarantine: q, Entry: journal.Entry{
		At: record.CreatedAt, Actor: j.by, Action: journal.KeyQuarantined, Cert: sealed.Cert,
		Detail: map[string]string{"file": q.File, "quarantine": string(q.ID), "code": q.Why},
	}}
}
