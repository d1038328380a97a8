package device_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/scep"
)

// The content types are compared as a whole by clients.
func TestSCEPAddresses(t *testing.T) {
	s := newServer(t, options{})
	for name, c := range map[string]struct {
		method, path string
		status       int
		kind         string
	}{
		"caps":              {"GET", "/scep/device-identity?operation=GetCACaps", 200, "text/plain"},
		"caps, with name":   {"GET", "/scep/device-identity?operation=GetCACaps&message=x", 200, "text/plain"},
		"caps, pkiclient":   {"GET", "/scep/device-identity/pkiclient.exe?operation=GetCACaps", 200, "text/plain"},
		"CA":                {"GET", "/scep/device-identity?operation=GetCACert", 200, "application/x-x509-ca-ra-cert"},
		"next CA":           {"GET", "/scep/device-identity?operation=GetNextCACert", 501, ""},
		"chain":             {"GET", "/scep/device-identity?operation=GetCACertChain", 404, "text/plain; charset=utf-8"},
		"nothing asked":     {"GET", "/scep/device-identity", 404, "text/plain; charset=utf-8"},
		"unknown profile":   {"GET", "/scep/other?operation=GetCACaps", 404, "text/plain; charset=utf-8"},
		"no base64":         {"GET", "/scep/device-identity?operation=PKIOperation&message=%25", 400, "text/plain; charset=utf-8"},
		"no message":        {"GET", "/scep/device-identity?operation=PKIOperation", 400, "text/plain; charset=utf-8"},
		"post to caps":      {"POST", "/scep/device-identity?operation=GetCACaps", 404, "text/plain; charset=utf-8"},
		"empty post":        {"POST", "/scep/device-identity?operation=PKIOperation", 400, "text/plain; charset=utf-8"},
		"put":               {"PUT", "/scep/device-identity?operation=PKIOperation", 405, "text/plain; charset=utf-8"},
		"CRL":               {"GET", "/pki/device.crl", 200, scep.TypeCRL},
		"CA certificate":    {"GET", "/pki/device.cer", 200, scep.TypeCert},
		"root certificate":  {"GET", "/pki/root.cer", 200, scep.TypeCert},
		"CRL of nobody":     {"GET", "/pki/other.crl", 404, "text/plain; charset=utf-8"},
		"something else":    {"GET", "/pki/device.key", 404, "text/plain; charset=utf-8"},
		"poll by a browser": {"GET", "/mdm/connect", 405, "text/plain; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, _ := s.ask(c.method, c.path, nil, nil)
			if got := h.Get("Content-Type"); status != c.status || got != c.kind {
				t.Errorf("got %d %q, want %d %q", status, got, c.status, c.kind)
			}
		})
	}
	_, _, crl := s.ask("GET", "/pki/device.crl", nil, nil)
	_, _, der := s.ask("GET", "/pki/device.cer", nil, nil)
	issuer := must(x509.ParseCertificate([]byte(der)))
	if list, err := x509.ParseRevocationList([]byte(crl)); err != nil || list.CheckSignatureFrom(issuer) != nil {
		t.Errorf("CRL: %v", err)
	}
}

// A message in a GET is the same as one that was posted.
func TestOperationByGet(t *testing.T) {
	s := newServer(t, options{})
	message := "?operation=PKIOperation&message=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("no message")))
	got, _, body := s.ask("GET", "/scep/device-identity"+message, nil, nil)
	want, _, posted := s.ask("POST", "/scep/device-identity?operation=PKIOperation", nil, strings.NewReader("no message"))
	if got != want || body != posted || !strings.Contains(body, "scep_message") {
		t.Errorf("got %d %q, want %d %q", got, body, want, posted)
	}
	if status, _, _ := s.ask("POST", "/scep/device-identity?operation=PKIOperation", nil, &zeros{scep.MaxMessage + 1}); status != 413 {
		t.Errorf("too large: got %d, want 413", status)
	}
}

// A challenge serves any client, without a profile.
func TestStandardClient(t *testing.T) {
	s := newServer(t, options{})
	inv, _, _ := s.invite(s.user("alice@example.com", "Alice"))
	c, err := s.scep.Challenge(t.Context(), admin, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: inv.User, Device: inv.Device})
	s.must(err)
	p := s.phone(func(c *phone.Config) { c.Roots = s.roots })
	id, err := p.SCEP(t.Context(), phone.SCEPRequest{URL: c.URL, Challenge: c.Secret.RevealString(), Keysize: 2048, KeyUsage: 5})
	if err != nil || id.Certificate.Subject.CommonName != string(inv.Device.ID) {
		t.Errorf("got %v, %v", id, err)
	}
}
