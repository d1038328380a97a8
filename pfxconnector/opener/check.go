package opener

import (
	"context"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Broken is why a certificate is not delivered whose key does not open.
const Broken = "Its sealed key does not open. Remove it and import its file again."

const (
	checkLease = 2 * time.Minute
	checkBatch = 50
)

// Unchecked are records that were sealed elsewhere and never opened.
type Unchecked interface {
	// UncheckedLeased takes some that nobody has leased, until then, after it
	// recorded e with their number. What was removed meanwhile is left out.
	UncheckedLeased(ctx context.Context, now, until time.Time, limit int, e journal.Entry) ([]escrow.Deposit, error)
	// KeysChecked notes that the records of these ids open.
	KeysChecked(ctx context.Context, ids []string) error
	// KeyFailed notes that one does not, and keeps its certificate from being
	// delivered or chosen, for that reason. Again, it does nothing.
	KeyFailed(ctx context.Context, d escrow.Deposit, why string, e journal.Entry) error
}

// CheckerConfig is what a checker needs.
type CheckerConfig struct {
	Records Unchecked
	Keys    Keys
	Log     *slog.Logger
	Now     func() time.Time
}

// Checker opens, once, what was sealed elsewhere, and forgets the key at once:
// that a record does not open is to be known before the key is needed. Whoever
// sealed proved that he had the key, but not that he sealed it.
type Checker struct{ CheckerConfig }

// NewChecker makes one. Several processes may have one each.
func NewChecker(c CheckerConfig) *Checker {
	if c.Records == nil || c.Keys == nil || c.Log == nil || c.Now == nil {
		panic("opener: nil dependency")
	}
	return &Checker{c}
}

// Step checks a batch and tells how many that were. It may be killed anywhere
// and run again. When an escrow key is away the rest waits: [ErrKeyAway].
func (c *Checker) Step(ctx context.Context) (int, error) {
	now := c.Now()
	list, err := c.Records.UncheckedLeased(ctx, now, now.Add(checkLease), checkBatch,
		journal.Entry{At: now, Actor: journal.Worker("checker"), Action: journal.KeysChecked})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	var opens []string
	for _, d := range list {
		err := Prove(ctx, c.Keys, d)
		if f := fault.Of(err); f != nil && f.Kind == fault.Denied {
			err = c.failed(ctx, d, f)
		} else if err == nil {
			opens = append(opens, d.Key.ID)
		}
		if err != nil {
			return 0, err
		}
	}
	if len(opens) > 0 {
		err = c.Records.KeysChecked(ctx, opens)
	}
	return len(list), err
}

func (c *Checker) failed(ctx context.Context, d escrow.Deposit, f *fault.Error) error {
	c.Log.ErrorContext(ctx, "a key that was sealed elsewhere does not open", logx.User, string(d.Key.User), logx.Cert, d.Key.Cert.String(), logx.Code, f.Code, logx.Err, f)
	return c.Records.KeyFailed(ctx, d, Broken, journal.Entry{At: c.Now(), Actor: journal.Worker("checker"), Action: journal.KeyAlarm,
		User: d.Key.User, Cert: d.Key.Cert, Due: subject.OfUser(d.Key.User), Detail: map[string]string{"code": f.Code, "record": d.Key.ID, "sealed_by": d.Key.CreatedBy}})
}
