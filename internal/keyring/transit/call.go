package transit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
)

// statusError is an answer of another status than 200, and how long the server
// wants to be left alone.
type statusError struct {
	status int
	after  time.Duration
}

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.status) }

// call asks, signed in: again while that may help, and once anew signed in when
// the token of the role was not accepted.
func (c *Client) call(ctx context.Context, method, path string, in, data any) error {
	if err := c.resting(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, callTime)
	defer stop()
	for try := 1; ; try++ {
		err := c.once(ctx, method, path, in, data)
		switch {
		case errors.Is(err, ErrToken) && c.RoleID != "" && try == 1:
			c.forget()
		case !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrBusy), try == tries, !c.rest(ctx, err, try):
			return err
		}
	}
}

// once asks once.
func (c *Client) once(ctx context.Context, method, path string, in, data any) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	return c.exchange(ctx, method, path, token, in, &answer{Data: data})
}

// answer is what the server wraps everything in.
type answer struct {
	Data any   `json:"data"`
	Auth *auth `json:"auth"`
}

// rest waits before the next try; false: ctx ends before, or the server wants
// more patience than we have. Then nobody asks it until that is over.
func (c *Client) rest(ctx context.Context, err error, try int) bool {
	d := time.Duration(try)*100*time.Millisecond + rand.N(100*time.Millisecond)
	if e, ok := errors.AsType[statusError](err); ok && e.after > 0 {
		d = e.after
	}
	if d > patient {
		c.mu.Lock()
		c.until = c.Now().Add(min(d, maxRest))
		c.mu.Unlock()
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// resting is why nothing is asked now.
func (c *Client) resting() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Now().Before(c.until) {
		return ErrBusy.With(errors.New("it said for how long"))
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Address+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, ErrUnreachable.With(errors.New("transit.address is none"))
	}
	r.Header.Set("X-Vault-Request", "true")
	if c.Namespace != "" {
		r.Header.Set("X-Vault-Namespace", c.Namespace)
	}
	return r, nil
}

// exchange sends one request and reads the JSON of an answer of status 200.
// Nothing that was sent or received gets into an error.
func (c *Client) exchange(ctx context.Context, method, path string, token seal.Secret, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return errors.New("transit: a question cannot be encoded")
		}
		defer clear(body)
	}
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	if !token.Empty() {
		r.Header.Set("X-Vault-Token", token.RevealString())
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	text := bytes.NewBuffer(make([]byte, 0, 16<<10)) // large enough to leave no copy behind
	defer func() { clear(text.Bytes()[:cap(text.Bytes())]) }()
	_, err = io.Copy(text, io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return unreachable(err)
	case resp.StatusCode != http.StatusOK:
		return refusal(resp, text.Bytes())
	case text.Len() > maxBody:
		return ErrAnswer.With(errors.New("more than 1 MiB"))
	case json.Unmarshal(text.Bytes(), out) != nil:
		return ErrAnswer.With(errors.New("not the JSON that it should be"))
	}
	return nil
}

// refusal says what an answer of another status means.
func refusal(resp *http.Response, text []byte) error {
	seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
	status := statusError{resp.StatusCode, time.Duration(seconds) * time.Second}
	var body struct {
		Errors []string `json:"errors"`
	}
	json.Unmarshal(text, &body) // what is no JSON is no answer of the server itself
	switch {
	case status.status == http.StatusServiceUnavailable && len(body.Errors) > 0 && strings.HasSuffix(body.Errors[0], "is sealed"):
		return ErrSealed.With(status)
	case status.status == http.StatusTooManyRequests:
		return ErrBusy.With(status)
	case status.status >= http.StatusInternalServerError:
		return ErrUnreachable.With(status)
	case status.status == http.StatusForbidden || status.status == http.StatusUnauthorized:
		return ErrToken.With(status)
	case status.status == http.StatusNotFound:
		return ErrKey.With(status)
	}
	return ErrAnswer.With(status)
}

// unreachable is a failure of the transport, without the address.
func unreachable(err error) error {
	if quoting, ok := errors.AsType[*url.Error](err); ok {
		err = quoting.Err
	}
	return ErrUnreachable.With(err)
}
