package scep

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// Intune is the name of the validator of challenges that Microsoft Intune made.
const Intune = "intune"

// What can go wrong with challenges that somebody else validates.
var (
	ErrValidatorUse = fault.New(fault.Invalid, "scep_validator_use",
		"No such certificate profile can have a validator.", "Make a profile of its own for it: for signing, of our own CA, without approval, for devices that are managed elsewhere.")
	ErrValidatorMissing = fault.New(fault.Unavailable, "scep_validator_missing",
		"The certificate profile has a validator, but this server is not told how to ask it.", "Fill in the section intune of the configuration of the keeper.")
	ErrElsewhereUser = fault.New(fault.Denied, "scep_elsewhere_user",
		"The mail addresses in the request are not all those of one user of ours.", "Add the user with the address that the other system puts into the request: signet user add.")
)

// Validator is who made a challenge that we did not make.
type Validator interface {
	// Validate tells whether it made the challenge in the request, for what the
	// request asks. It may be asked again. Every refusal is a fault, of the kind
	// Unavailable when there was no verdict. It ends soon.
	Validate(ctx context.Context, transaction string, csr []byte) error
	// Succeeded reports the certificate, as often as need be. Unless it is taken
	// nobody may get the certificate. Errors are as those of Validate.
	Succeeded(ctx context.Context, transaction string, csr []byte, c *x509.Certificate) error
	// Failed reports that a request which it found good gets none, and the code
	// of the reason. Nothing depends on it.
	Failed(ctx context.Context, transaction string, csr []byte, code string)
}

// Report is what a validator is to be told of: that a request which it found
// good got a certificate.
type Report struct {
	Challenge   seal.Hash
	Transaction string
	SPKI        cert.Fingerprint
	CSR         []byte           // as it was validated, with the challenge in it
	Certificate cert.Fingerprint // zero while there is none
	Told        time.Time        // zero: not yet
	Tries       int
}

// ReportStore keeps reports, each from before there is a certificate, so that
// none is forgotten wherever a process dies.
type ReportStore interface {
	// ReportOwed writes r down, or anew, to be told once there is a certificate
	// and not before due, by whoever has not told it by then.
	ReportOwed(ctx context.Context, r Report, at, due time.Time) error
	// Report finds one by challenge, transaction and key; zero when there is none.
	Report(ctx context.Context, challenge seal.Hash, transaction string, spki cert.Fingerprint) (Report, error)
	// ReportsLeased gives up to limit that are due and not told, of certificates
	// that exist, and nobody else any of these until then.
	ReportsLeased(ctx context.Context, now, until time.Time, limit int) ([]Report, error)
	// ReportPostponed notes that r could not be told, and is due again then.
	ReportPostponed(ctx context.Context, r Report, due time.Time) error
	// ReportTold ends r; its request is forgotten.
	ReportTold(ctx context.Context, r Report, at time.Time) error
	// ReportsForgotten deletes what was written down before and has come to no
	// certificate.
	ReportsForgotten(ctx context.Context, before time.Time) error
}

// Elsewhere is how challenges that somebody else made become certificates: he
// validates each request, the certificate is in the name of the user whose
// address the request has, and says what our profile says. It is for devices
// that are managed elsewhere.
type Elsewhere struct {
	Validator
	ReportStore
	User func(ctx context.Context, address string) (subject.User, error)
}

const (
	// reportAfter is how long the request that made a certificate has to report it.
	reportAfter = time.Minute
	reportLease = 5 * time.Minute
	reportPause = 30 * time.Second // doubled with each try
	maxDoubled  = 7
	reportBatch = 20
	// forgottenAfter is when a validated request that came to nothing is deleted.
	forgottenAfter = 24 * time.Hour
)

// elsewhereID is the id of the device that a challenge of somebody else's is on.
// We know no other, and the same challenge must always have the same.
func elsewhereID(challenge seal.Hash) subject.DeviceID {
	return subject.DeviceID(uuid.NewSHA1(uuid.NameSpaceOID, challenge[:]).String())
}

// elsewhere tells whether somebody else made the challenge.
func (t Ticket) elsewhere() bool { return t.Holder.Device == elsewhereID(t.Hash) }

// ticketElsewhere gives the ticket of a challenge that is not ours: t if there
// is one already. Until it is used every request is validated.
func (v *Certifier) ticketElsewhere(ctx context.Context, a issuing, t Ticket, known bool) (Ticket, error) {
	switch {
	case v.Elsewhere == nil:
		return Ticket{}, ErrValidatorMissing
	case !t.Used.IsZero():
		return t, nil
	case !a.wanted.provenBy(a.signer):
		return Ticket{}, ErrKeyForeign
	}
	if err := v.Elsewhere.Validate(ctx, a.Transaction, a.CSR); err != nil {
		return Ticket{}, err
	}
	t, err := v.admit(ctx, a, t, known)
	v.failed(ctx, a, err)
	return t, err
}

// failed reports a refusal. What is for now only is none, and the loser of a
// race is told of by the winner.
func (v *Certifier) failed(ctx context.Context, a issuing, err error) {
	if f := fault.Of(err); f != nil && f.Kind != fault.Unavailable && !errors.Is(err, ErrChallengeUsed) {
		v.Elsewhere.Failed(context.WithoutCancel(ctx), a.Transaction, a.CSR, f.Code)
	}
}

