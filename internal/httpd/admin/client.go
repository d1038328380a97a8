package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures of the way to the server.
var (
	ErrNoServer = fault.New(fault.Unavailable, "server_not_running",
		"No server is running on this data directory.", "Start it with signet serve, or name another with --data or --server.")
	ErrUnreachable = fault.New(fault.Unavailable, "server_unreachable",
		"The server cannot be reached.", "Check --server; for a certificate of your own CA, give it with --ca.")
	ErrAnswer = fault.New(fault.Internal, "server_answer_invalid",
		"What answered is not a Signet server of this version.", "Check --server.")
	ErrBrokenOff = fault.New(fault.Unavailable, "server_broke_off",
		"The server ended its answer before it was whole.", "Its log says why; try again.")
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// patience is how long one request may take.
const patience = 2 * time.Minute

// maxIdle is how many connections are kept for the next request: an import
// sends several files at a time.
const maxIdle = 64

// Client speaks the admin API.
type Client struct {
	base  string
	token seal.Secret
	http  *http.Client
}

// Dial gives a client of the server that has the Unix socket.
func Dial(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{base: "http://signet", http: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: maxIdle}}}
}

// Remote gives a client of the server at base, such as
// https://mdm.example.org. Roots nil are those of the system.
func Remote(base string, token seal.Secret, roots *x509.CertPool) *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = maxIdle
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token goes nowhere else
	return &Client{base: strings.TrimRight(base, "/"), token: token,
		http: &http.Client{Timeout: patience, Transport: t, CheckRedirect: stay}}
}

// Failure is what the server answered instead of doing it.
type Failure struct{ problem }

// Error gives sentence and code.
func (f *Failure) Error() string {
	s := f.Detail
	for _, d := range f.Errors {
		s += " " + strings.TrimSpace(d.Location+" "+d.Message) + "."
	}
	return s + " (" + f.Code + ")"
}

// do sends a request and reads the answer into out, unless that is nil; what
// can be written to gets it as it comes. In may be nil, bytes, which go as they
// are, or what becomes JSON.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+Prefix+path, body)
	if err != nil {
		return fmt.Errorf("building request: %w", err)
	}
	if in != nil {
		r.Header.Set("Content-Type", contentType(in))
	}
	if !c.token.Empty() {
		r.Header.Set("Authorization", "Bearer "+c.token.RevealString())
	}
	res, err := c.http.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	return decode(res, out)
}

func encode(in any) (io.Reader, error) {
	switch in := in.(type) {
	case nil:
		return nil, nil
	case []byte:
		return bytes.NewReader(in), nil
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encoding request: %w", err)
	}
	return bytes.NewReader(b), nil
}

func contentType(in any) string {
	if _, raw := in.([]byte); raw {
		return "application/yaml"
	}
	return "application/json"
}

func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok || op.Net != "unix" || op.Addr == nil:
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return ErrNoServer.Saying("No server is running on " + filepath.Dir(op.Addr.String()) + ".").With(err)
	case op.Op == "dial": // what the system says of the path, such as that we may not
		return fmt.Errorf("reaching the server: %w", op)
	}
	return ErrUnreachable.With(err)
}

func decode(res *http.Response, out any) error {
	if w, streamed := out.(io.Writer); streamed && res.StatusCode < 300 {
		body := &source{Reader: res.Body}
		_, err := io.Copy(w, body)
		if body.err != nil {
			return ErrBrokenOff.With(err)
		}
		return err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return ErrUnreachable.With(err)
	}
	if res.StatusCode >= 300 {
		f := &Failure{}
		if err := json.Unmarshal(body, f); err != nil || f.Code == "" {
			return ErrAnswer.With(fmt.Errorf("status %d", res.StatusCode))
		}
		return f
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return ErrAnswer.With(err)
	}
	return nil
}

// get reads one thing.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// items reads a whole list, part by part; the pairs are its query.
func items[T any](ctx context.Context, c *Client, path string, pairs ...string) ([]T, error) {
	return atMost[T](ctx, c, math.MaxInt, path, pairs...)
}

// perPart is how much of a list one call asks for.
const perPart = 500

// atMost reads the beginning of a list.
func atMost[T any](ctx context.Context, c *Client, n int, path string, pairs ...string) ([]T, error) {
	all, after := []T{}, ""
	for {
		limit := strconv.Itoa(min(n-len(all), perPart))
		part, err := get[list[T]](ctx, c, with(path, append(pairs[:len(pairs):len(pairs)], "limit", limit, "after", after)...))
		if err != nil {
			return nil, err
		}
		if all = append(all, part.Items...); part.Next == "" || len(all) >= n {
			return all, nil
		}
		after = part.Next
	}
}

// perPage is how much of a list a page shows.
const perPage = "50"

// partial reads the part of a list that follows after.
func partial[T any](ctx context.Context, c *Client, path, after string, pairs ...string) ([]T, string, error) {
	part, err := get[list[T]](ctx, c, with(path, append(pairs, "limit", perPage, "after", after)...))
	return part.Items, part.Next, err
}

// send posts or puts in and reads what came of it.
func send[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	err := c.do(ctx, method, path, in, &out)
	return out, err
}

// at joins path parts, escaping each.
func at(parts ...string) string {
	var out strings.Builder
	for _, p := range parts {
		out.WriteByte('/')
		out.WriteString(url.PathEscape(p))
	}
	return out.String()
}

// with adds a query, leaving out empty values.
func with(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// source tells a reader's failures from those of what it is written to.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
