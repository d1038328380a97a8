package opener

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
)

// ErrNotTold is returned when a user cannot be told of an export.
var ErrNotTold = fault.New(fault.Unavailable, "recovery_not_told",
	"The user cannot be told that his keys are exported, so they were not opened.", "See whether mail can be queued.")

// exportLife is how long what was sealed for a recipient can be fetched.
const exportLife = 24 * time.Hour

// Agreement is what several people agreed to.
type Agreement struct {
	ID        string
	Request   string // exactly what is to be done
	Digest    seal.Hash
	Requester subject.UserID
	Approvers []subject.UserID
}

// Consents finds what people agreed to. The exporter believes it and nothing
// else: its approvals are proven by what the database does not hold.
type Consents interface {
	// Agreed gives the exports that may be made now.
	Agreed(ctx context.Context) ([]Agreement, error)
	// Used uses one up and stores the entries, all or nothing; it fails unless
	// enough people agree to that digest at that moment.
	Used(ctx context.Context, id string, digest seal.Hash, e journal.Entry, more ...journal.Entry) error
}

// Exports keeps what was sealed.
type Exports interface {
	// ExportSealed stores the file of an agreement.
	ExportSealed(ctx context.Context, id string, file []byte, until time.Time, e journal.Entry) error
}

// Told tells users.
type Told interface {
	// Exported tells a user that so many of his keys are exported, before they
	// are. An error: he will not hear of it.
	Exported(ctx context.Context, user subject.UserID, a Agreement, reason string, keys int) error
}

// Exporter opens keys that several people agreed to export, and seals them to
// the recipient whom they agreed to.
type Exporter struct {
	*Opener
	consents Consents
	exports  Exports
	told     Told
	refused  map[string]string // why an agreement was, by its id: said once
}

// NewExporter makes an exporter, which counts by the opener's limits. It is for
// one goroutine; several processes may have one each.
func NewExporter(o *Opener, c Consents, e Exports, t Told) *Exporter {
	if o == nil || c == nil || e == nil || t == nil {
		panic("opener: nil dependency")
	}
	return &Exporter{o, c, e, t, map[string]string{}}
}

// Step makes the exports that were agreed to, and tells how many.
func (x *Exporter) Step(ctx context.Context) (n int, err error) {
	list, err := x.consents.Agreed(ctx)
	if err != nil {
		return 0, fmt.Errorf("looking for exports: %w", err)
	}
	var errs []error
	for _, a := range list {
		if err := x.export(ctx, a); err != nil {
			x.refuse(ctx, a, err)
			errs = append(errs, fmt.Errorf("export %s: %w", a.ID, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

// refuse raises the alarm once: an agreement is looked at again and again until
// its time is over.
func (x *Exporter) refuse(ctx context.Context, a Agreement, err error) {
	f := fault.Of(err)
	if f == nil || x.refused[a.ID] == f.Code {
		return
	}
	x.refused[a.ID] = f.Code
	x.alarm(ctx, "", err)
}

// export uses the agreement up and writes the journal, one entry a key, and tells
// the user, before any is opened. What fails afterwards must be asked for again.
func (x *Exporter) export(ctx context.Context, a Agreement) error {
	r, err := recovery.Parse(a.Request)
	if err != nil {
		return err
	}
	wanted, err := r.Prints()
	if err != nil {
		return err
	}
	deposits, err := x.owned(ctx, r.User, wanted)
	if err != nil {
		return err
	}
	if err := x.Ready(ctx); err != nil {
		return err
	}
	// A user has as many as a device; what the tenant gets is not counted here.
	if err := x.spend(ctx, subject.DeviceID("export "+r.User), len(wanted)); err != nil {
		return err
	}
	var entries []journal.Entry
	for _, f := range wanted {
		entries = append(entries, x.entry(journal.KeyOpened, cert.Holder{User: r.User}, f, a.detail()))
	}
	if err := x.consents.Used(ctx, a.ID, a.Digest, entries[0], entries[1:]...); err != nil {
		return err
	}
	if err := x.told.Exported(ctx, r.User, a, r.Reason, len(wanted)); err != nil {
		return ErrNotTold.With(err)
	}
	file, err := x.pack(ctx, r, deposits)
	if err != nil {
		return err
	}
	detail := a.detail()
	detail["keys"], detail["to"], detail["reason"] = strconv.Itoa(len(wanted)), r.To(), r.Reason
	e := x.entry(journal.KeyExported, cert.Holder{User: r.User}, cert.Fingerprint{}, detail)
	if err := x.exports.ExportSealed(ctx, a.ID, file, x.Now().Add(exportLife), e); err != nil {
		return fmt.Errorf("storing what was sealed: %w", err)
	}
	x.Log.WarnContext(ctx, "keys exported", logx.User, string(r.User), "approval", a.ID, "keys", len(wanted))
	return nil
}

func (a Agreement) detail() map[string]string {
	var people []string
	for _, p := range a.Approvers {
		people = append(people, string(p))
	}
	return map[string]string{"why": "recovery", "approval": a.ID, "person": string(a.Requester), "approvers": strings.Join(people, " ")}
}

// owned finds the deposits of a user, all or none.
func (o *Opener) owned(ctx context.Context, user subject.UserID, wanted []cert.Fingerprint) ([]escrow.Deposit, error) {
	found, err := o.Deposits.Deposits(ctx, user, wanted)
	if err != nil {
		return nil, fmt.Errorf("looking for sealed keys: %w", err)
	}
	has := map[cert.Fingerprint]escrow.Deposit{}
	for _, d := range found {
		if d.Key.User == user && d.Certificate.Holder.User == user {
			has[d.Key.Cert] = d
		}
	}
	list := make([]escrow.Deposit, len(wanted))
	for i, f := range wanted {
		d, ok := has[f]
		if !ok {
			return nil, about{user, f, "", ErrNotOwner}
		}
		list[i] = d
	}
	return list, nil
}

// pack opens the keys and seals them to the recipient.
func (x *Exporter) pack(ctx context.Context, r recovery.Request, deposits []escrow.Deposit) ([]byte, error) {
	var list []recovery.Identity
	for _, d := range deposits {
		leaf, chain, err := certificates(d.Certificate, d.Key.Cert)
		if err != nil {
			return nil, err
		}
		key, err := open(ctx, x.Keys, r.User, leaf, d.Key)
		if err != nil {
			return nil, err
		}
		list = append(list, recovery.Identity{Key: key, Leaf: leaf, Chain: chain})
	}
	return r.Seal(list)
}
