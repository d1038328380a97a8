// Package msgraph writes users' certificates into a Microsoft Intune tenant, by
// the part of Microsoft Graph that Intune's PFX import tools use.
//
// It promises that secrets, tokens and files are in no log and no error, that
// every answer is bounded before it is read and every call has an end, and that
// nobody but the configured addresses gets anything.
//
// Spec: Microsoft Graph beta, userPFXCertificate
//
// Start at [Client.Put].
package msgraph

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

// Config says which tenant it is, and as whom to write.
type Config struct {
	ClientID    string           // of the app registration
	Secret      seal.Secret      // of it, or
	Certificate *tls.Certificate // with an RSA key
	Token       string           // where tokens are had
	Graph       string           // with the version, no slash at its end
	Scope       string           // of tokens
	Product     string           // name and version of ours, which Microsoft sees
	TLS         *x509.CertPool   // nil: the system's
	Now         func() time.Time
}

// Client writes to one tenant. It is safe for concurrent use.
type Client struct {
	Config
	http *http.Client

	mu    sync.Mutex
	token seal.Secret
	until time.Time
}

const (
	callTime = 30 * time.Second
	maxBody  = 1 << 20 // of an answer
)

// New panics on a missing dependency.
func New(c Config) *Client {
	if c.ClientID == "" || c.Secret.Empty() == (c.Certificate == nil) || c.Token == "" || c.Graph == "" || c.Scope == "" || c.Now == nil {
		panic("msgraph: nil dependency")
	}
	return &Client{Config: c, http: &http.Client{
		Timeout:       callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: c.TLS, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        time.Minute,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
	}}
}

// status is an answer that is no success.
type status struct {
	code    int
	request string // Microsoft's id of it
	after   time.Duration
}

func (s status) Error() string {
	return fmt.Sprintf("HTTP status %d, request-id %s", s.code, s.request)
}

// Wait tells how long it wants to be left alone.
func (s status) Wait() time.Duration { return s.after }

// call asks once, and again with a new token when the old one was not taken. The
// status of a failure that the caller may know better is a [status].
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	err := c.once(ctx, method, path, body, answer)
	if is(err, http.StatusUnauthorized) {
		c.forget()
		err = c.once(ctx, method, path, body, answer)
	}
	switch s, _ := plain(err); {
	case s.code == http.StatusUnauthorized, s.code == http.StatusForbidden:
		return tenant.ErrPermission.With(s)
	case s.code == http.StatusTooManyRequests, s.code >= http.StatusInternalServerError:
		return tenant.ErrBusy.With(s)
	}
	return err
}

// plain gives the status that err is, if nobody has said yet what it means.
func plain(err error) (status, bool) {
	s, ok := err.(status)
	return s, ok
}

func is(err error, code int) bool {
	s, ok := plain(err)
	return ok && s.code == code
}

func (c *Client) once(ctx context.Context, method, path string, body, answer any) error {
	token, err := c.signedIn(ctx)
	if err != nil {
		return err
	}
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("msgraph: encoding: %w", err)
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Graph+path, in)
	if err != nil {
		return tenant.ErrAnswer.With(errors.New("tenant.graph_url is no address"))
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+token.RevealString())
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.Product)
	r.Header.Set("client-request-id", uuid.NewString())
	return c.exchange(r, answer)
}

var requestForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// exchange reads the JSON of a success. The error of the transport is shown
// without the address, and that of the decoder not at all: they quote.
func (c *Client) exchange(r *http.Request, answer any) error {
	res, err := c.http.Do(r)
	if err != nil {
		if quoting, ok := errors.AsType[*url.Error](err); ok {
			err = quoting.Err
		}
		return tenant.ErrBusy.With(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		s := status{code: res.StatusCode, request: res.Header.Get("request-id")}
		if !requestForm.MatchString(s.request) {
			s.request = "unknown"
		}
		seconds, _ := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16)
		s.after = time.Duration(seconds) * time.Second
		return s
	}
	switch {
	case err != nil:
		return tenant.ErrBusy.With(errors.New("the answer ended early"))
	case len(body) > maxBody:
		return tenant.ErrAnswer.With(errors.New("more than 1 MiB"))
	case answer == nil:
		return nil
	case json.Unmarshal(body, answer) != nil:
		return tenant.ErrAnswer.With(errors.New("not the JSON that it should be"))
	}
	return nil
}
