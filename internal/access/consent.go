package access

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// ConsentLife is how long people have to agree, and what they agreed to may be
// done.
const ConsentLife = 24 * time.Hour

// ConsentState is how a consent stands.
type ConsentState string

// The states. A consent that expired is still open in the database.
const (
	ConsentOpen      ConsentState = "open"
	ConsentUsed      ConsentState = "used" // what was agreed to happened
	ConsentDenied    ConsentState = "denied"
	ConsentCancelled ConsentState = "cancelled"
	ConsentExpired   ConsentState = "expired"
)

// Ask is what somebody wants others to agree to.
type Ask struct {
	Kind     string // noun.verb, such as "key.export"
	Request  string // exactly what is to be done, in a form that means one thing only
	Sentence string // the same for people
}

// Consent is what several people must agree to before it happens. It knows
// nothing of what that is.
type Consent struct {
	ID string
	Ask
	Person   string // our id of the user who asks
	Token    string // by which he did
	Need     int    // how many others must approve
	Created  time.Time
	Expires  time.Time
	State    ConsentState
	Ended    time.Time // zero while it is open
	EndedBy  string    // our id of the user who denied or cancelled it
	Reason   string    // of that, for people
	Approved []Approval
}

// Digest covers everything that is agreed to. An approval is bound to it.
func (c Consent) Digest() seal.Hash {
	var b []byte
	for _, s := range []string{"signet consent 1", c.ID, c.Kind, c.Request, c.Sentence, c.Person, c.Token} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	for _, n := range []int64{int64(c.Need), c.Created.UnixMicro(), c.Expires.UnixMicro()} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return seal.NewSecret(b).Hash()
}

// Standing is the state at that time.
func (c Consent) Standing(now time.Time) ConsentState {
	if c.State == ConsentOpen && !now.Before(c.Expires) {
		return ConsentExpired
	}
	return c.State
}

// Agreed tells whether enough different people approved.
func (c Consent) Agreed() bool { return c.count() >= c.Need }

// count is how many people approved whose approvals count.
func (c Consent) count() int {
	var people []string
	for _, a := range c.Approved {
		if a.Counts && a.Person != c.Person && !slices.Contains(people, a.Person) {
			people = append(people, a.Person)
		}
	}
	return len(people)
}

// Approval is one person's. It is never changed.
type Approval struct {
	Token  string // by which he gave it
	Person string
	At     time.Time
	Mark   []byte // shows that a server of this installation took it
	Counts bool   // whether he may approve still, by that token
}

// aad is what the mark of an approval is made for.
func (a Approval) aad(digest seal.Hash) string {
	return fmt.Sprintf("approval %s %s %s %d", digest, a.Token, a.Person, a.At.UnixMicro())
}

// ConsentQuery says which consents to list, newest first.
type ConsentQuery struct {
	State  ConsentState // only those in it; empty for any
	Now    time.Time
	Before time.Time // those that follow the one of this time
	ID     string    // and with this id; zero for the newest
	Limit  int
}

// ConsentEnd ends a consent without effect.
type ConsentEnd struct {
	ID     string
	State  ConsentState // denied or cancelled
	Person string
	Reason string
	At     time.Time
}

// ConsentStore keeps consents. A verb of another facet that needs one takes its
// id and digest and uses it up in the transaction of its effect: [ErrConsentOver]
// unless it is open, of that digest, and agreed to at that moment.
type ConsentStore interface {
	// ConsentAsked stores a new one; ErrConsentMany when too many wait.
	ConsentAsked(ctx context.Context, c Consent, e journal.Entry) error
	// Consent gives one with its approvals; ErrConsentUnknown. Which of them
	// count is by now.
	Consent(ctx context.Context, id string, now time.Time) (Consent, error)
	// Consents lists them with their approvals; never nil.
	Consents(ctx context.Context, q ConsentQuery) ([]Consent, error)
	// ConsentApproved adds an approval to an open one of that digest:
	// ErrConsentOver when it is not, ErrConsentOwn when he asked himself or the
	// token that asked goes back to him, ErrConsentGiven when he has approved.
	ConsentApproved(ctx context.Context, id string, digest seal.Hash, a Approval, e journal.Entry) error
	// ConsentUsed uses one up at the time of e, where nothing is stored besides e
	// and more.
	ConsentUsed(ctx context.Context, id string, digest seal.Hash, e journal.Entry, more ...journal.Entry) error
	// ConsentEnded ends an open one; ErrConsentOver when it is not.
	ConsentEnded(ctx context.Context, end ConsentEnd, e journal.Entry) error
}
