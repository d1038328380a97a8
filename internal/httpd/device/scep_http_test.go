package device_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/scep"
)

// pkcsReq is a message of a client with a challenge, and the client's own
// certificate; more certificates make it longer.
func (s *server) pkcsReq(challenge string, more int) (message []byte, self *x509.Certificate, key *rsa.PrivateKey) {
	s.t.Helper()
	key = must(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	self = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
	csr := must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: challenge}, key))
	_, _, body := s.ask("GET", "/scep/device-identity?operation=GetCACert", nil, nil)
	bag := must(cms.Certificates([]byte(body), 0))
	signer := cms.Signer{Certificate: self, Key: key, Include: slices.Repeat(bag, more), Time: time.Now()}
	oid := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, last} }
	return must(cms.Sign(must(cms.Encrypt(csr, bag[0], cms.AES128CBC)), signer, cms.Attribute{Type: oid(2), Value: "19"},
		cms.Attribute{Type: oid(7), Value: "T-1"}, cms.Attribute{Type: oid(5), Value: bytes.Repeat([]byte{7}, 16)})), self, key
}

// Whatever clients do to base64, the message is the same.
func TestMessageInTheAddress(t *testing.T) {
	s := newServer(t, options{})
	inv, _, _ := s.invite(s.user("alice@example.com", "Alice"))
	c, err := s.scep.Challenge(t.Context(), admin, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: inv.User, Device: inv.Device})
	s.must(err)
	message, self, key := s.pkcsReq(c.Secret.RevealString(), 0)
	long, _, _ := s.pkcsReq("WRONG", 4)
	for len(message)%3 == 0 || !strings.Contains(base64.StdEncoding.EncodeToString(message), "+") {
		message, self, key = s.pkcsReq(c.Secret.RevealString(), 0) // so that there is something to pad and to escape
	}
	text := base64.StdEncoding.EncodeToString(message)
	lines := func(end string) string { return regexp.MustCompile(`.{64}`).ReplaceAllString(text, "$0"+end) }
	var first *x509.Certificate
	for name, query := range map[string]string{
		"all escaped":              url.QueryEscape(text),
		"nothing escaped (iOS 11)": text,
		"padding escaped (macOS)":  strings.ReplaceAll(text, "=", "%3D"),
		"lines of 64 (strongSwan)": strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D", "\n", "%0A").Replace(lines("\n")),
		"lines with CR":            url.QueryEscape(lines("\r\n")),
		"line end at the end":      url.QueryEscape(text + "\n"),
		"base64url (micromdm)":     base64.URLEncoding.EncodeToString(message),
		"base64url, no padding":    base64.RawURLEncoding.EncodeToString(message),
		"no padding":               url.QueryEscape(strings.TrimRight(text, "=")),
	} {
		for _, path := range []string{"/scep/device-identity", "/scep/device-identity/pkiclient.exe"} {
			status, h, body := s.ask("GET", path+"?operation=PKIOperation&message="+query, nil, nil)
			if status != 200 || h.Get("Content-Type") != "application/x-pki-message" {
				t.Errorf("%s: got %d %q %s", name, status, h.Get("Content-Type"), body)
				continue
			}
			got := s.certificate(body, self, key)
			if first == nil {
				first = got
			}
			if got == nil || !got.Equal(first) {
				t.Errorf("%s: another certificate", name)
			}
		}
	}
	if n := len(base64.StdEncoding.EncodeToString(long)); n < 12<<10 || n > 16<<10 {
		t.Fatalf("the long message has %d characters", n)
	}
	if status, _, body := s.ask("GET", "/scep/device-identity?operation=PKIOperation&message="+url.QueryEscape(base64.StdEncoding.EncodeToString(long)), nil, nil); status != 200 || !strings.Contains(body, "scep_challenge_unknown") {
		t.Errorf("long: got %d", status)
	}
	for name, query := range map[string]string{"nothing": "", "half": "MII%", "no base64": "%25%25", "garbage": "AAAA", "one character": "A"} {
		if status, _, body := s.ask("GET", "/scep/device-identity?operation=PKIOperation&message="+url.QueryEscape(query), nil, nil); status != 400 || !strings.Contains(body, "scep_message") {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
}

// certificate opens the reply to the client with that key.
func (s *server) certificate(reply string, self *x509.Certificate, key *rsa.PrivateKey) *x509.Certificate {
	s.t.Helper()
	signed := must(cms.Verify([]byte(reply), cms.Accept{}))
	if signed.Content == nil {
		return nil
	}
	return must(cms.Certificates(must(cms.Decrypt(signed.Content, self, key, cms.Policy{})), 0))[0]
}

// Addresses, methods and content types, as clients use and abuse them.
func TestSCEPMethods(t *testing.T) {
	s := newServer(t, options{})
	const text = "text/plain; charset=utf-8"
	for name, c := range map[string]struct {
		method, path string
		status       int
		kind, allow  string
	}{
		"caps":                {"GET", "?operation=GetCACaps", 200, "text/plain", ""},
		"caps of a name":      {"GET", "?operation=GetCACaps&message=Example%20CA", 200, "text/plain", ""},
		"CA of a name":        {"GET", "?message=CAIdentifier&operation=GetCACert", 200, "application/x-x509-ca-ra-cert", ""},
		"CA of an odd name":   {"GET", "?operation=GetCACert&message=%00%ff../../x", 200, "application/x-x509-ca-ra-cert", ""},
		"head of caps":        {"HEAD", "?operation=GetCACaps", 200, "text/plain", ""},
		"head of CA":          {"HEAD", "/pkiclient.exe?operation=GetCACert", 200, "application/x-x509-ca-ra-cert", ""},
		"head of operation":   {"HEAD", "?operation=PKIOperation&message=AAAA", 405, text, "GET, POST"},
		"chain":               {"GET", "?operation=GetCACertChain", 404, text, ""},
		"chain by pkiclient":  {"GET", "/pkiclient.exe?operation=GetCACertChain", 404, text, ""},
		"operation in lower":  {"GET", "?operation=getcacaps", 404, text, ""},
		"no operation":        {"POST", "", 404, text, ""},
		"other program":       {"GET", "/pkiclient.dll?operation=GetCACaps", 404, text, ""},
		"put":                 {"PUT", "?operation=PKIOperation", 405, text, "GET, HEAD, POST"},
		"delete":              {"DELETE", "/pkiclient.exe", 405, text, "GET, HEAD, POST"},
		"options":             {"OPTIONS", "", 405, text, "GET, HEAD, POST"},
		"post without a body": {"POST", "?operation=PKIOperation", 400, text, ""},
	} {
		status, h, body := s.ask(c.method, "/scep/device-identity"+c.path, nil, nil)
		if status != c.status || h.Get("Content-Type") != c.kind || h.Get("Allow") != c.allow {
			t.Errorf("%s: got %d %q, Allow %q, want %d %q %q", name, status, h.Get("Content-Type"), h.Get("Allow"), c.status, c.kind, c.allow)
		}
		if c.method == "HEAD" && body != "" {
			t.Errorf("%s: it has a body", name)
		}
	}
	_, _, caps := s.ask("GET", "/scep/device-identity?operation=GetCACaps", nil, nil)
	if strings.Contains(caps, "\r") || !slices.Contains(strings.Split(caps, "\n"), "AES") {
		t.Errorf("caps: %q", caps)
	}
}
