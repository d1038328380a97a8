package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/scep"
)

// ErrKeeper is returned while the keeper cannot be asked.
var ErrKeeper = fault.New(fault.Unavailable, "keeper_unreachable",
	"The keeper, which has the keys, cannot be reached.", "Start signet serve --roles keeper, and check keeper.address.")

const (
	patience  = 30 * time.Second // for one call
	maxAnswer = 1 << 20          // bytes
)

// Client asks the keeper in another process. It implements [scep.Keeper].
type Client struct {
	base string
	http *http.Client
}

// Dial gives a client of the keeper at address: "unix:/path/of/socket", or
// https://host:port with the TLS configuration. Nothing is connected yet.
func Dial(address string, config *tls.Config) *Client {
	t := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	base := strings.TrimRight(address, "/")
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		base = "http://keeper"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base, &http.Client{Timeout: patience, Transport: t, CheckRedirect: stay}}
}

// Certify implements [scep.Keeper].
func (c *Client) Certify(ctx context.Context, a scep.Application) (cert.Record, error) {
	var r cert.Record
	err := c.call(ctx, certificates, a, &r)
	return r, err
}

// Publish implements [scep.Keeper].
func (c *Client) Publish(ctx context.Context, issuer string) error {
	return c.call(ctx, revocations+url.PathEscape(issuer), nil, nil)
}

// call sends in, unless it is nil, and reads the answer into out.
func (c *Client) call(ctx context.Context, path string, in, out any) error {
	return c.callFor(ctx, path, in, out, maxAnswer)
}

// callFor is call for an answer of at most so many bytes.
func (c *Client) callFor(ctx context.Context, path string, in, out any, most int64) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding a call of the keeper: %w", err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return fmt.Errorf("calling the keeper: %w", err)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return ErrKeeper.With(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	switch {
	case err != nil:
		return ErrKeeper.With(err)
	case res.StatusCode >= http.StatusMultipleChoices:
		return refusal(res.StatusCode, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return ErrKeeper.With(fmt.Errorf("its answer is none: %w", err))
	}
	return nil
}

// refusal is the failure that the keeper told of; what is not the caller's
// doing stays internal here too.
func refusal(status int, body []byte) error {
	var p httpd.ProblemBody
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return ErrKeeper.With(fmt.Errorf("it answered with status %d", status))
	}
	kind, known := httpd.KindOf(status)
	if !known {
		return fmt.Errorf("the keeper failed: %s (its request %s)", p.Code, p.RequestID)
	}
	return &fault.Error{Kind: kind, Code: p.Code, Msg: p.Detail, Hint: p.Hint}
}
