package opener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// ErrRotation is returned when data keys stay sealed to a retiring escrow key.
var ErrRotation = fault.New(fault.Internal, "escrow_rotation_incomplete",
	"Some keys do not open with the escrow key that they are sealed to, and stay as they are.", "Restore them from a backup; the retiring escrow key is still needed.")

// inBatch is how many wraps are replaced in one transaction.
const inBatch = 100

// Wraps are the wraps of all records.
type Wraps interface {
	// Wrapped gives the wraps for that key of the records that follow that id,
	// in the order of their ids, at most limit.
	Wrapped(ctx context.Context, key escrow.KeyID, after string, limit int) ([]escrow.Held, error)
	// Rewrapped puts wraps for another key in the place of those for old, where
	// these are still there, and tells how many were; when none, e is not
	// recorded. Nothing else of a record changes. It is atomic.
	Rewrapped(ctx context.Context, old escrow.KeyID, list []escrow.Held, e journal.Entry) (int, error)
}

// EscrowKeys are those of now.
type EscrowKeys interface {
	Keys
	// Recipient gives the one that is sealed to.
	Recipient() (escrow.Recipient, error)
	// Retiring lists those that only open.
	Retiring() []escrow.KeyID
}

// RotatorConfig is what a rotator needs.
type RotatorConfig struct {
	Wraps Wraps
	Keys  EscrowKeys
	Log   *slog.Logger
	Now   func() time.Time
}

// Rotator seals the data keys of records to the active escrow key instead of
// retiring ones. The private keys themselves stay sealed, and what is stored of
// them stays as it is. A data key that does not open is left alone.
type Rotator struct {
	RotatorConfig
	key    escrow.KeyID // that this round is about
	after  string       // the record it has come to
	stayed int          // wraps of it that did not open
}

// NewRotator makes one. It is for one goroutine; several processes may have one
// each.
func NewRotator(c RotatorConfig) *Rotator {
	if c.Wraps == nil || c.Keys == nil || c.Log == nil || c.Now == nil {
		panic("opener: nil dependency")
	}
	return &Rotator{RotatorConfig: c}
}

// Step replaces one batch and tells how many wraps that were. It may be killed
// anywhere and run again. [ErrRotation] at the end of a round that left some.
func (r *Rotator) Step(ctx context.Context) (int, error) {
	for _, key := range r.Keys.Retiring() {
		if key != r.key {
			r.key, r.after, r.stayed = key, "", 0
		}
		n, err := r.batch(ctx)
		if n > 0 || err != nil {
			return n, err
		}
		stayed := r.stayed
		r.after, r.stayed = "", 0
		if stayed > 0 {
			return 0, ErrRotation.With(fmt.Errorf("%d of %s", stayed, key))
		}
	}
	return 0, nil
}

// batch goes on with the round, past batches of which nothing opens.
func (r *Rotator) batch(ctx context.Context) (int, error) {
	for {
		list, err := r.Wraps.Wrapped(ctx, r.key, r.after, inBatch)
		if err != nil || len(list) == 0 {
			return 0, err
		}
		n, err := r.rewrap(ctx, list)
		if err != nil {
			return 0, err
		}
		r.after = list[len(list)-1].Record
		if n > 0 {
			return n, nil
		}
	}
}

func (r *Rotator) rewrap(ctx context.Context, list []escrow.Held) (int, error) {
	to, err := r.Keys.Recipient()
	if err != nil {
		return 0, err
	}
	replaced := make([]escrow.Held, 0, len(list))
	for _, w := range list {
		wrap, err := r.one(ctx, to, w)
		if f := fault.Of(err); f != nil && f.Kind == fault.Denied { // it does not fit
			r.stayed++
			r.Log.ErrorContext(ctx, "a data key does not open and stays as it is", logx.Kind, w.Record, logx.Err, err)
			continue
		}
		if err != nil {
			return 0, err
		}
		replaced = append(replaced, escrow.Held{Record: w.Record, Wrap: wrap})
	}
	if len(replaced) == 0 {
		return 0, nil
	}
	return r.Wraps.Rewrapped(ctx, r.key, replaced, journal.Entry{At: r.Now(), Actor: journal.Worker("rotation"), Action: journal.EscrowRewrapped,
		Detail: map[string]string{"keys": strconv.Itoa(len(replaced)), "from": string(r.key), "to": string(to.ID())}})
}

// one seals a data key to another escrow key.
func (r *Rotator) one(ctx context.Context, to escrow.Recipient, w escrow.Held) (escrow.Wrap, error) {
	dataKey, err := r.Keys.Unwrap(ctx, w.Wrap, escrow.WrapInfo(w.Record, w.Key))
	if err != nil {
		return escrow.Wrap{}, err
	}
	defer dataKey.Wipe()
	if len(dataKey.Reveal()) != escrow.KeyBytes {
		return escrow.Wrap{}, ErrTampered.With(errors.New("a data key has no possible length"))
	}
	return to.Wrap(w.Record, dataKey.Reveal())
}
