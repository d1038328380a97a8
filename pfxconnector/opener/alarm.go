package opener

import (
	"context"
	"errors"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

// Alarms are the codes of refusals that nothing explains but a changed database
// or somebody who asks for what he should not: they stand in the journal as
// [journal.KeyAlarm].
func Alarms() []string {
	return []string{ErrTampered.Code, ErrUnmarked.Code, ErrNotOwner.Code, ErrLimit.Code, tenant.ErrForged.Code}
}

// about says which key an error is about.
type about struct {
	user   subject.UserID
	cert   cert.Fingerprint
	record string // id of the sealed key; empty when there is none
	error
}

// Unwrap gives the error.
func (a about) Unwrap() error { return a.error }

// alarm makes a refusal seen. What was denied goes to the journal as well, and
// what is one of the [Alarms] as an alarm.
func (o *Opener) alarm(ctx context.Context, device subject.DeviceID, err error) {
	f := fault.Of(err)
	if f == nil {
		return // the caller's to log
	}
	a, _ := errors.AsType[about](err)
	o.Log.ErrorContext(ctx, "no key opened", logx.Device, string(device), logx.Code, f.Code, logx.Err, err)
	action := journal.KeyRefused
	switch {
	case f.Code == ErrLimit.Code && !o.limit.first(device, o.Now()):
		return // one an hour says it
	case slices.Contains(Alarms(), f.Code):
		action = journal.KeyAlarm
	case f.Kind != fault.Denied:
		return
	}
	e := o.entry(action, cert.Holder{User: a.user, Device: device}, a.cert, map[string]string{"code": f.Code})
	if a.record != "" {
		e.Detail["record"] = a.record
	}
	if err := o.Journal.Record(context.WithoutCancel(ctx), e); err != nil {
		o.Log.ErrorContext(ctx, "refusal not in the journal", logx.Device, string(device), logx.Err, err)
	}
}
