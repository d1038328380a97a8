package peer_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/peer"
	"github.com/signet-mdm/signet/scep"
)

// keeper answers what it is told to and notes what it was asked.
type keeper struct {
	got    scep.Application
	issuer string
	answer cert.Record
	err    error
}

func (k *keeper) Certify(_ context.Context, a scep.Application) (cert.Record, error) {
	k.got = a
	return k.answer, k.err
}

func (k *keeper) Publish(_ context.Context, issuer string) error {
	k.issuer = issuer
	return k.err
}

// serve puts a keeper on a socket and gives the way to it.
func serve(t *testing.T, k scep.Keeper) *peer.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k")
	log := slog.New(slog.DiscardHandler)
	l, err := httpd.ListenGroup("--keeper-listen", path, httpd.NewSite(log, nil, peer.Area(k)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- httpd.Serve(ctx, log, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return peer.Dial("unix:"+path, nil)
}

var asked = scep.Application{Profile: "smime-signing", Message: []byte{2}, Type: "19", Transaction: "T-1", CSR: []byte{0, 0xff}, Signer: []byte{1}, Remote: "192.0.2.1"}

func TestCallsArriveWhole(t *testing.T) {
	now := time.Now().UTC()
	k := &keeper{answer: cert.Record{Fingerprint: cert.Fingerprint{1}, Serial: "7f", Use: cert.Signing, Addresses: []string{"alice@example.com"},
		Holder: cert.Holder{User: "u", Device: "d"}, DER: []byte("certificate"), NotAfter: now}}
	c := serve(t, k)
	got, err := c.Certify(t.Context(), asked)
	if err != nil || !reflect.DeepEqual(got, k.answer) {
		t.Errorf("got %+v, %v, want %+v", got, err, k.answer)
	}
	if !reflect.DeepEqual(k.got, asked) {
		t.Errorf("the keeper was asked %+v, want %+v", k.got, asked)
	}
	if err := c.Publish(t.Context(), "smime"); err != nil || k.issuer != "smime" {
		t.Errorf("published %q, %v", k.issuer, err)
	}
}

// The client of a SCEP server is told the code, so it must survive the way.
func TestRefusalsStayWhatTheyAre(t *testing.T) {
	k := &keeper{}
	c := serve(t, k)
	for _, want := range []*fault.Error{scep.ErrUnreadable, scep.ErrChallengeUsed, scep.ErrTransaction, scep.ErrTooMany, scep.ErrTooLarge, scep.ErrIdentity} {
		k.err = want.With(errors.New("for the log"))
		_, err := c.Certify(t.Context(), asked)
		got := fault.Of(err)
		if got == nil || got.Code != want.Code || got.Kind != want.Kind || got.Msg != want.Msg || got.Hint != want.Hint {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	k.err = errors.New("disk on fire")
	if _, err := c.Certify(t.Context(), asked); err == nil || fault.Of(err) != nil || strings.Contains(err.Error(), "fire") {
		t.Errorf("got %v, want an internal failure that says nothing of the cause", err)
	}
	if err := c.Publish(t.Context(), "../x"); fault.Code(err) == "" {
		t.Errorf("a strange issuer: got %v", err)
	}
}

func TestNoKeeper(t *testing.T) {
	for name, c := range map[string]*peer.Client{
		"nobody":     peer.Dial("unix:"+filepath.Join(t.TempDir(), "none"), nil),
		"no JSON":    strange(t, 200, "<html>"),
		"redirected": strange(t, 302, "{}"),
		"an error":   strange(t, 404, "not found"),
		"endless":    strange(t, 200, `{"DER":"`+strings.Repeat("A", 2<<20)+`"}`),
	} {
		if _, err := c.Certify(t.Context(), asked); !errors.Is(err, peer.ErrKeeper) {
			t.Errorf("%s: got %v, want %v", name, err, peer.ErrKeeper)
		}
	}
}

// strange is a way to something that is no keeper.
func strange(t *testing.T, status int, body string) *peer.Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return peer.Dial(s.URL, nil)
}

func TestCallsThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: httpd.NewSite(slog.New(slog.DiscardHandler), nil, peer.Area(&keeper{}))}
	go s.Serve(l)
	defer s.Close()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for body, want := range map[string]int{"": 400, "[]": 400, `{"CSR":"%"}`: 400, `{"Proven":true}`: 400, "{}{}": 400, "{": 400, "{} ": 200, "{}": 200, `{"CSR":"` + strings.Repeat("A", 1<<20) + `"}`: 413} {
		r, err := c.Post("http://keeper/keeper/v1/certificates", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%.20s: got %d, want %d", body, r.StatusCode, want)
		}
	}
}