// admit makes a ticket for a request that was validated. Whoever it names, and
// how, must be what our records say.
func (v *Certifier) admit(ctx context.Context, a issuing, t Ticket, known bool) (Ticket, error) {
	now := v.Now()
	if !known {
		g, err := v.grantElsewhere(ctx, a)
		if err != nil {
			return Ticket{}, err
		}
		t = Ticket{Grant: g, Hash: a.wanted.challenge.Hash(), Created: now, Expires: now.Add(a.profile.ChallengeLife)}
	}
	if err := v.unmatched(a, Issuance{Grant: t.Grant}); err != nil {
		return Ticket{}, about{err, t.Holder}
	}
	r := Report{Challenge: t.Hash, Transaction: a.Transaction, SPKI: a.wanted.spki, CSR: a.CSR}
	if err := v.Elsewhere.ReportOwed(ctx, r, now, now.Add(reportAfter)); err != nil || known {
		return t, err
	}
	return v.stored(ctx, a.profile.Validator, t)
}

// grantElsewhere gives what the certificate will say: all mail addresses of the
// request are of one user, and the names are what the profile gives him.
func (v *Certifier) grantElsewhere(ctx context.Context, a issuing) (g Grant, err error) {
	asked, err := x509.ParseCertificateRequest(a.CSR)
	if err != nil {
		return g, ErrUnreadable
	}
	alt, err := cert.AltNamesOf(asked.Extensions)
	if err != nil || len(alt.Mail) == 0 {
		return g, ErrElsewhereUser
	}
	u, err := v.Elsewhere.User(ctx, alt.Mail[0])
	if f := fault.Of(err); f != nil && f.Kind == fault.NotFound {
		return g, ErrElsewhereUser.With(err)
	}
	if err != nil {
		return g, fmt.Errorf("looking for the user of a request: %w", err)
	}
	d := subject.Device{ID: elsewhereID(a.wanted.challenge.Hash()), User: u.ID}
	g = Grant{Profile: a.Profile, Holder: cert.Holder{User: u.ID, Device: d.ID}}
	if u.Disabled {
		return g, about{ErrHolder, g.Holder}
	}
	for _, addr := range alt.Mail {
		if !owns(addressesOf(u), addr) {
			return g, about{ErrElsewhereUser, g.Holder}
		}
	}
	if g.Names, err = a.profile.names(u, d); err != nil {
		return g, about{err, g.Holder}
	}
	return g, nil
}

// reported gives a certificate of somebody else's challenge out, once he was
// told of it.
func (v *Certifier) reported(ctx context.Context, a issuing, t Ticket, c cert.Record, err error) (cert.Record, error) {
	if v.failed(ctx, a, err); err != nil {
		return cert.Record{}, err
	}
	ctx = context.WithoutCancel(ctx)
	r, err := v.Elsewhere.Report(ctx, t.Hash, a.Transaction, a.wanted.spki)
	if err == nil && r.Told.IsZero() {
		var refused error
		if refused, err = v.tell(ctx, r, c); err == nil {
			err = refused
		}
	}
	if err != nil {
		return cert.Record{}, fmt.Errorf("reporting certificate %s: %w", c.Serial, err)
	}
	return c, nil
}

// tell reports a certificate. One that is refused then is nobody's, and revoked.
func (v *Certifier) tell(ctx context.Context, r Report, c cert.Record) (refused, err error) {
	x, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	err = v.Elsewhere.Succeeded(ctx, r.Transaction, r.CSR, x)
	if f := fault.Of(err); f != nil && f.Kind == fault.Denied {
		refused, err = err, v.withdraw(ctx, c)
		v.Log.WarnContext(ctx, "a certificate was refused after it was made, and is revoked", logx.Profile, c.Profile,
			logx.User, c.Holder.User, logx.Serial, string(c.Serial), logx.Code, f.Code, logx.Err, refused)
	}
	if err != nil {
		return refused, err
	}
	return refused, v.Elsewhere.ReportTold(ctx, r, v.Now())
}

// withdraw revokes a certificate that nobody got, and publishes that.
func (v *Certifier) withdraw(ctx context.Context, c cert.Record) error {
	issuer, err := revoke(ctx, v.Store, v.Now(), journal.Worker("reports"), c.Fingerprint, ca.CessationOfOperation)
	if err != nil {
		return err
	}
	return v.Publish(ctx, issuer)
}

// Report tells of certificates that were made while nobody could be told, and
// how many that were. It is run again and again.
func (v *Certifier) Report(ctx context.Context) (n int, err error) {
	if v.Elsewhere == nil {
		return 0, nil
	}
	now := v.Now()
	if err := v.Elsewhere.ReportsForgotten(ctx, now.Add(-forgottenAfter)); err != nil {
		return 0, err
	}
	list, err := v.Elsewhere.ReportsLeased(ctx, now, now.Add(reportLease), reportBatch)
	for _, r := range list {
		failed := v.tellLate(ctx, r)
		if failed == nil {
			n++
			continue
		}
		again := v.Now().Add(reportPause << min(r.Tries, maxDoubled))
		err = errors.Join(err, fmt.Errorf("reporting certificate %s: %w", r.Certificate, failed), v.Elsewhere.ReportPostponed(ctx, r, again))
	}
	return n, err
}

// tellLate tells of one; to be refused is an answer too.
func (v *Certifier) tellLate(ctx context.Context, r Report) error {
	issued, err := v.Store.Issued(ctx, r.Certificate)
	if err != nil {
		return err
	}
	refused, err := v.tell(ctx, r, issued.Record)
	if err == nil && refused == nil {
		v.Log.InfoContext(ctx, "certificate reported late", logx.Profile, issued.Profile, logx.User, issued.Holder.User,
			logx.Cert, r.Certificate.String(), logx.Serial, string(issued.Record.Serial))
	}
	return err
}
