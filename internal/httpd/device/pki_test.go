package device_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/scep"
)

// issued gives a certificate that a SCEP client got, and its issuer.
func (s *server) issued() (c, issuer *x509.Certificate) {
	s.t.Helper()
	inv, _, _ := s.invite(s.user("alice@example.com", "Alice"))
	challenge, err := s.scep.Challenge(s.t.Context(), admin, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: inv.User, Device: inv.Device})
	s.must(err)
	id, err := s.phone(func(c *phone.Config) { c.Roots = s.roots }).SCEP(s.t.Context(),
		phone.SCEPRequest{URL: challenge.URL, Challenge: challenge.Secret.RevealString(), Keysize: 2048, KeyUsage: 5})
	s.must(err)
	_, _, der := s.ask("GET", "/pki/device.cer", nil, nil)
	return id.Certificate, must(x509.ParseCertificate([]byte(der)))
}

// Whatever way the question is written, the answer is the same, byte for byte.
func TestOCSPByGetAndPost(t *testing.T) {
	s := newServer(t, options{})
	c, issuer := s.issued()
	request := must(ocsp.CreateRequest(c, issuer, nil))
	status, h, posted := s.ask("POST", "/ocsp/device", http.Header{"Content-Type": {"application/ocsp-request"}}, bytes.NewReader(request))
	if r, err := ocsp.ParseResponseForCert([]byte(posted), c, issuer); status != 200 || err != nil || r.Status != ocsp.Good || h.Get("Content-Type") != scep.TypeOCSP {
		t.Fatalf("POST: got %d %q, %v", status, h.Get("Content-Type"), err)
	}
	standard := base64.StdEncoding.EncodeToString(request)
	everything := ""
	for _, b := range []byte(standard) {
		everything += "%" + string("0123456789ABCDEF"[b>>4]) + string("0123456789ABCDEF"[b&15])
	}
	for name, text := range map[string]string{
		"as it is": standard, "escaped": url.PathEscape(standard), "all escaped": url.QueryEscape(standard),
		"every character escaped": everything, "lower case": strings.ReplaceAll(url.QueryEscape(standard), "%2F", "%2f"),
		"for addresses": base64.URLEncoding.EncodeToString(request), "without padding": base64.RawStdEncoding.EncodeToString(request),
	} {
		status, h, body := s.ask("GET", "/ocsp/device/"+text, nil, nil)
		if status != 200 || body != posted {
			t.Errorf("%s: got %d, another answer: %v", name, status, body != posted)
		}
		if got := h.Get("Cache-Control"); got != "max-age=3600, public, no-transform, must-revalidate" {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
		for _, field := range []string{"Expires", "Last-Modified"} {
			if _, err := http.ParseTime(h.Get(field)); err != nil {
				t.Errorf("%s: %s is %q", name, field, h.Get(field))
			}
		}
		if status, _, body := s.ask("GET", "/ocsp/device/"+text, http.Header{"If-None-Match": {h.Get("ETag")}}, nil); status != 304 || body != "" {
			t.Errorf("%s: known by its tag: got %d and %d bytes", name, status, len(body))
		}
	}
}

// Errors are OCSP answers that nobody keeps, and requests are bounded.
func TestOCSPRefuses(t *testing.T) {
	s := newServer(t, options{})
	for name, x := range map[string]struct {
		method, path, body string
		status             int
		want               []byte
	}{
		"no base64":       {"GET", "/ocsp/device/%25%25", "", 200, ocsp.MalformedRequestErrorResponse},
		"slashes":         {"GET", "/ocsp/device//x//y", "", 200, ocsp.MalformedRequestErrorResponse},
		"empty":           {"POST", "/ocsp/device", "", 200, ocsp.MalformedRequestErrorResponse},
		"nothing asked":   {"GET", "/ocsp/device", "", 405, nil},
		"unknown issuer":  {"POST", "/ocsp/other", "x", 404, nil},
		"too long":        {"POST", "/ocsp/device", strings.Repeat("x", scep.MaxOCSP+1), 413, nil},
		"too long a path": {"GET", "/ocsp/device/" + strings.Repeat("A", 2000), "", 400, nil},
		"dots":            {"GET", "/ocsp/device/x/../y", "", 400, nil},
	} {
		status, h, body := s.ask(x.method, x.path, nil, strings.NewReader(x.body))
		if status != x.status || x.want != nil && body != string(x.want) {
			t.Errorf("%s: got %d %x", name, status, body)
		}
		if got := h.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
	}
}

// Who has a list already is told so, until there is another.
func TestListIsKnown(t *testing.T) {
	s := newServer(t, options{})
	status, h, body := s.ask("GET", "/pki/device.crl", nil, nil)
	if status != 200 || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Last-Modified") == "" {
		t.Errorf("got %d, %v", status, h)
	}
	mine := http.Header{"If-None-Match": {h.Get("ETag")}}
	if status, h, body := s.ask("GET", "/pki/device.crl", mine, nil); status != 304 || body != "" || h.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("known: got %d, %d bytes, %v", status, len(body), h)
	}
	c, _ := s.issued()
	s.must(s.scep.Revoke(t.Context(), admin, cert.FingerprintOf(c.Raw), ""))
	if status, _, now := s.ask("GET", "/pki/device.crl", mine, nil); status != 200 || now == body {
		t.Errorf("after a revocation: got %d", status)
	}
}
