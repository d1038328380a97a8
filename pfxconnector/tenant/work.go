package tenant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// How much is done at a time, and how long it may take before another does it.
const (
	inPlan   = 500
	inBatch  = 20
	leaseFor = 2 * time.Minute
	keptFor  = 24 * time.Hour // what is sealed and cannot be sent
)

// How long after a failure it is tried again: longer each time.
const (
	firstPause = time.Minute
	maxPause   = 12 * time.Hour
	// refusedFor is how long one is left alone that the tenant refused: its key
	// must be opened once more, and its user told.
	refusedFor = 7 * 24 * time.Hour
)

// Plan finds what the tenant is to have and has not, and the other way round. It
// counts what it found.
func (s *Service) Plan(ctx context.Context) (int, error) {
	r, err := s.Recipient(ctx)
	if errors.Is(err, ErrNoRecipient) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	now := s.Now()
	return s.Store.CopiesPlanned(ctx, s.Want, r.ID, now, now.Add(-keptFor), inPlan)
}

// Seal seals what is wanted. It is the keeper's.
func (s *Service) Seal(ctx context.Context) (int, error) {
	return s.each(ctx, []State{Wanted}, s.seal)
}

// Send looks for accounts, sends what is sealed, and takes away what is to go.
func (s *Service) Send(ctx context.Context) (int, error) {
	known := map[subject.UserID]Account{}
	return s.each(ctx, []State{Looking, Sealed, Removing}, func(ctx context.Context, c Copy) (Outcome, *journal.Entry, error) {
		return s.send(ctx, c, known)
	})
}

// each does something to a few copies. What the tenant, the hourly limit or a
// forged recipient is in the way of is in the way of the others, too, so it ends
// there; they are given back, and that is no attempt.
func (s *Service) each(ctx context.Context, states []State, do func(context.Context, Copy) (Outcome, *journal.Entry, error)) (int, error) {
	now := s.Now()
	list, err := s.Store.CopiesLeased(ctx, now, now.Add(leaseFor), inBatch, states...)
	done := 0
	var stop error
	for _, c := range list {
		var o Outcome
		var e *journal.Entry
		failed := stop
		if stop == nil {
			if o, e, failed = do(ctx, c); failed == nil {
				o.Code, o.Attempts, o.Next, o.At = "", 0, s.Now(), s.Now()
				done++
			}
		}
		if failed != nil {
			o, e = s.failed(ctx, c, failed), nil
			if stop != nil {
				o.Attempts = c.Attempts
			}
			if f := fault.Of(failed); f == nil || f.Kind == fault.Unavailable || errors.Is(failed, ErrForged) {
				stop = failed
			}
		}
		if err := s.Store.CopyTried(context.WithoutCancel(ctx), o, e); err != nil {
			return done, err
		}
	}
	return done, err
}

// patient is a failure that says how long to wait.
type patient interface {
	error
	Wait() time.Duration
}

// failed puts a copy off.
func (s *Service) failed(ctx context.Context, c Copy, err error) Outcome {
	now := s.Now()
	pause := min(maxPause, firstPause<<min(c.Attempts, 10))
	if p, ok := errors.AsType[patient](err); ok && p.Wait() > 0 {
		pause = max(pause, min(p.Wait(), maxPause))
	}
	s.Log.WarnContext(ctx, "a certificate is not at the Intune tenant yet", logx.User, string(c.User.ID), logx.Cert, c.Cert.String(),
		logx.State, string(c.State), logx.Code, fault.Code(err), logx.Until, now.Add(pause), logx.Err, err)
	if errors.Is(err, ErrRefused) && c.State == Sealed {
		c.State, c.Package, pause = Looking, Package{}, refusedFor
	}
	c.Code, c.Attempts, c.Next = fault.Code(err), c.Attempts+1, now.Add(pause)
	return Outcome{Copy: c, At: now}
}

func (s *Service) seal(ctx context.Context, c Copy) (Outcome, *journal.Entry, error) {
	p, to, err := s.Sealer.SealForTenant(ctx, c.User, c.Cert)
	if err != nil {
		return Outcome{}, nil, err
	}
	c.Key = to.ID
	p.Password = s.Box.Close(seal.NewSecret(p.Password), c.bound(p.Blob))
	c.State, c.Package, c.Thumbprint = Sealed, p, strings.ToLower(cert.Thumbprint(c.Record.DER))
	return Outcome{Copy: c}, nil, nil
}

