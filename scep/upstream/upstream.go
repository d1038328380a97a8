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
	"crypto"
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
	// Identity gives the key that signs requests and opens replies, and a
	// certificate of it. Another key is somebody else, who learns nothing of
	// requests that wait over there. Nil: one that is made when it is first needed.
	Identity func() (Identity, error)
	Now      func() time.Time
}

// Identity is who asks.
type Identity struct {
	Certificate *x509.Certificate // self-signed, of an RSA key
	Key         Key
}

// Key signs and decrypts.
type Key interface {
	crypto.Signer
	crypto.Decrypter
}

// Client asks one server.
type Client struct {
	Config
	http *http.Client
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
	if c.Identity == nil {
		c.Identity = sync.OnceValues(func() (Identity, error) { return NewIdentity(c.Now()) })
	}
	return &Client{Config: c, http: newHTTP(c.TLS)}
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
// CA. Decided tells whether that, or the error, is the CA's last word; without
// either a person over there decides first. The same key always makes the same
// transaction.
func (c *Client) Enroll(ctx context.Context, csr []byte) (got *x509.Certificate, decided bool, err error) {
	t, err := c.begin(ctx, csr)
	if err != nil {
		return nil, false, err
	}
	return verdict(t.ask(ctx, pkcsReq, csr))
}

// Poll asks what became of a request that was sent on, of which subject and key
// count; it answers as Enroll does. Not every server knows this question.
func (c *Client) Poll(ctx context.Context, csr []byte) (got *x509.Certificate, decided bool, err error) {
	t, err := c.begin(ctx, csr)
	if err != nil {
		return nil, false, err
	}
	return verdict(t.ask(ctx, certPoll, t.subject))
}

func verdict(got *x509.Certificate, err error) (*x509.Certificate, bool, error) {
	if errors.Is(err, errUndecided) {
		return nil, false, nil
	}
	return got, err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrCertificate), err
}

// errUndecided is the answer of a CA where a person decides.
var errUndecided = errors.New("upstream: undecided")
