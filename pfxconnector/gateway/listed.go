package gateway

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Listed is a certificate as the other MDM may see it.
type Listed struct {
	Record   cert.Record
	Current  bool
	Withheld string // why it is not handed over; empty: it is
}

// listed tells of each record where it stands, the current one first, then the
// history, newest first. May tells whether a device may have one; nil: any.
func listed(records []cert.Record, u subject.User, now time.Time, may func(*x509.Certificate) bool) []Listed {
	choice := cert.Choose(records, u.Mail, now)
	list := []Listed{}
	for _, place := range []cert.Place{cert.Current, cert.Past, cert.Kept} {
		for _, r := range records {
			if choice.Place(r.Fingerprint) != place {
				continue
			}
			l := Listed{Record: r, Current: place == cert.Current}
			if place == cert.Kept {
				l.Withheld = choice.Reasons[r.Fingerprint]
			} else if c, err := r.Certificate(); err != nil || may != nil && !may(c) {
				l.Withheld = "It does not name the address that the device's certificate names."
			}
			list = append(list, l)
		}
	}
	return list
}

// handed gives those that are handed over.
func handed(list []Listed) (out []cert.Fingerprint) {
	for _, l := range list {
		if l.Withheld == "" {
			out = append(out, l.Record.Fingerprint)
		}
	}
	return out
}

// Revision names a state of a list: another has another.
func Revision(list []Listed) string {
	h := sha256.New()
	for _, l := range list {
		h.Write(l.Record.Fingerprint[:])
		if l.Current {
			io.WriteString(h, "current")
		}
		io.WriteString(h, l.Withheld+"\x00")
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
