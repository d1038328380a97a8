// Package federation knows the callers for whom an identity provider of the
// organisation's own vouches, such as Microsoft Entra ID: programs and people
// with an access token in the form of a signed JWT, made out to us.
//
// It promises that nobody is believed but the one issuer that is configured,
// under a public-key algorithm of the few that are known, for a token that is
// for us, of the tenant, not expired, given to a program that is allowed, and
// that has the role in it. What the issuer's servers answer is bounded in size
// and time, and they are asked as seldom as possible. Start at [Verifier.Token].
package federation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/dial"
	"github.com/signet-mdm/signet/internal/fault"
)

// ErrAway is returned while the issuer's keys cannot be had.
var ErrAway = fault.New(fault.Unavailable, "issuer_unreachable",
	"The keys of the issuer of tokens cannot be fetched, so no token of it can be checked.", "The log says why; signet doctor tries it, too.")

// Config says whom to believe, and what a token must have in it.
type Config struct {
	Issuer    string   // exactly as it stands in tokens
	Audiences []string // that are us; a token names one of them
	Tenant    string   // tid of tokens; empty: not looked at
	Programs  []string // to which tokens may have been given
	Role      string   // of the program, or of the person
	Scope     string   // that a person's token has besides

	TLS      *x509.CertPool // nil: the system's
	Networks []netip.Prefix // in which the issuer may be, besides the Internet
	Now      func() time.Time
}

// Tokens knows the other callers.
type Tokens interface {
	// Token gives the caller whose API token is presented, or
	// access.ErrUnauthenticated.
	Token(ctx context.Context, presented, remote string) (access.Caller, error)
}

// Verifier knows callers by what the issuer signed. It is safe for concurrent
// use.
type Verifier struct {
	Config
	keys *keys
}

// New panics on a missing dependency; nothing is fetched yet.
func New(c Config) *Verifier {
	if c.Issuer == "" || len(c.Audiences) == 0 || len(c.Programs) == 0 || c.Role == "" || c.Now == nil {
		panic("federation: nil dependency")
	}
	return &Verifier{c, newKeys(c)}
}

// Before asks next about whatever is no JWT.
func (v *Verifier) Before(next Tokens) Tokens {
	if next == nil {
		panic("federation: nil dependency")
	}
	return chain{v, next}
}

type chain struct {
	*Verifier
	next Tokens
}

// Token implements [Tokens].
func (c chain) Token(ctx context.Context, presented, remote string) (access.Caller, error) {
	if strings.Count(presented, ".") != 2 {
		return c.next.Token(ctx, presented, remote)
	}
	return c.Verifier.Token(ctx, presented, remote)
}

// Bounds of one question to the issuer.
const (
	askTime = 5 * time.Second
	maxBody = 64 << 10
)

// newHTTP follows no redirect: the issuer is who was configured.
func newHTTP(c Config) *http.Client {
	return &http.Client{
		Timeout:       askTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dial.Guarded(c.Networks),
			TLSClientConfig:        &tls.Config{RootCAs: c.TLS, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: maxBody,
			IdleConnTimeout:        time.Minute,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		}},
	}
}

// bounded ends answers that are too long.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxBody)
	}
	return res, err
}
