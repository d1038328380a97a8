// Package upstream speaks SCEP to a server that is not ours, as a client: for
// organisations that have a certification authority and want Signet in front
// of it, as its registration authority.
//
// It promises that only the CA it was given is believed: the key that a request
// is encrypted to, the signature of a reply and the certificate in it must all
// lead there; that every answer is bounded before it is read, and every wait
// has an end; and that no challenge is in an error. Whether a certificate says
// what it should is for the caller to judge.
//
// Spec: RFC 8894
//
// Start reading at [New] and [Client.Enroll].
package upstream

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
)

// What can go wrong with the other server. Its own words are never in here.
var (
	ErrUnreachable = fault.New(fault.Unavailable, "upstream_unreachable",
		"The other certification authority cannot be reached.", "Check upstream.url, and that its TLS certificate is trusted (upstream.tls_ca).")
	ErrAnswer = fault.New(fault.Unavailable, "upstream_answer",
		"The other certification authority answered with something that is no SCEP.", "Check upstream.url: it is the address to which ?operation=GetCACaps is added.")
	ErrUntrusted = fault.New(fault.Denied, "upstream_untrusted",
		"The answer is not from the certification authority that is configured.", "Compare upstream.ca with what the other server's GetCACert gives. The certificate of an RA has no extended key usage, or that of a certificate request agent.")
	ErrAlgorithms = fault.New(fault.Denied, "upstream_algorithms",
		"The other certification authority speaks old algorithms only.", "Let it offer AES and SHA-256, or set upstream.legacy.")
	ErrRefused = fault.New(fault.Denied, "upstream_refused",
		"The other certification authority refused the request.", "Its log says why; a wrong or used challenge is the usual reason.")
	ErrPending = fault.New(fault.Unavailable, "upstream_pending",
		"The other certification authority has not decided yet.", "Let its template issue without approval, or approve there and let the device ask again.")
	ErrCertificate = fault.New(fault.Denied, "upstream_certificate_foreign",
		"The other certification authority gave a certificate of another key or another issuer.", "")
)

// Config says which server it is.
type Config struct {
	URL string // of its SCEP service, http or https, without a query
	// CA is the certificate of the CA that issues there, then those above it.
	CA []*x509.Certificate
	// TLS are the CAs of its web server; nil: those of the system.
	TLS *x509.CertPool
	// Legacy also encrypts with triple DES, and takes replies in DES, triple
	// DES and SHA-1.
	Legacy bool
	Pause  time.Duration // between two questions while it is undecided; 0: 2 s
	Now    func() time.Time
}

// Client asks one server. It has a key of its own, made when it is first
// needed, that signs requests and opens replies.
type Client struct {
	Config
	http *http.Client
	key  func() (*rsa.PrivateKey, error)
}

const (
	askTime = 15 * time.Second // for one question
	maxBody = 256 << 10        // of one answer; a CertRep has 5 kB
)

// New panics on a missing dependency.
func New(c Config) *Client {
	if c.URL == "" || len(c.CA) == 0 || c.Now == nil {
		panic("upstream: nil dependency")
	}
	if c.Pause == 0 {
		c.Pause = 2 * time.Second
	}
	return &Client{Config: c, http: newHTTP(c.TLS), key: sync.OnceValues(func() (*rsa.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, 2048)
	})}
}

// newHTTP follows no redirect: the address is configured, and nobody else says
// where secrets go.
func newHTTP(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       askTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    askTime,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        time.Minute,
			DisableCompression:     true,
		},
	}
}

// Enroll sends a certificate request on, which is its key's own word and so
// cannot be altered, and gives the certificate: of that key, and signed by the
// CA. While the other side is undecided it asks again until ctx ends, which
// gives ErrPending. The same request always makes the same transaction.
func (c *Client) Enroll(ctx context.Context, csr []byte) (*x509.Certificate, error) {
	t, err := c.begin(ctx, csr)
	if err != nil {
		return nil, err
	}
	got, err := t.ask(ctx, pkcsReq, csr)
	for errors.Is(err, ErrPending) && rest(ctx, c.Pause) {
		got, err = t.ask(ctx, certPoll, t.subject)
		if err != nil && ctx.Err() != nil {
			err = ErrPending.With(err)
		}
	}
	return got, err
}

// rest tells whether d passed before ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
