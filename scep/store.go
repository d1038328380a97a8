package scep

import (
	"context"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep/ca"
)

// Store keeps all that scep knows.
type Store interface {
	ChallengeStore
	IssuanceStore
	RevocationStore
	ApprovalStore
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
	// ChallengeRefused counts a failed try and writes e; at the last of
	// MaxAttempts an unused challenge becomes void. After that, and for an
	// unknown hash, nothing happens.
	ChallengeRefused(ctx context.Context, hash seal.Hash, e journal.Entry) error
}

// MaxAttempts is how many failed tries a challenge survives.
const MaxAttempts = 10

// Issuance is one certificate on its way: written down before it is signed.
// Either Challenge or Renews says what allows it.
type Issuance struct {
	Grant
	Issuer      string
	Serial      cert.Serial
	Challenge   seal.Hash
	Renews      cert.Fingerprint
	Request     string // that a person approved; empty where nobody has to
	Transaction string
	SPKI        cert.Fingerprint
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

// IssuanceStore keeps what was issued. A process that dies between the two
// steps leaves a serial number that is never used again, and a challenge that
// is as good as before.
type IssuanceStore interface {
	// SerialReserved writes down what is about to be signed. ErrKeyKnown when
	// the key is in an imported or a revoked certificate, or in another
	// holder's.
	SerialReserved(ctx context.Context, i Issuance) error
	// CertificateIssued completes a reservation: it consumes the challenge or
	// ends the renewed certificate's turn, and the approval if there is one, and
	// stores the record. All or nothing: ErrChallengeUsed or ErrRenewalOver when
	// another request was faster, ErrRequestDecided when the approval was
	// withdrawn, ErrHolder when the holder is gone.
	CertificateIssued(ctx context.Context, i Issuance, r cert.Record, e journal.Entry) error
	// Repeated finds what the same challenge or renewed certificate gave to
	// the same transaction and key, not before since.
	Repeated(ctx context.Context, i Issuance, since time.Time) (r cert.Record, found bool, err error)
	// Issued finds one. ErrCertificateUnknown when there is none.
	Issued(ctx context.Context, f cert.Fingerprint) (Issued, error)
}

// The values of a CRL, which the store reads and writes.
type (
	Revocation = ca.Revocation
	Reason     = ca.Reason
)

// CRL is an issuer's published list, and whether more was revoked since.
type CRL struct {
	Issuer     string
	Number     int64 // 0: none was published yet
	ThisUpdate time.Time
	DER        []byte
	Revision   int64 // rises with each revocation
	Published  int64 // the revision that the list holds
}

// ErrCRLRaced is returned when another list was published first.
var ErrCRLRaced = errors.New("scep: another CRL was published meanwhile")

// RevocationStore keeps revocations and the lists of them.
type RevocationStore interface {
	// CertificateRevoked revokes one that was issued; if it was before,
	// nothing happens.
	CertificateRevoked(ctx context.Context, f cert.Fingerprint, reason Reason, e journal.Entry) error
	// CRL gives the published list of an issuer; a zero one when there is none.
	CRL(ctx context.Context, issuer string) (CRL, error)
	// Revocations gives what the next list must hold, as one consistent view
	// with the list there is: all that was revoked and had not expired when
	// that list was made, and the reservations from before abandoned, which
	// nobody completes from then on.
	Revocations(ctx context.Context, issuer string, abandoned time.Time) (CRL, []Revocation, error)
	// CRLPublished replaces the list that has number previous; ErrCRLRaced
	// when it is another one by now.
	CRLPublished(ctx context.Context, c CRL, previous int64) error
}
