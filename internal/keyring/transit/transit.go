// Package transit has escrow keys encrypted by the secrets engine Transit of
// OpenBao or Vault, whose key never leaves that server.
//
// It promises that what it sends and gets is in no error and no log, that the
// token goes to the configured address only, and that a server that is sealed,
// slow, busy or gone costs a bounded time and is told apart from one that
// refuses. Start at [Client].
//
// Spec: OpenBao HTTP API, Transit secrets engine
package transit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Why the server gives nothing.
var (
	ErrUnreachable = fault.New(fault.Unavailable, "transit_unreachable",
		"The server of transit.address does not answer.", "See that it runs and can be reached; the keeper goes on by itself.")
	ErrSealed = fault.New(fault.Unavailable, "transit_sealed",
		"The server of transit.address is sealed.", "Unseal it; the keeper goes on by itself.")
	ErrBusy = fault.New(fault.Unavailable, "transit_busy",
		"The server of transit.address wants to be asked less.", "The keeper asks again by itself; raise its rate limit if this stays.")
	ErrToken = fault.New(fault.Unavailable, "transit_denied",
		"The server of transit.address does not accept the token, or its policy does not allow this.", "The token may have ended: put another into its file, or see what its policy allows.")
	ErrCredential = fault.New(fault.Unavailable, "transit_token_unreadable",
		"The token or the secret id for transit.address cannot be read.", "Put it into the file of transit.token_file or transit.secret_id_file, which only the service user may read, or give it as a systemd credential.")
	ErrAnswer = fault.New(fault.Unavailable, "transit_answer_unusable",
		"The server of transit.address answers something else than it should.", "See that transit.address and transit.mount are right; its own log says more.")
	ErrKey = fault.New(fault.Unavailable, "transit_key_missing",
		"The server of transit.address has no key of that name, or not there.", "See that transit.mount, transit.namespace and transit.key are right.")
	ErrKind = fault.New(fault.Invalid, "transit_key_unfit",
		"The key of transit.key cannot encrypt with associated data.", "Make one of type aes256-gcm96, neither derived nor convergent.")
	ErrRefused = fault.New(fault.Denied, "transit_refused",
		"The server of transit.address does not open what its key encrypted.", "It is another key, or its min_decryption_version retired the version; nothing was changed.")
)

// Config says which server is asked.
type Config struct {
	Address   string // of the server: https://host:port
	Mount     string // path of the engine
	Key       string // name of its key
	Namespace string // "" for none

	// Token gives the token; it is asked each time.
	Token func() (seal.Secret, error)
	// RoleID and SecretID sign in in its place, where RoleID is not empty.
	RoleID   string
	SecretID func() (seal.Secret, error)

	Roots *x509.CertPool // nil: the system's
	Wait  time.Duration  // for one answer; 0: 5 s
	Now   func() time.Time
}

const (
	defaultWait = 5 * time.Second
	callTime    = 15 * time.Second // bounds one call with all its tries
	tries       = 3
	patient     = 2 * time.Second // longest pause between two tries of a call
	maxRest     = time.Minute     // longest that nobody is asked after it wanted that
	maxBody     = 1 << 20
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	Config
	http *http.Client

	mu    sync.Mutex
	login seal.Secret // token of the role
	until time.Time   // nothing is asked before
}

// New takes a server that need not be there yet.
func New(c Config) *Client {
	if c.Now == nil || c.Token == nil && c.RoleID == "" || c.RoleID != "" && c.SecretID == nil {
		panic("transit: nil dependency")
	}
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	c.Address = strings.TrimRight(c.Address, "/")
	return &Client{Config: c, http: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
			ResponseHeaderTimeout: c.Wait, TLSHandshakeTimeout: c.Wait, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
		Timeout: c.Wait,
		// A redirect would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Name is how a ring calls it.
func (c *Client) Name() string { return "transit" }

// Wrap encrypts under the newest version of the key, which must be there
// already, bound to what is given.
func (c *Client) Wrap(ctx context.Context, plain seal.Secret, bound []byte) (string, error) {
	if _, err := c.About(ctx); err != nil {
		return "", err
	}
	in := struct {
		Plain []byte `json:"plaintext"`
		Bound []byte `json:"associated_data"`
	}{plain.Reveal(), bound}
	var out struct {
		Text string `json:"ciphertext"`
	}
	if err := c.call(ctx, http.MethodPost, c.path("encrypt"), in, &out); err != nil {
		return "", err
	}
	if c.Version(out.Text) == 0 {
		return "", ErrAnswer.With(errors.New("no ciphertext"))
	}
	return out.Text, nil
}

// Unwrap opens what Wrap made, under the same binding. [ErrRefused].
func (c *Client) Unwrap(ctx context.Context, text string, bound []byte) (seal.Secret, error) {
	in := struct {
		Text  string `json:"ciphertext"`
		Bound []byte `json:"associated_data"`
	}{text, bound}
	var out struct {
		Plain []byte `json:"plaintext"`
	}
	err := c.call(ctx, http.MethodPost, c.path("decrypt"), in, &out)
	if f, ok := errors.AsType[statusError](err); ok && f.status == http.StatusBadRequest {
		return seal.Secret{}, ErrRefused.With(err)
	}
	if err == nil && len(out.Plain) == 0 {
		err = ErrAnswer.With(errors.New("no plaintext"))
	}
	return seal.NewSecret(out.Plain), err
}

// Version tells under which version of the key a ciphertext is; 0: it is none.
func (c *Client) Version(text string) int {
	_, rest, ok := strings.Cut(text, ":v")
	digits, body, more := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	if !ok || !more || body == "" || err != nil || n < 1 {
		return 0
	}
	return n
}

// Key is what the server says about its key.
type Key struct {
	Type       string `json:"type"`
	Latest     int    `json:"latest_version"`
	Least      int    `json:"min_decryption_version"` // that still decrypts
	Derived    bool   `json:"derived"`
	Exportable bool   `json:"exportable"`
	Backup     bool   `json:"allow_plaintext_backup"`
	Deletable  bool   `json:"deletion_allowed"`
}

// kinds take associated data.
var kinds = []string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"}

// About looks at the key. [ErrKey], [ErrKind].
func (c *Client) About(ctx context.Context) (Key, error) {
	var k Key
	if err := c.call(ctx, http.MethodGet, c.path("keys"), nil, &k); err != nil {
		return k, err
	}
	if !slices.Contains(kinds, k.Type) || k.Derived {
		return k, ErrKind.With(fmt.Errorf("it is of type %.40q", k.Type))
	}
	return k, nil
}

// Check looks whether the server could be asked now, without asking for
// anything: [ErrSealed], [ErrUnreachable].
func (c *Client) Check(ctx context.Context) error {
	r, err := c.request(ctx, http.MethodGet, "sys/health", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return unreachable(err)
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusTooManyRequests, 473: // active, standby, performance standby: those pass it on
		return nil
	case http.StatusServiceUnavailable:
		return ErrSealed
	}
	return ErrUnreachable.With(statusError{status: resp.StatusCode})
}

func (c *Client) path(operation string) string { return c.Mount + "/" + operation + "/" + c.Key }
