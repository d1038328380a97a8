// Package intune asks Microsoft Intune whether a certificate request is one of
// its own: the client side of the API for certification authorities of other
// people, by which Intune puts a challenge into a SCEP profile and has it
// checked by whoever issues.
//
// It promises that a challenge, a token and the client's secret are in no log
// and no error, that every answer is bounded before it is read and every call
// has an end, and that nothing but the one code for success counts as one.
//
// Spec: Intune, Use APIs to add third-party CAs for SCEP
//
// Start reading at [New], [Client.Validate] and [Client.Succeeded].
package intune

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// What can go wrong with Intune.
var (
	ErrUnreachable = fault.New(fault.Unavailable, "intune_unreachable",
		"Intune cannot be reached, or is busy.", "Check the way to login.microsoftonline.com, graph.microsoft.com and manage.microsoft.com.")
	ErrSignIn = fault.New(fault.Unavailable, "intune_sign_in",
		"Microsoft Entra ID does not sign Signet in.", "Check intune.tenant, intune.client_id and the secret, which may have expired.")
	ErrPermission = fault.New(fault.Unavailable, "intune_permission",
		"Intune does not let Signet ask.", "Give the app registration scep_challenge_provider, and an administrator's consent.")
	ErrAnswer = fault.New(fault.Unavailable, "intune_answer",
		"Intune answered with something else than what its interface says.", "")
	ErrService = fault.New(fault.Unavailable, "intune_service",
		"The tenant has no service that validates certificate requests.", "Check intune.tenant, and that it has an Intune licence.")
)

// Why Intune refuses a request. Its own code for it is in the log.
var (
	ErrChallenge = fault.New(fault.Denied, "intune_challenge",
		"The request holds no challenge of Intune's.", "It belongs to another tenant, or is none at all.")
	ErrChallengeExpired = fault.New(fault.Denied, "intune_challenge_expired",
		"Intune's challenge has expired.", "Let the device synchronise with Intune.")
	ErrMismatch = fault.New(fault.Denied, "intune_mismatch",
		"The request is not what Intune's profile asks for.", "Compare subject, alternative names, key usage and key length with the profile in Intune.")
	ErrTarget = fault.New(fault.Denied, "intune_target",
		"Intune's profile is not assigned to that device or user any more.", "")
	ErrRefused = fault.New(fault.Denied, "intune_refused",
		"Intune refused the request.", "The log holds its code.")
)

// Config says which tenant it is, and as whom to ask.
type Config struct {
	Tenant   string // its id or a domain of it
	ClientID string // of the app registration
	Secret   seal.Secret
	Product  string // name and version of ours, which Intune sees

	Login    string         // "": https://login.microsoftonline.com
	Graph    string         // "": https://graph.microsoft.com
	Resource string         // whom tokens are for; "": https://api.manage.microsoft.com/
	TLS      *x509.CertPool // nil: the system's
	Log      *slog.Logger
	Now      func() time.Time
}

// Client asks one tenant.
type Client struct {
	Config
	http  *http.Client
	turns chan struct{} // one for each call under way

	mu       sync.Mutex
	services map[string]string // addresses by name; nil: to be asked for
	tokens   map[string]token  // by scope
}

const (
	callTime = 9 * time.Second // for a call with all its questions: two of them fit into one SCEP request
	maxBody  = 4 << 20         // of one answer; 500 revocation requests have some 200 kB
	tries    = 3               // of a question that a busy service turned away
	patient  = 3 * time.Second // the longest pause between two
	together = 8               // calls at once
)

// New panics on a missing dependency.
func New(c Config) *Client {
	if c.Tenant == "" || c.ClientID == "" || c.Secret.Empty() || c.Log == nil || c.Now == nil {
		panic("intune: nil dependency")
	}
	for _, d := range []struct {
		field *string
		value string
	}{{&c.Login, "https://login.microsoftonline.com"}, {&c.Graph, "https://graph.microsoft.com"}, {&c.Resource, "https://api.manage.microsoft.com/"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	return &Client{Config: c, http: newHTTP(c.TLS), turns: make(chan struct{}, together), tokens: map[string]token{}}
}

// newHTTP follows no redirect: nobody else says where secrets go.
func newHTTP(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        time.Minute,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
	}
}
