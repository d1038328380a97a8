// Package apns speaks to Apple's push service: HTTP/2 with a client
// certificate. What to push when, and what follows from an answer, is decided
// in package notify.
//
// It promises that the service is verified, that every push ends within a
// bounded time with a typed answer, and that neither token nor PushMagic is in
// what it gives back. Start at [Client.Push]; answer.go has the table of
// answers, and apnstest is a strict double of the service.
//
// Spec: Apple, Sending notification requests to APNs
package apns

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/signet-mdm/signet/notify"
)

// Gateway is Apple's service; 2197 is its other port.
const Gateway = "api.push.apple.com:443"

// Bounds of what one push may take.
const (
	patience  = 10 * time.Second
	dialing   = 10 * time.Second
	listening = 2 * time.Second
	maxAnswer = 4 << 10
	maxHeader = 16 << 10
	idle      = 30 * time.Minute // Apple wants connections kept
	pinging   = time.Minute      // a connection that a firewall forgot is noticed
)

// Config says how to reach the service. The zero value is Apple's own.
type Config struct {
	Gateway  string         // host:port
	Roots    *x509.CertPool // nil: those of the system
	Patience time.Duration  // for one push; 0: 10 s
	Now      func() time.Time
}

// Client pushes. It keeps one connection pool for each topic, and a new one
// when the topic's certificate was renewed.
type Client struct {
	Config
	mu    sync.Mutex
	pools map[string]pool
}

type pool struct {
	certificate string // DER
	transport   *http.Transport
}

var _ notify.Pusher = (*Client)(nil)

// New makes a client; it connects when there is something to push.
func New(c Config) *Client {
	c.Gateway, c.Patience = cmp.Or(c.Gateway, Gateway), cmp.Or(c.Patience, patience)
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{Config: c, pools: map[string]pool{}}
}

// Push implements [notify.Pusher].
//
// Spec: Apple MDM, Sending push notifications
func (c *Client) Push(ctx context.Context, cred notify.Credential, p notify.Push) notify.Answer {
	ctx, stop := context.WithTimeout(ctx, c.Patience)
	defer stop()
	r, err := c.request(ctx, cred.Topic, p)
	if err != nil {
		return notify.Answer{Kind: notify.Refused, Reason: "no request can be made"}
	}
	resp, err := c.transport(cred).RoundTrip(r) // not an http.Client, whose errors name the URL and with it the token
	if err != nil {
		return unanswered(err, func() error { return c.handshake(ctx, cred) })
	}
	defer resp.Body.Close()
	return answer(resp, c.Now())
}

func (c *Client) request(ctx context.Context, topic string, p notify.Push) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{"mdm": p.Magic.RevealString()})
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "https", Host: c.Gateway, Path: "/3/device/" + hex.EncodeToString(p.Token.Reveal())}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Apns-Topic":      {topic},
		"Apns-Push-Type":  {"mdm"},
		"Apns-Priority":   {"10"},
		"Apns-Expiration": {strconv.FormatInt(p.Expires.Unix(), 10)}, // without it a device that is off gets nothing
		"Content-Type":    {"application/json"},
	}
	return r, nil
}

// transport gives the pool of the credential's topic. One whose certificate is
// not the current one finishes what it has begun.
func (c *Client) transport(cred notify.Credential) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	der := string(cred.Certificate.Raw)
	if p, ok := c.pools[cred.Topic]; ok {
		if p.certificate == der {
			return p.transport
		}
		p.transport.CloseIdleConnections()
	}
	t := c.dialer(cred)
	c.pools[cred.Topic] = pool{der, t}
	return t
}

func (c *Client) dialer(cred notify.Credential) *http.Transport {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialing}).DialContext,
		TLSClientConfig:     c.tls(cred),
		TLSHandshakeTimeout: dialing, ResponseHeaderTimeout: c.Patience, IdleConnTimeout: idle,
		MaxResponseHeaderBytes: maxHeader, Protocols: only, DisableCompression: true,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pinging, PingTimeout: dialing, WriteByteTimeout: dialing},
	}
}

func (c *Client) tls(cred notify.Credential) *tls.Config {
	own := &tls.Certificate{Certificate: [][]byte{cred.Certificate.Raw}, PrivateKey: cred.Key, Leaf: cred.Certificate}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: c.Roots,
		// Not Certificates: those are left out when the service lists other CAs.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil },
	}
}

// handshake opens a connection and only listens. In TLS 1.3 the client is done
// before its certificate is judged; one that writes at once may find the
// connection broken and never read why.
//
// Spec: RFC 8446 section 4.4.2.4
func (c *Client) handshake(ctx context.Context, cred notify.Credential) error {
	config := c.tls(cred)
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: dialing}, Config: config}).DialContext(ctx, "tcp", c.Gateway)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(listening)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Close ends the connections that nothing waits for.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		p.transport.CloseIdleConnections()
	}
}
