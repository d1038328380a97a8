package pfxconnector

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// purpose tells what the key is for, and why it is not taken.
func (j job) purpose(c *x509.Certificate) (cert.Use, *fault.Error) {
	if c.IsCA {
		return cert.Unknown, ErrCA
	}
	use, refusal := purposeOf(c, j.file.Purpose, j.file.AllowSigning)
	if how, weak := cert.Weak(c); weak && !j.file.AllowWeak && (refusal == nil || refusal.Code != ErrPurpose.Code) {
		return use, ErrWeak.Saying(how)
	}
	return use, refusal
}

// purposeOf tells what a key is for when somebody says so (Unknown: the
// certificate does), and why it may not be held for that.
func purposeOf(c *x509.Certificate, said cert.Use, signing bool) (cert.Use, *fault.Error) {
	use, reason := cert.Classify(c)
	if said != cert.Unknown {
		if !cert.Possible(c).Has(said) {
			return use, ErrPurpose
		}
		use = said
	}
	switch {
	case use == cert.Unknown && !cert.ForMail(c):
		return use, ErrNotMail.Saying(reason)
	case use == cert.Unknown:
		return use, unclaimed(reason)
	case !use.Has(cert.Encryption) && !signing:
		return use, ErrNotEncryption
	}
	return use, nil
}

// unclaimed is for a key that could encrypt, if the certificate said so.
func unclaimed(reason string) *fault.Error {
	f := ErrNotEncryption.Saying(reason)
	f.Hint = "--purpose encryption imports it all the same, if the key can do that."
	return f
}

// place is whose an identity is.
type place struct {
	user     subject.User // in quarantine, one that has only a place there as id
	how      string       // he was found
	has      bool         // he has it already
	refusal  *fault.Error // or why it is nobody's
	why      *fault.Error // or why it goes into quarantine
	named    []subject.User
	warnings []string
}

// outcome is s, in the words for a key that is nobody's.
func (p place) outcome(s Status) Status {
	switch {
	case p.why == nil:
		return s
	case s == WouldImport:
		return WouldQuarantine
	}
	return Quarantined
}

// place finds whose identity it is.
func (j job) place(ctx context.Context, c *x509.Certificate) (place, error) {
	to, err := j.owner(ctx, c)
	if err != nil || to.refusal != nil {
		return to, err
	}
	all, err := j.Store.Holders(ctx, cert.FingerprintOf(c.Raw))
	if err != nil {
		return to, fmt.Errorf("looking for holders: %w", err)
	}
	waiting, holders := divide(all)
	switch {
	case to.why != nil && len(holders) > 0:
		to.refusal = ErrOtherUser
	case to.why != nil && len(waiting) > 0:
		to.user.ID, to.has = waiting[0], true
	case slices.Contains(holders, to.user.ID):
		to.has = true
	case len(holders) > 0 && j.file.User == nil:
		to.refusal = ErrOtherUser
	case len(holders) > 0:
		to.warnings = append(to.warnings, "Another user holds this certificate as well.")
	}
	return to, nil
}

// divide tells places in quarantine from users.
func divide(ids []subject.UserID) (waiting, users []subject.UserID) {
	for _, id := range ids {
		if escrow.InQuarantine(id) {
			waiting = append(waiting, id)
		} else {
			users = append(users, id)
		}
	}
	return waiting, users
}

// owner gives the user who was given, or else the one whom the certificate
// names.
func (j job) owner(ctx context.Context, c *x509.Certificate) (place, error) {
	names := cert.NamesOf(c)
	if u := j.file.User; u != nil {
		to := place{user: *u, how: "import"}
		if !names.Mentions(*u) {
			to.warnings = []string{"The certificate does not name this user."}
		}
		return to, nil
	}
	users, err := j.candidates(ctx, names)
	if err != nil {
		return place{}, err
	}
	switch found, how := cert.Match(names, users); len(found) {
	case 0:
		return j.unplaced(ErrNoUser, nil)
	case 1:
		return place{user: found[0], how: how}, nil
	default:
		return j.unplaced(ErrAmbiguous.Saying("The certificate names several users: "+addresses(found)+"."), found)
	}
}

// unplaced gives what is nobody's a place in quarantine, or refuses it.
func (j job) unplaced(why *fault.Error, named []subject.User) (place, error) {
	if j.file.NoQuarantine {
		return place{refusal: why}, nil
	}
	id, err := escrow.NewQuarantine()
	return place{user: subject.User{ID: id}, why: why, named: named}, err
}

// candidates gives everybody whom any of the names means.
func (s *Service) candidates(ctx context.Context, names cert.Names) (users []subject.User, err error) {
	for _, name := range names.All() {
		u, err := s.Users.User(ctx, name)
		if f := fault.Of(err); f != nil && f.Kind == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for a user: %w", err)
		}
		if !slices.ContainsFunc(users, func(o subject.User) bool { return o.ID == u.ID }) {
			users = append(users, u)
		}
	}
	return users, nil
}

func addresses(users []subject.User) string {
	var list []string
	for _, u := range users[:min(len(users), 5)] {
		list = append(list, u.Mail)
	}
	return strings.Join(list, ", ")
}

// oddities warns of what is taken all the same.
func oddities(id pfx.Identity) []string {
	list := []string{cert.Aged(id.Certificate), cert.Undeliverable(id.Certificate)}
	top := id.Certificate
	if n := len(id.Chain); n > 0 {
		top = id.Chain[n-1]
	}
	if !bytes.Equal(top.RawSubject, top.RawIssuer) {
		list = append(list, "The file lacks CA certificates above it.")
	}
	return list
}

// newRecord describes an imported certificate; the holder comes later.
func newRecord(id pfx.Identity, use cert.Use, now time.Time) cert.Record {
	c := id.Certificate
	r := cert.RecordOf(c, now)
	r.Source, r.Use, r.Deliverable = cert.Imported, use, cert.Undeliverable(c)
	r.Subject, r.Issuer = printable(r.Subject), printable(r.Issuer)
	for _, ca := range id.Chain {
		r.Chain = append(r.Chain, ca.Raw)
	}
	return r
}
