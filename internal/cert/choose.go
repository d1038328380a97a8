package cert

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Choice sorts the certificates of one user whose keys are in escrow.
type Choice struct {
	Current *Record                // new mail is encrypted to it; nil when none fits
	History []Record               // the others that a device can install and decrypt with, newest first
	Reasons map[Fingerprint]string // why each one is where it is, for people
}

// Place is where a certificate stands in a choice.
type Place string

// The places.
const (
	Current Place = "current" // delivered; new mail is encrypted to it
	Past    Place = "history" // delivered, for old mail
	Kept    Place = "kept"    // in escrow, not delivered
)

// Place tells where f stands.
func (c Choice) Place(f Fingerprint) Place {
	switch {
	case c.Current != nil && c.Current.Fingerprint == f:
		return Current
	case slices.ContainsFunc(c.History, func(r Record) bool { return r.Fingerprint == f }):
		return Past
	}
	return Kept
}

// Choose picks, of a user's records, the encryption certificate for new mail
// and the history that every device gets as well. Only those in escrow count.
// primary is the user's primary address, normalised: mail apps offer no other.
// Revoked and expired ones stay history, because old mail needs them.
func Choose(records []Record, primary string, now time.Time) Choice {
	c := Choice{Reasons: map[Fingerprint]string{}}
	var usable []Record
	for _, r := range records {
		switch {
		case !r.Escrowed():
		case !r.Use.Has(Encryption):
			c.Reasons[r.Fingerprint] = "It is not for encryption."
		case r.Deliverable != "":
			c.Reasons[r.Fingerprint] = r.Deliverable
		default:
			usable = append(usable, r)
		}
	}
	slices.SortFunc(usable, newestFirst)
	current := pick(usable, func(r Record) string { return unfit(r, primary, now) })
	for i, r := range usable {
		if i == current {
			c.Current = &usable[i]
			c.Reasons[r.Fingerprint] = chosen(r)
			continue
		}
		c.History = append(c.History, r)
		c.Reasons[r.Fingerprint] = cmp.Or(unfit(r, primary, now), "Another one is current.")
	}
	return c
}

// ChooseSigning picks, of a user's imported records, the one to sign new mail
// with, and says why it is not another. Nil when none fits.
func ChooseSigning(records []Record, primary string, now time.Time) (*Record, map[Fingerprint]string) {
	reasons := map[Fingerprint]string{}
	sorted := slices.SortedFunc(slices.Values(records), newestFirst)
	refusal := func(r Record) string {
		switch {
		case !r.Use.Has(Signing):
			return "It is not for signing."
		case r.Deliverable != "":
			return r.Deliverable
		}
		return unfit(r, primary, now)
	}
	sorted = slices.DeleteFunc(sorted, func(r Record) bool { return r.Source != Imported })
	best := pick(sorted, refusal)
	for i, r := range sorted {
		if i == best {
			reasons[r.Fingerprint] = chosen(r)
		} else {
			reasons[r.Fingerprint] = cmp.Or(refusal(r), "Another one is chosen.")
		}
	}
	if best < 0 {
		return nil, reasons
	}
	return &sorted[best], reasons
}

// pick gives the index of the first record that nothing speaks against, a
// pinned one before all others; -1 for none.
func pick(sorted []Record, unfit func(Record) string) int {
	fit := func(r Record) bool { return unfit(r) == "" }
	if i := slices.IndexFunc(sorted, func(r Record) bool { return r.Pinned && fit(r) }); i >= 0 {
		return i
	}
	return slices.IndexFunc(sorted, fit)
}

// unfit tells what keeps r from being used for new mail, "" for nothing. A pin
// overrules address and key length.
func unfit(r Record, primary string, now time.Time) string {
	switch {
	case r.Revoked():
		return "It was revoked on " + date(r.RevokedAt) + "."
	case now.After(r.NotAfter):
		return "It expired on " + date(r.NotAfter) + "."
	case !r.ValidAt(now):
		return "It is not valid before " + date(r.NotBefore) + "."
	case r.Pinned:
		return ""
	case !slices.Contains(r.Addresses, primary):
		return fmt.Sprintf("It does not name the primary address %s.", primary)
	}
	if c, err := r.Certificate(); err == nil { // last, because it costs most
		return Aged(c)
	}
	return ""
}

// Unfit tells what keeps r from being the certificate for new mail even when an
// administrator wants it to be; "" for nothing.
func Unfit(r Record, now time.Time) string {
	switch {
	case !r.Escrowed():
		return "Its key is not in escrow."
	case !r.Use.Has(Encryption):
		return "It is not for encryption."
	case r.Deliverable != "":
		return r.Deliverable
	}
	r.Pinned = true
	return unfit(r, "", now)
}

func chosen(r Record) string {
	if r.Pinned {
		return "An administrator chose it."
	}
	return "It is the newest valid one that names the primary address."
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// newestFirst orders by begin, end, import and, so that the order is one,
// fingerprint.
func newestFirst(a, b Record) int {
	return cmp.Or(b.NotBefore.Compare(a.NotBefore), b.NotAfter.Compare(a.NotAfter),
		b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.Fingerprint[:], b.Fingerprint[:]))
}
