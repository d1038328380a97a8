package scep

import (
	"context"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// Store keeps all that scep knows.
type Store interface {
	ChallengeStore
	IssuanceStore
	RecordStore
	HolderStore
	RevocationStore
	CRLStore
	AnswerStore
	OCSPStore
	ApprovalStore
	PendingStore
	// Noted writes down what came to nothing: a challenge that could not be made,
	// a certificate of another CA that nobody gets.
	Noted(ctx context.Context, e journal.Entry) error
}

// Grant is what an unused challenge, or a certificate that may be renewed,
// stands for: who gets which certificate with what in it.
type Grant struct {
	Profile string
	Holder  cert.Holder
	Names   ca.Names
}

// Ticket is a challenge as it is stored: by the hash of its secret.
type Ticket struct {
	Grant
	Hash     seal.Hash
	Created  time.Time
	Expires  time.Time
	Voided   time.Time // replaced by a newer one, or tried too often
	Used     time.Time
	Attempts int
	Gone     bool // the user is disabled or the device is not his, or was removed
}

// ChallengeStore keeps challenges.
type ChallengeStore interface {
	// ChallengeMade stores t and voids the unused ones of the same profile and
	// device, with the requests that wait for approval by them.
	ChallengeMade(ctx context.Context, t Ticket, e journal.Entry) error
	// Ticket finds a challenge, whatever its state. ErrChallengeUnknown when
	// there is none.
	Ticket(ctx context.Context, hash seal.Hash) (Ticket, error)
	// ChallengeRefused counts a failed try, keeps why for people and writes e;
	// at the last of MaxAttempts an unused challenge becomes void. After that,
	// and for an unknown hash, nothing happens.
	ChallengeRefused(ctx context.Context, hash seal.Hash, why string, e journal.Entry) error
}

// MaxAttempts is how many failed tries a challenge survives.
const MaxAttempts = 10

// Issuance is one certificate on its way: written down before it is signed.
// Either Challenge or Renews says what allows it.
type Issuance struct {
	Grant
	Issuer      string
	Serial      cert.Serial
	Shard       string // the list that the certificate names
	Challenge   seal.Hash
	Renews      cert.Fingerprint
	Request     string // that waited for people; empty where none did
	Transaction string
	SPKI        cert.Fingerprint
	Rate        Rate // zero: as many as one likes
	TBS         []byte
	NotAfter    time.Time
	At          time.Time
}

// Issued is a certificate with what it was granted by.
type Issued struct {
	Grant
	Issuer  string
	Record  cert.Record
	Current bool // none newer was issued to the same device by the same profile
	Gone    bool // as in Ticket
}

// IssuedQuery says which certificates to list.
type IssuedQuery struct {
	User    subject.UserID   // empty for all
	Device  subject.DeviceID // empty for all
	Profile string           // empty for all
	State   State            // empty for all
	Now     time.Time        // at which State holds
	Before  time.Time        // with ID, a place in the list; zero for its beginning
	ID      cert.Fingerprint
	Limit   int
}

// State is how a certificate that was issued stands.
type State string

// The states. One that is revoked stays so beyond its end.
const (
	Good    State = "good"
	Revoked State = "revoked"
	Expired State = "expired"
)

// StateOf tells how r stands.
func StateOf(r cert.Record, now time.Time) State {
	switch {
	case r.Revoked():
		return Revoked
	case now.After(r.NotAfter):
		return Expired
	}
	return Good
}

// IssuanceStore keeps what was issued. A process that dies between the two
// steps leaves a serial number that is never used again, and a challenge that
// is as good as before.
type IssuanceStore interface {
	// SerialReserved writes down what is about to be signed. ErrKeyKnown when
	// the key is in an imported or a revoked certificate, or in another
	// holder's; ErrCertificatesMany when as many as the rate allows were written
	// down for the device, or for its user, within the hour.
	SerialReserved(ctx context.Context, i Issuance) error
	// Reserved tells whether the same was written down before, for the same
	// challenge, transaction and key, and nothing was stored since.
	Reserved(ctx context.Context, i Issuance) (bool, error)
	// CertificateIssued completes a reservation: it consumes the challenge or
	// ends the renewed certificate's turn, and the approval if there is one, and
	// stores the record. The serial number and the end of the record take the
	// place of those that were written down, which another CA did not know. All
	// or nothing: ErrChallengeUsed or ErrRenewalOver when another request was
	// faster or the renewed one was revoked, ErrRequestDecided when the approval
	// was withdrawn, ErrHolder when the holder is gone.
	CertificateIssued(ctx context.Context, i Issuance, r cert.Record, e journal.Entry) error
}

// RecordStore finds what was issued.
type RecordStore interface {
	// Repeated finds what the same challenge or renewed certificate gave to
	// the same transaction and key, not before since.
	Repeated(ctx context.Context, i Issuance, since time.Time) (r cert.Record, found bool, err error)
	// Issued finds one. ErrCertificateUnknown when there is none.
	Issued(ctx context.Context, f cert.Fingerprint) (Issued, error)
	// IssuedAs finds the one with that serial number. ErrCertificateUnknown
	// when there is none.
	IssuedAs(ctx context.Context, serial cert.Serial) (cert.Fingerprint, error)
	// IssuedPage lists what was issued, newest first; never nil.
	IssuedPage(ctx context.Context, q IssuedQuery) ([]cert.Record, error)
}

// HolderStore knows how those stand whom certificates name.
type HolderStore interface {
	// Addresses gives all that our records have for a user now; none when there
	// is no such user.
	Addresses(ctx context.Context, id subject.UserID) ([]string, error)
	// Forsaken lists good certificates of disabled users that are on no device
	// of ours; those on devices are for delivery.
	Forsaken(ctx context.Context, now time.Time) ([]cert.Fingerprint, error)
}

// The values of a CRL, which the store reads and writes.
type (
	Revocation = ca.Revocation
	Reason     = ca.Reason
)

// Reasons that have a meaning here.
const (
	// Abandoned is that of a serial number whose certificate may exist, but was
	// never given to anybody.
	Abandoned = ca.CessationOfOperation
	// KeyCompromise is worse than any other.
	KeyCompromise = ca.KeyCompromise
)

// CRL is a published list of an issuer, and whether more was revoked since.
type CRL struct {
	Issuer     string
	Shard      string // "": the whole list
	Partial    bool   // holds only certificates that name it
	Number     int64  // 0: none was published yet
	ThisUpdate time.Time
	DER        []byte
	Revision   int64 // rises with each revocation
	Published  int64 // the revision that the list holds
}

// ErrCRLRaced is returned when another list was published first.
var ErrCRLRaced = errors.New("scep: another CRL was published meanwhile")

// RevocationStore keeps revocations.
type RevocationStore interface {
	// CertificateRevoked revokes one that was issued; if it was before,
	// nothing happens, but that KeyCompromise takes the place of another reason.
	CertificateRevoked(ctx context.Context, f cert.Fingerprint, reason Reason, e journal.Entry) error
	// ReservationsAbandoned revokes the serial numbers that were reserved
	// before and are not issued. Nobody completes them from then on.
	ReservationsAbandoned(ctx context.Context, issuer string, before time.Time) error
}

// CRLStore keeps the lists of revocations. A shard's is there from the first
// certificate on that names it.
type CRLStore interface {
	// CRL gives the published list of an issuer. ErrCRLUnknown when there is
	// none and no certificate names it.
	CRL(ctx context.Context, issuer, shard string) (CRL, error)
	// CRLsDue lists the shards whose lists do not hold everything, or were made
	// not after before or after after; the whole list comes last.
	CRLsDue(ctx context.Context, issuer string, before, after time.Time) ([]string, error)
	// Revocations gives what the next list must hold, and the list there is,
	// which may hold less: all that was revoked and had not expired when that
	// list was made. The whole list is Partial when there are more than most.
	Revocations(ctx context.Context, issuer, shard string, most int) (CRL, []Revocation, error)
	// CRLPublished replaces the list that has number previous; ErrCRLRaced
	// when it is another one by now.
	CRLPublished(ctx context.Context, c CRL, previous int64) error
}

// Question is what an OCSP answer is about.
type Question = ca.Question

// Answer is a signed OCSP answer as it is stored.
type Answer struct {
	DER        []byte // empty: none was signed yet
	ThisUpdate time.Time
	Outdated   bool // it is to be signed anew
}

// Wanted is an answer that is to be signed.
type Wanted struct {
	Question
	Revision   int64      // rises with each reason to sign another
	Revocation Revocation // zero instant: the certificate is good
}

// Signed is an answer that was.
type Signed struct {
	Wanted
	DER []byte
}

// AnswerStore has the OCSP answers for who is asked.
type AnswerStore interface {
	// Answer gives the stored one; zero when there is none.
	Answer(ctx context.Context, issuer string, q Question) (Answer, error)
	// AnswerWanted notes that one is to be signed, again if need be.
	// ErrCertificateUnknown when no such certificate was issued or it expired.
	AnswerWanted(ctx context.Context, issuer string, q Question, now time.Time) error
}

// OCSPStore has them for who signs.
type OCSPStore interface {
	// AnswersWanted lists up to limit of those that are to be signed.
	AnswersWanted(ctx context.Context, issuer string, limit int) ([]Wanted, error)
	// AnswersSigned stores those that nobody asked for again meanwhile, as he
	// does who revokes: the others are still to be signed.
	AnswersSigned(ctx context.Context, issuer string, list []Signed, now time.Time) error
	// AnswersForgotten deletes those that were signed before.
	AnswersForgotten(ctx context.Context, before time.Time) error
}
