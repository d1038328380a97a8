package opener

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// ErrRecovery is returned when records stay without the recovery key of now.
var ErrRecovery = fault.New(fault.Internal, "recovery_rotation_incomplete",
	"Some keys do not open, so they were not sealed to the recovery key.", "Restore them from a backup; the recovery key of before still opens what it opened.")

// Recoveries are the records with their wraps for recovery keys.
type Recoveries interface {
	// Unrecoverable gives the records that follow that id, in the order of their
	// ids, at most limit, that have no wrap for that recovery key or one for
	// another.
	Unrecoverable(ctx context.Context, to escrow.KeyID, after string, limit int) ([]escrow.Deposit, error)
	// RecoveryReplaced puts wraps in the place of all that the records have for
	// recovery keys, and tells of how many records; when of none, e is not
	// recorded. Records that are gone stay so, and nothing else of a record
	// changes. It is atomic.
	RecoveryReplaced(ctx context.Context, list []escrow.Held, e journal.Entry) (int, error)
}

// Diary is what is written before records are opened.
type Diary interface {
	// Record stores the entry durably, or fails.
	Record(ctx context.Context, e journal.Entry) error
}

// RecovererConfig is what a recoverer needs.
type RecovererConfig struct {
	Records Recoveries
	Keys    Keys
	// Chosen gives the recovery key that all records are to be sealed to, and
	// whether there is one.
	Chosen  func() (escrow.Recovery, bool, error)
	Journal Diary
	Log     *slog.Logger
	Now     func() time.Time
}

// Recoverer seals records to another recovery key than before. The private keys
// are opened for that and sealed again at once. A record that does not open is
// left alone.
type Recoverer struct {
	RecovererConfig
	to     escrow.KeyID // that this round is about
	after  string       // the record it has come to
	stayed int          // records that did not open
	until  time.Time    // nothing is looked for before: the round before found nothing
}

// lookAgain is how long after a round the next one begins. A front end that was
// not told of the key goes on to seal to the one before.
const lookAgain = 10 * time.Minute

// NewRecoverer makes one. It is for one goroutine; several processes may have one
// each.
func NewRecoverer(c RecovererConfig) *Recoverer {
	if c.Records == nil || c.Keys == nil || c.Chosen == nil || c.Journal == nil || c.Log == nil || c.Now == nil {
		panic("opener: nil dependency")
	}
	return &Recoverer{RecovererConfig: c}
}

// Step seals one batch anew and tells how many records that were. It may be
// killed anywhere and run again. [ErrRecovery] at the end of a round that left
// some.
func (r *Recoverer) Step(ctx context.Context) (int, error) {
	to, chosen, err := r.Chosen()
	if err != nil || !chosen {
		return 0, err
	}
	if to.ID() != r.to {
		r.to, r.after, r.stayed, r.until = to.ID(), "", 0, time.Time{}
	}
	if r.Now().Before(r.until) {
		return 0, nil
	}
	if err := r.Keys.Ready(ctx); err != nil {
		return 0, err
	}
	for {
		list, err := r.Records.Unrecoverable(ctx, r.to, r.after, inBatch)
		if err != nil {
			return 0, err
		}
		if len(list) == 0 {
			return 0, r.end()
		}
		n, err := r.replace(ctx, to, list)
		if err != nil {
			return 0, err
		}
		r.after = list[len(list)-1].Key.ID
		if n > 0 {
			return n, nil
		}
	}
}

// end ends a round.
func (r *Recoverer) end() error {
	stayed := r.stayed
	r.after, r.stayed, r.until = "", 0, r.Now().Add(lookAgain)
	if stayed > 0 {
		return ErrRecovery.With(fmt.Errorf("%d records", stayed))
	}
	return nil
}

func (r *Recoverer) replace(ctx context.Context, to escrow.Recovery, list []escrow.Deposit) (int, error) {
	if err := r.Journal.Record(ctx, r.entry(journal.RecoveryOpened, len(list))); err != nil {
		return 0, ErrJournal.With(err)
	}
	replaced := make([]escrow.Held, 0, len(list))
	for _, d := range list {
		wrap, err := r.one(ctx, to, d)
		if f := fault.Of(err); f != nil && f.Kind == fault.Denied { // it does not fit
			r.stayed++
			r.Log.ErrorContext(ctx, "a key does not open and is not sealed to the recovery key", logx.Kind, d.Key.ID, logx.Err, err)
			continue
		}
		if err != nil {
			return 0, err
		}
		replaced = append(replaced, escrow.Held{Record: d.Key.ID, Wrap: wrap})
	}
	if len(replaced) == 0 {
		return 0, nil
	}
	return r.Records.RecoveryReplaced(ctx, replaced, r.entry(journal.RecoveryRewrapped, len(replaced)))
}

func (r *Recoverer) entry(a journal.Action, keys int) journal.Entry {
	return journal.Entry{At: r.Now(), Actor: journal.Worker("rotation"), Action: a,
		Detail: map[string]string{"keys": strconv.Itoa(keys), "to": string(r.to)}}
}

// one seals a private key to the recovery key.
func (r *Recoverer) one(ctx context.Context, to escrow.Recovery, d escrow.Deposit) (escrow.Wrap, error) {
	leaf, _, err := certificates(d.Certificate, d.Key.Cert)
	if err != nil {
		return escrow.Wrap{}, err
	}
	pkcs8, err := plain(ctx, r.Keys, d.Key.User, leaf, d.Key)
	if err != nil {
		return escrow.Wrap{}, err
	}
	defer pkcs8.Wipe()
	if _, err := parse(pkcs8, leaf, d.Key); err != nil {
		return escrow.Wrap{}, err
	}
	return to.Wrap(escrow.Key{User: d.Key.User, Certificate: leaf, PKCS8: pkcs8.Reveal()})
}
