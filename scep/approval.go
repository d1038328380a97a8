package scep

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// RequestState is how far a request is on which a person decides.
type RequestState string

// The states. Store writes all but RequestExpired, which is RequestOpen,
// RequestApproved or RequestUpstream whose time is over.
const (
	RequestOpen     RequestState = "open"
	RequestApproved RequestState = "approved" // the client gets its certificate when it asks next
	RequestUpstream RequestState = "upstream" // a person decides at the CA that is not ours, which is asked when the client asks
	RequestIssued   RequestState = "issued"
	RequestDenied   RequestState = "denied"
	RequestVoid     RequestState = "void" // a newer challenge took the place of its own
	RequestExpired  RequestState = "expired"
)

// Request is a certificate request on which a person decides. What the
// certificate will say was fixed when the challenge was made.
type Request struct {
	Grant
	ID          string
	Challenge   seal.Hash        // what allowed it: this,
	Renews      cert.Fingerprint // or the certificate that it renews
	Transaction string
	Signer      cert.Fingerprint // of the public key that signs the messages of the transaction
	SPKI        cert.Fingerprint // of the key that is to be certified
	CSR         []byte
	Remote      string // address of the client
	State       RequestState
	Created     time.Time
	Expires     time.Time // nobody decides on it, and no certificate comes of it, from then on
	Decided     time.Time
	Decider     subject.UserID // who decided
	By          journal.Actor  // and with what
	Reason      string         // of a denial
	Cert        cert.Fingerprint
	Gone        bool // as in Ticket
}

// stateAt is its state for people.
func (r Request) stateAt(now time.Time) RequestState {
	if (r.State == RequestOpen || r.State == RequestApproved || r.State == RequestUpstream) && !now.Before(r.Expires) {
		return RequestExpired
	}
	return r.State
}

// Bounds of what waits for people.
const (
	MaxRequests = 1000 // that are open at a time
	requestLife = 7 * 24 * time.Hour
	maxReason   = 200 // characters
)

// Decision is what a person said about a request.
type Decision struct {
	ID     string
	State  RequestState // RequestApproved or RequestDenied
	Person subject.UserID
	By     journal.Actor
	Reason string
	At     time.Time
}

// RequestQuery says which requests to list, newest first.
type RequestQuery struct {
	User   subject.UserID // only those in this user's name
	State  RequestState   // only those in this state
	Now    time.Time      // by when they are open or expired
	Before time.Time      // those that follow the one of this time
	ID     string         // and with this id; zero for the newest
	Limit  int            // how many at most
}

// PendingStore keeps requests that wait, for their clients.
type PendingStore interface {
	// RequestMade stores a request that waits, here or at another CA, and
	// reserves what allowed it, which it does not spend, and forgets what expired
	// long ago. ErrChallengeUsed or ErrRenewalOver when that is spent, void or
	// another request's; ErrRequestsMany when MaxRequests wait there.
	RequestMade(ctx context.Context, r Request, e journal.Entry) error
	// RequestOf finds the newest of a transaction whose messages that key
	// signs. ErrTransaction when there is none.
	RequestOf(ctx context.Context, profile, transaction string, signer cert.Fingerprint) (Request, error)
	// RequestHandedOn has an approved request wait at another CA.
	// ErrRequestDecided when it is not approved any more, or expired.
	RequestHandedOn(ctx context.Context, id string, e journal.Entry) error
}

// ApprovalStore keeps them for who decides.
type ApprovalStore interface {
	// Request finds one. ErrRequestUnknown when there is none.
	Request(ctx context.Context, id string) (Request, error)
	// Requests lists those that are asked for; never nil.
	Requests(ctx context.Context, q RequestQuery) ([]Request, error)
	// RequestDecided writes a decision down: an open request is approved or
	// denied, an approved one, or one that waits at another CA, denied until the
	// certificate is issued. ErrRequestDecided when it is past that, or expired.
	RequestDecided(ctx context.Context, d Decision, e journal.Entry) error
}

// Requests lists the requests that wait for people, or did; newest first.
func (s *Service) Requests(ctx context.Context, q RequestQuery) ([]Request, error) {
	q.Now = s.Now()
	list, err := s.Store.Requests(ctx, q)
	for i := range list {
		list[i].State = list[i].stateAt(q.Now)
	}
	return list, err
}

// Request gives one. ErrRequestUnknown when there is none of that id.
func (s *Service) Request(ctx context.Context, id string) (Request, error) {
	r, err := s.Store.Request(ctx, id)
	r.State = r.stateAt(s.Now())
	return r, err
}

// Approve lets the client of a request have its certificate when it asks next.
// Person is who says so, and not the one whom the certificate names:
// ErrRequestOwn. ErrRequestUnknown, ErrRequestDecided, ErrHolder.
func (s *Service) Approve(ctx context.Context, by journal.Actor, person subject.UserID, id string) error {
	return s.decide(ctx, Decision{ID: id, State: RequestApproved, Person: person, By: by}, journal.RequestApproved)
}

// Deny refuses a request, also one that was approved, or waits at another CA,
// and got no certificate yet. Reason is for people; it may be empty. Errors are
// those of Approve, and ErrRequestReason.
func (s *Service) Deny(ctx context.Context, by journal.Actor, person subject.UserID, id, reason string) error {
	return s.decide(ctx, Decision{ID: id, State: RequestDenied, Person: person, By: by, Reason: reason}, journal.RequestDenied)
}

func (s *Service) decide(ctx context.Context, d Decision, a journal.Action) error {
	r, err := s.Store.Request(ctx, d.ID)
	switch {
	case err != nil:
		return err
	case d.Person == "":
		panic("scep: nobody decides")
	case d.State == RequestApproved && d.Person == r.Holder.User:
		return ErrRequestOwn
	case d.State == RequestApproved && r.Gone:
		return ErrHolder
	case !utf8.ValidString(d.Reason) || utf8.RuneCountInString(d.Reason) > maxReason:
		return ErrRequestReason
	}
	d.At = s.Now()
	e := entry(d.At, d.By, a, r.Grant)
	e.Detail["request"], e.Detail["person"] = r.ID, string(d.Person)
	if err := s.Store.RequestDecided(ctx, d, e); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "certificate request decided", logx.Profile, r.Profile, logx.User, r.Holder.User,
		logx.Device, r.Holder.Device, logx.Request, r.ID, logx.State, string(d.State))
	return nil
}
