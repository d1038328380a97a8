package intune

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
	"time"

	"github.com/google/uuid"
)

// statusError is an answer of another status than 200, and how long the service
// wants to be left alone.
type statusError struct {
	status int
	after  time.Duration
}

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.status) }

// is tells whether err is an answer of that status.
func is(err error, status int) bool {
	e, ok := errors.AsType[statusError](err)
	return ok && e.status == status
}

// question is what a service is asked.
type question struct {
	service, version, path string
	body                   any
}

// ask asks, within [callTime] in all: again while the service is busy, and once
// with a new token when the old one was not accepted.
func (c *Client) ask(ctx context.Context, q question, answer any) error {
	body, err := json.Marshal(q.body)
	if err != nil {
		return fmt.Errorf("intune: encoding a question: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return ErrUnreachable.With(errors.New("too many questions at once"))
	}
	for try := 1; ; try++ {
		err = c.once(ctx, q, body, answer)
		if err == nil || errors.Is(err, ErrSignIn) {
			return err
		}
		c.forget() // addresses change, tokens end
		unaccepted := is(err, http.StatusUnauthorized)
		switch {
		case is(err, http.StatusForbidden), unaccepted && try > 1:
			return ErrPermission.With(err)
		case try == tries, !unaccepted && !errors.Is(err, ErrUnreachable), !rest(ctx, err, try):
			return err
		}
	}
}

// once asks once.
func (c *Client) once(ctx context.Context, q question, body []byte, answer any) error {
	at, err := c.service(ctx, q.service)
	if err != nil {
		return err
	}
	t, err := c.token(ctx, c.Resource)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+q.path, bytes.NewReader(body))
	if err != nil {
		return ErrAnswer.With(errors.New("the address of a service is none"))
	}
	r.Header.Set("Authorization", "Bearer "+t.RevealString())
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Api-Version", q.version)
	r.Header.Set("Client-Request-Id", uuid.NewString())
	return c.exchange(r, answer)
}

// rest waits before the next try; false: ctx ends before, or the service wants
// more patience than a device has.
func rest(ctx context.Context, err error, try int) bool {
	d := time.Duration(try)*100*time.Millisecond + rand.N(100*time.Millisecond)
	if e, ok := errors.AsType[statusError](err); ok && e.after > 0 {
		d = e.after
	}
	if d > patient {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// exchange reads the JSON of an answer of status 200. The error of the
// transport is shown without the address, and that of the decoder not at all:
// they quote.
func (c *Client) exchange(r *http.Request, answer any) error {
	resp, err := c.http.Do(r)
	if err != nil {
		if quoting, ok := errors.AsType[*url.Error](err); ok {
			err = quoting.Err
		}
		return ErrUnreachable.With(err)
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
		return ErrUnreachable.With(statusError{status, time.Duration(seconds) * time.Second})
	case status != http.StatusOK:
		return ErrAnswer.With(statusError{status: status})
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return ErrUnreachable.With(err)
	case len(body) > maxBody:
		return ErrAnswer.With(errors.New("more than 4 MiB"))
	case json.Unmarshal(body, answer) != nil:
		return ErrAnswer.With(errors.New("not the JSON that it should be"))
	}
	return nil
}