func (s *Service) send(ctx context.Context, c Copy, known map[subject.UserID]Account) (Outcome, *journal.Entry, error) {
	if c.State == Removing {
		return s.remove(ctx, c)
	}
	to, err := s.Recipient(ctx)
	if err != nil {
		return Outcome{}, nil, err
	}
	account, err := s.account(ctx, c.User, known)
	if err != nil {
		return Outcome{}, nil, err
	}
	if err := namesAccount(c, account); err != nil {
		return Outcome{}, nil, err
	}
	if c.State == Looking {
		return s.found(ctx, c, account)
	}
	password, err := s.Box.Open(c.Package.Password, c.bound(c.Package.Blob))
	if err != nil || c.Key != to.ID || c.Account != account.ID || len(c.Package.Blob) == 0 {
		c.State, c.Package = Looking, Package{}
		return Outcome{Copy: c}, nil, nil
	}
	c.Package.Password = password.Reveal()
	err = s.Graph.Put(ctx, Object{Account: account.ID, UPN: c.User.UPN, Thumbprint: c.Thumbprint, Use: c.Record.Use,
		NotBefore: c.Record.NotBefore, NotAfter: c.Record.NotAfter, Recipient: to.Recipient, Package: c.Package, Created: s.Now()})
	if err != nil {
		return Outcome{}, nil, err
	}
	c.State, c.Package = There, Package{}
	return Outcome{Copy: c}, s.told(c, journal.TenantSent), nil
}

// bound is what the keeper binds a package to: who changes the database puts
// none in the place of another.
func (c Copy) bound(blob []byte) string {
	return fmt.Sprintf("tenant package %s %s %s %x", c.User.ID, c.Cert, c.Key, sha256.Sum256(blob))
}

// namesAccount refuses a certificate that names no address of the account. Neither of
// the two depends on what our own directory says.
func namesAccount(c Copy, account Account) error {
	leaf, err := c.Record.Certificate()
	if err != nil || cert.FingerprintOf(leaf.Raw) != c.Cert {
		return ErrNames.With(err)
	}
	names := cert.NamesOf(leaf).All()
	if !slices.ContainsFunc(account.Addresses, func(a string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, a) })
	}) {
		return ErrNames
	}
	return nil
}

// found notes whose account it is. From one that was his before it is taken away.
func (s *Service) found(ctx context.Context, c Copy, account Account) (Outcome, *journal.Entry, error) {
	if c.Account != "" && c.Account != account.ID && c.Thumbprint != "" {
		if err := s.Graph.Remove(ctx, c.Account, c.Thumbprint); err != nil {
			return Outcome{}, nil, err
		}
	}
	c.State, c.Account = Wanted, account.ID
	return Outcome{Copy: c}, nil, nil
}

// remove takes away what may be there: the answer to what was sent may have been
// lost.
func (s *Service) remove(ctx context.Context, c Copy) (Outcome, *journal.Entry, error) {
	if c.Account == "" || c.Thumbprint == "" {
		return Outcome{Copy: c, Gone: true}, nil, nil
	}
	if err := s.Graph.Remove(ctx, c.Account, c.Thumbprint); err != nil {
		return Outcome{}, nil, err
	}
	return Outcome{Copy: c, Gone: true}, s.told(c, journal.TenantRemoved), nil
}

// account finds the user's account in the tenant. It must have his primary
// address, which nobody can change while he has keys here: who moved his UPN to
// another's account would else have filled that.
func (s *Service) account(ctx context.Context, u subject.User, known map[subject.UserID]Account) (Account, error) {
	if a, ok := known[u.ID]; ok {
		return a, nil
	}
	a, err := s.Graph.Account(ctx, u.UPN)
	if err != nil {
		return a, err
	}
	if !slices.ContainsFunc(a.Addresses, func(mail string) bool { return strings.EqualFold(mail, u.Mail) }) {
		return a, ErrAccountDiffers
	}
	known[u.ID] = a
	return a, nil
}

func (s *Service) told(c Copy, a journal.Action) *journal.Entry {
	e := s.entry(journal.Worker("tenant"), a, map[string]string{"account": c.Account, "upn": c.User.UPN})
	e.User, e.Cert = c.User.ID, c.Cert
	return &e
}

// Again lets what failed be tried now, of a user or of all for an empty id; all of
// it, what is there included, if everything is wanted.
func (s *Service) Again(ctx context.Context, by journal.Actor, user subject.UserID, everything bool) (int, error) {
	if s.ID == "" {
		return 0, ErrOff
	}
	e := s.entry(by, journal.TenantSync, nil)
	e.User = user
	return s.Store.CopiesDue(ctx, user, everything, e)
}
