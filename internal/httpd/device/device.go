// Package device has the routes that devices use, and the pages that lead a
// person to enroll one: /enroll, /mdm, /scep, /pki and /ocsp.
//
// It promises that a device is never answered 401, which would make it drop
// its enrollment; that nothing of a message is parsed before its sender's
// certificate is known to be ours; and that a page changes nothing when it is
// only looked at, because mail scanners open links.
//
// Start reading at [Areas].
package device

import (
	"context"
	"crypto/x509"

	"golang.org/x/time/rate"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// Failures of this edge.
var (
	ErrProof = fault.New(fault.Invalid, "mdm_unsigned",
		"The message is not signed by a device.", "")
	ErrSignature = fault.New(fault.Invalid, "mdm_signature",
		"The signature does not fit the message.", "")
	ErrStranger = fault.New(fault.Invalid, "mdm_stranger",
		"The certificate is no device identity of this server.", "Enroll the device again.")
	ErrElsewhere = fault.New(fault.Unauthenticated, "enroll_session_over",
		"This setup was begun in another browser, or more than an hour ago.",
		"Go on in the browser in which you began. Otherwise ask for a new link: each works once.")
	ErrOperation = fault.New(fault.NotFound, "scep_operation",
		"The server does not know that SCEP operation.", "")
)

// Sessions are the stays of people on our pages.
type Sessions interface {
	httpd.Sessions
	// OpenEnrollment opens the session of who redeemed the invitation of a
	// user's device.
	OpenEnrollment(ctx context.Context, user, device string) (seal.Secret, error)
}

// Signer signs profiles.
type Signer interface {
	SignProfile(profile []byte) ([]byte, error)
}

// Config says what the routes lead to.
type Config struct {
	MDM      *mdm.Service
	SCEP     *scep.Service
	Sessions Sessions
	Signer   Signer                     // of enrollment profiles; nil: they go unsigned
	Roots    func() []*x509.Certificate // that an enrolling device must trust
	Live     *httpd.Live                // that keeps the pages up to date
	Help     httpd.Help                 // whom people turn to
	Progress string                     // the page that follows enrollment, with the device's id behind it; "": none
}

// Areas gives everything a device reaches over HTTPS. It panics on a missing
// dependency.
func Areas(c Config) []httpd.Area {
	if c.MDM == nil || c.SCEP == nil || c.Sessions == nil || c.Live == nil {
		panic("device: nil dependency")
	}
	return append([]httpd.Area{management(c), enrollment(c)}, Plain(c.SCEP)...)
}

// Plain gives what needs no TLS: SCEP protects its messages by itself, and
// what /pki and /ocsp serve is public and signed.
func Plain(s *scep.Service) []httpd.Area { return []httpd.Area{scepArea(s), pkiArea(s), ocspArea(s)} }

// Strangers that are turned away are written down, so many a second and so
// many at once; the log has the rest.
const (
	refusalRate  = 1
	refusalBurst = 60
)

func newLimiter() *rate.Limiter { return rate.NewLimiter(refusalRate, refusalBurst) }
