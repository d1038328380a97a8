package opener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Quarantine has the keys whose users were not known when they came.
type Quarantine interface {
	// AssignmentLeased hands out one assignment, and whether there is one. Nobody
	// else gets it until then. Its mark shows whether somebody decided on it.
	AssignmentLeased(ctx context.Context, now, until time.Time) (a escrow.Assignment, found bool, err error)
	// QuarantinedDeposit gives the sealed key of a place with its certificate, and
	// whether there is one.
	QuarantinedDeposit(ctx context.Context, from subject.UserID) (escrow.Deposit, bool, error)
	// KeyAssigned puts a key that was sealed to the user in the place of the one
	// in quarantine, which is destroyed. A fault when what was asked for does not
	// hold any more, by the terms of the assignment.
	KeyAssigned(ctx context.Context, a escrow.Assignment, key escrow.Record, e journal.Entry) error
	// AssignmentFailed leaves it in quarantine, and notes the code of why.
	AssignmentFailed(ctx context.Context, from, to subject.UserID, why string, e journal.Entry) error
}

// Recorder writes the journal.
type Recorder interface {
	// Record stores the entry durably, or fails.
	Record(ctx context.Context, e journal.Entry) error
}

// AssignerConfig is what an assigner needs.
type AssignerConfig struct {
	Quarantine Quarantine
	Keys       Keys
	Sealer     *escrow.Sealer
	Marks      *seal.Box // of who decides on assignments
	Journal    Recorder
	Log        *slog.Logger
	Now        func() time.Time
}

// Assigner seals keys that were in quarantine to the users whose they are. It
// opens nothing that is bound to a user, whatever it is told.
type Assigner struct{ AssignerConfig }

// NewAssigner makes one.
func NewAssigner(c AssignerConfig) *Assigner {
	if c.Quarantine == nil || c.Keys == nil || c.Sealer == nil || c.Marks == nil || c.Journal == nil || c.Log == nil || c.Now == nil {
		panic("opener: nil dependency")
	}
	return &Assigner{c}
}

// assignTime is how long one may take before another keeper tries it, and
// assignLife how long ago it may have been decided on: a row that somebody kept
// and puts back is worth nothing for ever.
const (
	assignTime = 2 * time.Minute
	assignLife = 7 * 24 * time.Hour
)

// Refusals of assignments.
var (
	ErrUnmarked = fault.New(fault.Denied, "escrow_assignment_forged",
		"Nobody here decided that the key in quarantine is that user's.", "Restore the database from a backup and look into who changed it.")
	ErrAssignmentOld = fault.New(fault.Conflict, "escrow_assignment_old",
		"Whose the key in quarantine is was said too long ago.", "Say it again: signet pfx quarantine assign.")
)

// Step does one assignment and tells whether there was one. It may be killed
// anywhere and run again.
func (a *Assigner) Step(ctx context.Context) (int, error) {
	now := a.Now()
	of, found, err := a.Quarantine.AssignmentLeased(ctx, now, now.Add(assignTime))
	if err != nil || !found {
		return 0, err
	}
	if err = a.decided(of); err == nil {
		err = a.assign(ctx, of)
	}
	f := fault.Of(err)
	if err == nil || f == nil || f.Kind == fault.Unavailable { // that is tried again
		return 1, err
	}
	a.Log.ErrorContext(ctx, "a key stays in quarantine", logx.Kind, string(of.From), logx.Code, f.Code, logx.Err, err)
	action := journal.KeyUnassigned
	if slices.Contains(Alarms(), f.Code) {
		action = journal.KeyAlarm
	}
	return 1, a.Quarantine.AssignmentFailed(ctx, of.From, of.To, f.Code, journal.Entry{At: now, Actor: of.By, Action: action, User: of.To,
		Detail: map[string]string{"quarantine": string(of.From), "code": f.Code}})
}

// decided looks whether somebody decided on it, lately.
func (a *Assigner) decided(of escrow.Assignment) error {
	switch {
	case !of.Genuine(a.Marks):
		return ErrUnmarked
	case a.Now().Sub(of.At) > assignLife:
		return ErrAssignmentOld
	}
	return nil
}

// assign seals one key anew. The journal is written before it is opened.
func (a *Assigner) assign(ctx context.Context, of escrow.Assignment) error {
	from, to := of.From, of.To
	if !escrow.InQuarantine(from) || !subject.ValidID(string(to)) {
		return ErrTampered.With(errors.New("that is no assignment of a key in quarantine to a user"))
	}
	d, found, err := a.Quarantine.QuarantinedDeposit(ctx, from)
	if err != nil || !found {
		return errors.Join(err, ErrNotOwner.With(fmt.Errorf("nothing is sealed to %s", from)))
	}
	leaf, _, err := certificates(d.Certificate, d.Key.Cert)
	if err != nil {
		return err
	}
	e := journal.Entry{At: a.Now(), Actor: of.By, Action: journal.KeyResealed, User: to, Cert: d.Key.Cert, Detail: map[string]string{"quarantine": string(from)}}
	if err := a.Journal.Record(ctx, e); err != nil {
		return ErrJournal.With(err)
	}
	pkcs8, err := plain(ctx, a.Keys, from, leaf, d.Key)
	if err != nil {
		return err
	}
	defer pkcs8.Wipe()
	sealed, err := a.Sealer.Seal(escrow.Key{User: to, Certificate: leaf, PKCS8: pkcs8.Reveal()})
	if err != nil {
		return fmt.Errorf("sealing %s: %w", d.Key.Cert, err)
	}
	sealed.Source, sealed.CreatedAt, sealed.CreatedBy = d.Key.Source, d.Key.CreatedAt, d.Key.CreatedBy
	e.Action, e.Due = journal.KeyAssigned, subject.OfUser(to)
	if err := a.Quarantine.KeyAssigned(ctx, of, sealed, e); err != nil {
		return fmt.Errorf("assigning %s: %w", d.Key.Cert, err)
	}
	return nil
}
