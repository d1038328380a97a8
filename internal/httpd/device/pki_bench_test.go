package device_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// BenchmarkOCSP answers questions about a thousand certificates through the
// handler of the listener, log and all, from what was signed before.
func BenchmarkOCSP(b *testing.B) {
	s := newServer(b, options{})
	inv, _, _ := s.invite(s.user("alice@example.com", "Alice"))
	_, _, der := s.ask("GET", "/pki/device.cer", nil, nil)
	issuer := must(x509.ParseCertificate([]byte(der)))
	site := httpd.NewSite(slog.New(slog.NewTextHandler(io.Discard, nil)), nil, device.Plain(s.scep)...)
	var requests [][]byte
	for n := range 1000 {
		c := s.madeUp(inv.User.ID, inv.Device.ID, n)
		requests = append(requests, must(ocsp.CreateRequest(c, issuer, nil)))
	}
	for name, ask := range map[string]func(request []byte) *http.Request{
		"GET": func(request []byte) *http.Request {
			return httptest.NewRequest("GET", "/ocsp/device/"+url.PathEscape(base64.StdEncoding.EncodeToString(request)), nil)
		},
		"POST": func(request []byte) *http.Request {
			return httptest.NewRequest("POST", "/ocsp/device", bytes.NewReader(request))
		},
	} {
		for _, request := range requests { // signs each
			w := httptest.NewRecorder()
			site.ServeHTTP(w, ask(request))
			if r, err := ocsp.ParseResponse(w.Body.Bytes(), issuer); err != nil || r.Status != ocsp.Good {
				b.Fatalf("%d: %v", w.Code, err)
			}
		}
		b.Run(name, func(b *testing.B) {
			begin, n := processor(b), 0
			for b.Loop() {
				w := httptest.NewRecorder()
				site.ServeHTTP(w, ask(requests[n%len(requests)]))
				n++
				if w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
			b.ReportMetric(float64(n)/(processor(b)-begin).Seconds(), "answers/CPU-s(bar:5000)")
		})
	}
}

// madeUp stores a certificate that nobody signed.
func (s *server) madeUp(user subject.UserID, id subject.DeviceID, n int) *x509.Certificate {
	s.t.Helper()
	serial, ok := new(big.Int).SetString(fmt.Sprintf("7f%030x", n), 16)
	if !ok {
		s.t.Fatal("no number")
	}
	holder := cert.Holder{User: user, Device: id}
	now, key := time.Now(), cert.FingerprintOf([]byte(fmt.Sprint(n)))
	t := scep.Ticket{Grant: scep.Grant{Profile: scep.DeviceIdentity, Holder: holder}, Hash: seal.Random().Hash(), Created: now, Expires: now.Add(time.Hour)}
	e := journal.Entry{At: now, Actor: admin}
	s.must(s.db.SCEP().ChallengeMade(s.t.Context(), t, e))
	i := scep.Issuance{Grant: t.Grant, Issuer: "device", Serial: cert.SerialOf(serial), Challenge: t.Hash, Transaction: fmt.Sprint(n), SPKI: key,
		TBS: []byte{1}, NotAfter: now.AddDate(1, 0, 0), At: now}
	s.must(s.db.SCEP().SerialReserved(s.t.Context(), i))
	s.must(s.db.SCEP().CertificateIssued(s.t.Context(), i, cert.Record{Fingerprint: key, SPKI: key, Holder: holder, Source: cert.Issued, Use: cert.Identity,
		Serial: i.Serial, NotBefore: now, NotAfter: i.NotAfter, DER: []byte{1}, CreatedAt: now}, e))
	return &x509.Certificate{SerialNumber: serial}
}

// processor is the time of the processors that this process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
