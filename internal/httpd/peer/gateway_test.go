package peer_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/peer"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// hands answers what it is told to and notes what it was asked.
type hands struct {
	got    gateway.Ask
	answer gateway.Delivery
	err    error
}

func (h *hands) Deliver(_ context.Context, a gateway.Ask) (gateway.Delivery, error) {
	h.got = a
	return h.answer, h.err
}

// What another MDM asks, and what it gets, arrive whole, refusals too.
func TestDeliveriesArriveWhole(t *testing.T) {
	h := &hands{answer: gateway.Delivery{ID: "d", User: subject.User{ID: "u", Mail: "alice@example.com"}, Device: "x", Revision: "r", Again: true,
		Listed:  []gateway.Listed{{Record: cert.Record{Fingerprint: cert.Fingerprint{1}, DER: []byte{2}}, Current: true, Withheld: "w"}},
		Content: gateway.Content{Identifier: "i", Profile: make([]byte, 2<<20), Files: []gateway.File{{Certificate: cert.Fingerprint{1}, PKCS12: []byte{3}, Password: []byte{4}}}}}}
	path, log := filepath.Join(t.TempDir(), "k"), slog.New(slog.DiscardHandler)
	l, err := httpd.ListenGroup("--keeper-listen", path, httpd.NewSite(log, nil, peer.Gateway(h)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- httpd.Serve(ctx, log, l) }()
	t.Cleanup(func() { stop(); <-done })
	c := peer.Dial("unix:"+path, nil)
	ask := gateway.Ask{Connector: "c", Chain: [][]byte{{1}, {2}}, User: "alice@example.com", Form: gateway.PKCS12, IOS: 18, Certificate: cert.Fingerprint{9}, Remote: "192.0.2.1"}
	got, err := c.Deliver(t.Context(), ask)
	if diff := cmp.Diff(h.answer, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff(ask, h.got); diff != "" {
		t.Errorf("asked: %s", diff)
	}
	h.err = gateway.ErrDeviceUser
	if _, err := c.Deliver(t.Context(), ask); !errors.Is(err, gateway.ErrDeviceUser) {
		t.Errorf("got %v", err)
	}
}
