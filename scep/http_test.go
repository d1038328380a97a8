package scep_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/scep"
)

// serve puts the service behind the handler that it has in the product, and
// gives the address of one profile.
func (w *world) serve(profile string) string {
	w.t.Helper()
	site := httpd.NewSite(slog.New(slog.DiscardHandler), nil, device.Plain(w.s)...)
	s := httptest.NewServer(w.hidingPOST(site))
	w.t.Cleanup(s.Close)
	return s.URL + "/scep/" + profile
}

// hidingPOST leaves POSTPKIOperation out of GetCACaps where the world says so.
func (w *world) hidingPOST(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.getOnly || r.URL.Query().Get("operation") != "GetCACaps" {
			h.ServeHTTP(rw, r)
			return
		}
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, r)
		rw.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
		rw.Write(bytes.ReplaceAll(recorder.Body.Bytes(), []byte("POSTPKIOperation"), nil))
	})
}

// line is a client on the network. It comes from one address after the other:
// what each may ask for is bounded.
type line struct {
	t    testing.TB
	url  string
	sent atomic.Uint32
}

// answered is what HTTP brought.
type answered struct {
	status int
	header http.Header
	body   []byte
}

func (l *line) post(message []byte) answered {
	l.t.Helper()
	n := l.sent.Add(1) / 50
	here := &net.TCPAddr{IP: net.IPv4(127, 9, byte(n>>8), byte(n))}
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: here}).DialContext, DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}
	c := &http.Client{Transport: transport, Timeout: time.Minute}
	r := must(http.NewRequest(http.MethodPost, l.url+"?operation=PKIOperation", bytes.NewReader(message)))(l.t)
	r.Header.Set("Content-Type", "application/x-pki-message")
	if len(message) > scep.MaxMessage { // who sends on after the refusal may not hear it
		r.Header.Set("Expect", "100-continue")
	}
	resp, err := c.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	body := must(io.ReadAll(resp.Body))(l.t)
	return answered{resp.StatusCode, resp.Header, body}
}

// tables are what a refused request must not grow.
var tables = []string{"certificate", "issuance", "scep_request", "parcel", "command", "device", "users"}

// rows counts what is stored, and the challenges that were used.
func (w *world) rows() string {
	w.t.Helper()
	raw := w.raw()
	defer raw.Close()
	var all []string
	for _, table := range append(tables, "scep_challenge WHERE used_at > 0", "journal WHERE action = 'certificate.issued'") {
		n := 0
		if err := raw.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d of %s", n, table))
	}
	return strings.Join(all, ", ")
}

// over sends a request through HTTP and reads the reply as strictly as deliver.
// What no CertRep answers has its code in the body.
func (w *world) over(l *line, a ask, message []byte) answer {
	w.t.Helper()
	got := l.post(message)
	switch kind := got.header.Get("Content-Type"); {
	case got.status == http.StatusOK && kind == scep.TypeMessage:
		return w.readReply(a.defaults(), got.body)
	case got.status == http.StatusBadRequest || got.status == http.StatusRequestEntityTooLarge:
		return answer{err: fmt.Errorf("%d: %s", got.status, got.body)}
	default:
		w.t.Errorf("got %d %s", got.status, kind)
		return answer{}
	}
}
