package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Terms is what a certificate profile says of renewal and delivery.
type Terms struct {
	Percent int       // of the validity that are left when renewal begins; 0: usualPercent
	Since   time.Time // what was issued before is not as it is issued now; zero: all of it is
	Ours    bool      // devices get it by delivery
}

const (
	usualPercent = 20
	// reissueSpan is the time over which certificates that are not as they are
	// issued now are replaced.
	reissueSpan = 7 * 24 * time.Hour
)

// Share is how much of the validity is left when renewal begins, in percent.
func (t Terms) Share() int {
	if t.Percent <= 0 || t.Percent >= 100 {
		return usualPercent
	}
	return t.Percent
}

// Renewal is when a certificate of a device is renewed. It does not end: what is
// not renewed by its end is so afterwards.
//
// Devices have theirs one by one: in the first half of the time that the terms
// leave for it, so that the second is there for those who are off or refuse. The
// same device has always the same place, whichever server works it out.
func Renewal(r cert.Record, t Terms) time.Time {
	window := r.NotAfter.Sub(r.NotBefore) / 100 * time.Duration(t.Share())
	at := spread(r, r.NotAfter.Add(-window), window/2)
	if r.CreatedAt.Before(t.Since) {
		left := max(0, r.NotAfter.Sub(t.Since))
		if early := spread(r, t.Since, min(reissueSpan, left/2)); early.Before(at) {
			return early
		}
	}
	return at
}

// spread gives the place of a certificate's device in the time from then on.
func spread(r cert.Record, from time.Time, span time.Duration) time.Time {
	return from.Add(place(r.Holder.Device, r.Profile, span))
}

// place is even over all devices, and another for each certificate profile.
func place(d subject.DeviceID, profile string, span time.Duration) time.Duration {
	sum := sha256.Sum256([]byte(string(d) + "\x00" + profile))
	part, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(max(0, span)))
	return time.Duration(part)
}

// renewal is when r is renewed here: somebody may have wished that it be at once.
func (f Facts) renewal(r cert.Record) time.Time {
	at := Renewal(r, f.Terms[r.Profile])
	if r.CreatedAt.Before(f.RenewAt) && f.RenewAt.Before(at) {
		return f.RenewAt
	}
	return at
}

// Overdue is a certificate that is to be renewed and comes to its end.
type Overdue struct {
	Use cert.Use
	End time.Time
}

// A certificate is spoken of when so little is left of it, and its renewal has
// been waited for so long.
const (
	EndSoon = 30 * 24 * time.Hour
	Grace   = 24 * time.Hour
)

// Overdue gives the certificates of an enrolled device whose renewal is late,
// with EndSoon and Grace; those that have ended too.
func (f Facts) Overdue() (list []Overdue) {
	if !f.Enrolled || f.User.Disabled {
		return nil
	}
	add := func(r cert.Record) {
		if !f.Now.Before(f.renewal(r).Add(Grace)) && !f.Now.Before(r.NotAfter.Add(-EndSoon)) {
			list = append(list, Overdue{r.Use, r.NotAfter})
		}
	}
	if r, known := f.identity(); known && f.Renews {
		add(r)
	}
	for _, p := range f.Parcels {
		if certs := f.signing(); p.Signs && p.Removal.UUID == "" && len(certs) > 0 {
			add(f.inUse(certs))
		}
	}
	return list
}

// inUse gives of the certificates for signing the newest that the device lists;
// the newest of all when it lists none.
func (f Facts) inUse(certs []cert.Record) cert.Record {
	for _, r := range certs {
		if f.holds(r.Fingerprint, true) {
			return r
		}
	}
	return certs[0]
}
