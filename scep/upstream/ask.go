package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// get asks for an operation. Spec: RFC 8894 section 4.1
func (c *Client) get(ctx context.Context, operation, message string) (contentType string, body []byte, err error) {
	query := url.Values{"operation": {operation}}
	if message != "" {
		query.Set("message", message)
	}
	return c.do(ctx, http.MethodGet, query, nil)
}

// operate sends a pkiMessage, the way the server can.
func (c *Client) operate(ctx context.Context, post bool, message []byte) ([]byte, error) {
	const operation = "PKIOperation"
	if !post {
		_, body, err := c.get(ctx, operation, base64.StdEncoding.EncodeToString(message))
		return body, err
	}
	_, body, err := c.do(ctx, http.MethodPost, url.Values{"operation": {operation}}, message)
	return body, err
}

func (c *Client) do(ctx context.Context, method string, query url.Values, message []byte) (contentType string, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+"?"+query.Encode(), bytes.NewReader(message))
	if err != nil {
		return "", nil, ErrUnreachable.With(err)
	}
	if message != nil {
		r.Header.Set("Content-Type", "application/x-pki-message")
	}
	return exchange(c.http, r)
}

// exchange gives an answer of status 200. The error of the transport is shown
// without the address it quotes, which may hold a whole message.
func exchange(client *http.Client, r *http.Request) (contentType string, body []byte, err error) {
	resp, err := client.Do(r)
	if err != nil {
		if quoting, ok := errors.AsType[*url.Error](err); ok {
			err = quoting.Err
		}
		return "", nil, ErrUnreachable.With(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", nil, failed(resp.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return "", nil, ErrUnreachable.With(err)
	case len(body) > maxBody:
		return "", nil, ErrAnswer.With(errors.New("more than 256 KiB"))
	}
	contentType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(contentType), body, nil
}

// statusError is an answer of another status than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

func failed(status int) error {
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return ErrUnreachable.With(statusError(status))
	}
	return ErrAnswer.With(statusError(status))
}
