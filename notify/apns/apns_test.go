package apns_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/notify/apns"
	"github.com/signet-mdm/signet/notify/apns/apnstest"
)

const (
	topic = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
	other = "com.apple.mgmt.External.99999999-2222-3333-4444-555555555555"
)

func double(t *testing.T) *apnstest.Server {
	t.Helper()
	s, err := apnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, s *apnstest.Server) *apns.Client {
	t.Helper()
	c := apns.New(apns.Config{Gateway: s.Addr, Roots: s.Roots()})
	t.Cleanup(c.Close)
	return c
}

func credential(t *testing.T, s *apnstest.Server, topic string) notify.Credential {
	t.Helper()
	c, err := s.Credential(topic)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const magic = `6E4F0B5A-"quoted"-\magic`

func push(token byte) notify.Push {
	return notify.Push{Token: seal.NewSecret(tokenOf(token)), Magic: seal.SecretString(magic),
		Expires: time.Now().Add(time.Hour).Truncate(time.Second)}
}

// tokenOf gives a token of 32 equal bytes.
func tokenOf(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

func TestPushIsWhatTheDeviceExpects(t *testing.T) {
	s := double(t)
	c, cred, p := client(t, s), credential(t, s, topic), push('k')
	if got := c.Push(t.Context(), cred, p); got.Kind != notify.Taken {
		t.Fatalf("got %+v, want taken", got)
	}
	want := []apnstest.Push{{Topic: topic, Magic: magic, Token: tokenOf('k'), Expires: p.Expires}}
	if diff := cmp.Diff(want, s.Taken()); diff != "" {
		t.Error(diff)
	}
}

// Every answer that the service has, and what it means.
func TestAnswers(t *testing.T) {
	s := double(t)
	c, cred := client(t, s), credential(t, s, topic)
	since := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		scene apnstest.Scene
		want  notify.Answer
	}{
		"taken":               {apnstest.Scene{}, notify.Answer{Kind: notify.Taken, Reason: "taken"}},
		"bad token":           {apnstest.Scene{Status: 400, Reason: "BadDeviceToken"}, notify.Answer{Kind: notify.TokenGone, Reason: "BadDeviceToken"}},
		"unregistered":        {apnstest.Scene{Status: 410, Reason: "Unregistered", Since: since}, notify.Answer{Kind: notify.TokenGone, Reason: "Unregistered", Since: since}},
		"expired token":       {apnstest.Scene{Status: 410, Reason: "ExpiredToken"}, notify.Answer{Kind: notify.TokenGone, Reason: "ExpiredToken"}},
		"gone, nothing said":  {apnstest.Scene{Status: 410, Body: "x"}, notify.Answer{Kind: notify.TokenGone, Reason: "status 410"}},
		"foreign token":       {apnstest.Scene{Status: 400, Reason: "DeviceTokenNotForTopic"}, notify.Answer{Kind: notify.TokenForeign, Reason: "DeviceTokenNotForTopic"}},
		"wrong topic":         {apnstest.Scene{Status: 400, Reason: "BadTopic"}, notify.Answer{Kind: notify.TopicRefused, Reason: "BadTopic"}},
		"topic disallowed":    {apnstest.Scene{Status: 400, Reason: "TopicDisallowed"}, notify.Answer{Kind: notify.TopicRefused, Reason: "TopicDisallowed"}},
		"bad certificate":     {apnstest.Scene{Status: 403, Reason: "BadCertificate"}, notify.Answer{Kind: notify.CertificateRefused, Reason: "BadCertificate"}},
		"environment":         {apnstest.Scene{Status: 403, Reason: "BadCertificateEnvironment"}, notify.Answer{Kind: notify.CertificateRefused, Reason: "BadCertificateEnvironment"}},
		"provider token":      {apnstest.Scene{Status: 403, Reason: "ExpiredProviderToken"}, notify.Answer{Kind: notify.CertificateRefused, Reason: "ExpiredProviderToken"}},
		"too large":           {apnstest.Scene{Status: 413, Reason: "PayloadTooLarge"}, notify.Answer{Kind: notify.TooLarge, Reason: "PayloadTooLarge"}},
		"too many":            {apnstest.Scene{Status: 429, Reason: "TooManyRequests", RetryAfter: "90"}, notify.Answer{Kind: notify.Later, Reason: "TooManyRequests", RetryAfter: 90 * time.Second}},
		"internal error":      {apnstest.Scene{Status: 500, Reason: "InternalServerError"}, notify.Answer{Kind: notify.Later, Reason: "InternalServerError"}},
		"unavailable":         {apnstest.Scene{Status: 503, Reason: "ServiceUnavailable", RetryAfter: "soon"}, notify.Answer{Kind: notify.Later, Reason: "ServiceUnavailable"}},
		"shutdown":            {apnstest.Scene{Status: 503, Reason: "Shutdown"}, notify.Answer{Kind: notify.Later, Reason: "Shutdown"}},
		"idle":                {apnstest.Scene{Status: 400, Reason: "IdleTimeout"}, notify.Answer{Kind: notify.Later, Reason: "IdleTimeout"}},
		"our mistake":         {apnstest.Scene{Status: 400, Reason: "BadExpirationDate"}, notify.Answer{Kind: notify.Refused, Reason: "BadExpirationDate"}},
		"not of this world":   {apnstest.Scene{Status: 418, Reason: "Teapot"}, notify.Answer{Kind: notify.Refused, Reason: "Teapot"}},
		"a word to print":     {apnstest.Scene{Status: 400, Reason: "x\x1b[2J"}, notify.Answer{Kind: notify.Refused, Reason: "status 400"}},
		"a page of a proxy":   {apnstest.Scene{Status: 502, Body: "<html>"}, notify.Answer{Kind: notify.Later, Reason: "status 502"}},
		"endless":             {apnstest.Scene{Status: 400, Body: strings.Repeat(" ", 1<<20) + `{"reason":"BadDeviceToken"}`}, notify.Answer{Kind: notify.Refused, Reason: "status 400"}},
		"reset":               {apnstest.Scene{Reset: true}, notify.Answer{Kind: notify.Unanswered, Reason: "the connection was lost"}},
		"goaway, begun":       {apnstest.Scene{GoAway: &apnstest.GoAway{Processed: true}}, notify.Answer{Kind: notify.Unanswered, Reason: "the connection was lost"}},
		"goaway with a cause": {apnstest.Scene{GoAway: &apnstest.GoAway{Processed: true, Reason: "BadCertificate"}}, notify.Answer{Kind: notify.CertificateRefused, Reason: "BadCertificate"}},
		"goaway, not begun":   {apnstest.Scene{GoAway: &apnstest.GoAway{Reason: "Shutdown"}}, notify.Answer{Kind: notify.Taken, Reason: "taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Play(tt.scene)
			if diff := cmp.Diff(tt.want, c.Push(t.Context(), cred, push('k'))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	s := double(t)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := apns.New(apns.Config{Gateway: s.Addr, Roots: s.Roots(), Now: func() time.Time { return now }})
	t.Cleanup(c.Close)
	cred := credential(t, s, topic)
	for header, want := range map[string]time.Duration{
		"Tue, 24 Nov 2026 12:05:00 GMT": 5 * time.Minute,
		"Tue, 24 Nov 2026 11:00:00 GMT": 0,
		"-5":                            0,
		"99999999999999999999":          0,
	} {
		s.Play(apnstest.Scene{Status: 503, Reason: "ServiceUnavailable", RetryAfter: header})
		if got := c.Push(t.Context(), cred, push('k')).RetryAfter; got != want {
			t.Errorf("%s: got %v, want %v", header, got, want)
		}
	}
}

// What the service itself knows of tokens and topics.
func TestTokens(t *testing.T) {
	s := double(t)
	c, cred := client(t, s), credential(t, s, topic)
	s.Unregister(tokenOf('g'), time.Time{})
	s.Own(tokenOf('f'), other)
	for token, want := range map[byte]notify.Kind{'k': notify.Taken, 'g': notify.TokenGone, 'f': notify.TokenForeign} {
		if got := c.Push(t.Context(), cred, push(token)).Kind; got != want {
			t.Errorf("token %c: got %s, want %s", token, got, want)
		}
	}
}

// A service that says nothing is given up, and the next push goes through.
func TestHang(t *testing.T) {
	s := double(t)
	c := apns.New(apns.Config{Gateway: s.Addr, Roots: s.Roots(), Patience: 500 * time.Millisecond})
	t.Cleanup(c.Close)
	cred := credential(t, s, topic)
	s.Play(apnstest.Scene{Hang: true})
	want := notify.Answer{Kind: notify.Unanswered, Reason: "no answer in time"}
	if diff := cmp.Diff(want, c.Push(t.Context(), cred, push('k'))); diff != "" {
		t.Error(diff)
	}
	if got := client(t, s).Push(t.Context(), cred, push('k')); got.Kind != notify.Taken {
		t.Errorf("afterwards: got %+v", got)
	}
}

func TestNobodyThere(t *testing.T) {
	s := double(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := apns.New(apns.Config{Gateway: l.Addr().String(), Roots: s.Roots()})
	want := notify.Answer{Kind: notify.Unanswered, Reason: "the gateway cannot be reached"}
	if diff := cmp.Diff(want, c.Push(t.Context(), credential(t, s, topic), push('k'))); diff != "" {
		t.Error(diff)
	}
}

// A service under another CA is not spoken to.
func TestGatewayIsVerified(t *testing.T) {
	s := double(t)
	c := apns.New(apns.Config{Gateway: s.Addr, Roots: x509.NewCertPool()})
	t.Cleanup(c.Close)
	want := notify.Answer{Kind: notify.Unanswered, Reason: "the gateway's certificate is not trusted"}
	if diff := cmp.Diff(want, c.Push(t.Context(), credential(t, s, topic), push('k'))); diff != "" {
		t.Error(diff)
	}
	if s.Asked() != 0 {
		t.Errorf("%d requests came", s.Asked())
	}
}

// A certificate that expired, or that Apple never made, is refused before any
// request; one for another topic, or for none, with words.
func TestOurCertificateIsRefused(t *testing.T) {
	s, foreign := double(t), double(t)
	c := client(t, s)
	old := credential(t, s, topic)
	var err error
	if old.Certificate, err = s.Certificate(old.Key.Public(), topic, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	wrong := credential(t, s, topic)
	wrong.Topic = other
	for name, tt := range map[string]struct {
		cred notify.Credential
		want notify.Answer
	}{
		"expired":     {old, notify.Answer{Kind: notify.CertificateRefused, Reason: "refused in the TLS handshake"}},
		"not Apple's": {credential(t, foreign, topic), notify.Answer{Kind: notify.CertificateRefused, Reason: "refused in the TLS handshake"}},
		"other topic": {wrong, notify.Answer{Kind: notify.TopicRefused, Reason: "BadTopic"}},
		"no topic":    {credential(t, s, ""), notify.Answer{Kind: notify.CertificateRefused, Reason: "BadCertificate"}},
	} {
		if diff := cmp.Diff(tt.want, c.Push(t.Context(), tt.cred, push('k'))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A renewed certificate is used at once, although connections are kept.
func TestRenewal(t *testing.T) {
	s := double(t)
	c, cred := client(t, s), credential(t, s, topic)
	if got := c.Push(t.Context(), cred, push('k')); got.Kind != notify.Taken {
		t.Fatalf("got %+v", got)
	}
	renewed := credential(t, double(t), topic) // of another authority, so that its use shows
	if got := c.Push(t.Context(), renewed, push('k')); got.Kind != notify.CertificateRefused {
		t.Errorf("got %+v: the old connection was used", got)
	}
	if got := c.Push(t.Context(), credential(t, s, topic), push('k')); got.Kind != notify.Taken {
		t.Errorf("got %+v", got)
	}
}

// Neither token nor magic is in what comes back, whatever happens.
func TestSecretsStay(t *testing.T) {
	s := double(t)
	c, cred, p := client(t, s), credential(t, s, topic), push('k')
	token := hex.EncodeToString(tokenOf('k'))
	gone, stop := context.WithCancel(t.Context())
	stop()
	for _, scene := range []apnstest.Scene{{Status: 400, Reason: token}, {Status: 400, Reason: magic}, {Reset: true}, {GoAway: &apnstest.GoAway{Reason: token, Processed: true}}} {
		s.Play(scene)
		got := fmt.Sprintf("%+v", c.Push(t.Context(), cred, p))
		if strings.Contains(got, token) || strings.Contains(got, magic) {
			t.Errorf("%+v: got %s", scene, got)
		}
	}
	if got := fmt.Sprintf("%+v", c.Push(gone, cred, p)); strings.Contains(got, token) {
		t.Errorf("cancelled: got %s", got)
	}
}
