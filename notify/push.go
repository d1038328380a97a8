package notify

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
)

// Pusher carries pushes to Apple.
type Pusher interface {
	// Push sends one push under the credential's topic and says what became of
	// it. It waits for Apple a bounded time; no answer is an Answer, too. Token
	// and magic are in nothing that it gives.
	Push(ctx context.Context, c Credential, p Push) Answer
}

// Credential is a push certificate with its key. Apple knows us by it, and
// what it may push to is its topic.
type Credential struct {
	Topic       string
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Push asks one device to come and poll. It says nothing else.
type Push struct {
	Token   seal.Secret // where the device is, as it gave it
	Magic   seal.Secret // by which the device knows that we sent it
	Expires time.Time   // until when Apple keeps it for a device that is off
}

// Kind is what an answer means for us.
type Kind string

// The kinds.
const (
	Taken              Kind = "taken"               // Apple has it; the device comes when it can
	TokenGone          Kind = "token gone"          // the device does not listen there any more
	TokenForeign       Kind = "token foreign"       // the token belongs to another topic
	Later              Kind = "later"               // too much, or Apple has a problem
	Unanswered         Kind = "unanswered"          // the connection failed
	CertificateRefused Kind = "certificate refused" // ours: no push at all can succeed
	TopicRefused       Kind = "topic refused"       // the certificate is for another one
	TooLarge           Kind = "too large"           // our mistake
	Refused            Kind = "refused"             // for a reason that is our mistake, or new
)

// Answer is what became of a push.
type Answer struct {
	Kind       Kind
	Reason     string        // Apple's word, or ours when nothing was answered; fit to be shown
	RetryAfter time.Duration // not before; 0: nothing was said
	Since      time.Time     // with TokenGone: when the token was last seen dead; zero: not said
}
