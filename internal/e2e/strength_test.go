package e2e

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/phone"
)

// weak are the encoded identifiers of algorithms that nothing we send may name.
var weak = map[string]string{
	"DES":            "06052b0e030207",
	"triple DES":     "06082a864886f70d0307",
	"RC2":            "06082a864886f70d0302",
	"RC4":            "06082a864886f70d0304",
	"MD5":            "06082a864886f70d0205",
	"MD5 with RSA":   "06092a864886f70d010104",
	"SHA-1":          "06052b0e03021a",
	"SHA-1 with RSA": "06092a864886f70d010105",
	"ECDSA SHA-1":    "06072a8648ce3d0401",
	"PKCS #12 PBE":   "060a2a864886f70d010c01",
}

// aes256 is how a sealed profile names its cipher, AES-256-CBC.
var aes256 = []byte("\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a")

// listener keeps what a server answers.
type listener struct {
	http.RoundTripper
	mu     sync.Mutex
	bodies map[string][][]byte // by path
}

// RoundTrip implements [http.RoundTripper].
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	l.mu.Lock()
	l.bodies[r.URL.Path] = append(l.bodies[r.URL.Path], body)
	l.mu.Unlock()
	return resp, nil
}

// Nothing that a phone is sent until it has everything names a weak algorithm
// or has a short key, nor do the lists and certificates that are published, an
// OCSP answer and what SCEP says of the next CA; and no TLS is spoken that is
// older than 1.2, or without forward secrecy. What is sealed inside is held to
// the same by the tests of PKCS #12, with triple DES for iOS 17 and before as
// the one exception.
func TestNothingWeakIsSent(t *testing.T) {
	t.Parallel()
	k := &issuing{workshop: workshop{bin: build(t), dir: t.TempDir()}, t: t}
	k.must(k.make())
	s := k.add(k.dir + "/data")
	s.env = append(s.env, "SIGNET_ENROLL_AUTH=lab")
	k.serve(s)
	heard := &listener{RoundTripper: insecure().Transport, bodies: map[string][][]byte{}}
	k.install(s, heard)
	for _, path := range []string{"/pki/root.cer", "/pki/smime.cer", "/pki/device.cer", "/pki/root.crl", "/pki/smime.crl", "/pki/device.crl"} {
		resp, err := (&http.Client{Transport: heard}).Get("http://" + s.plain + path)
		k.must(err)
		resp.Body.Close()
	}
	k.questions(s, heard)
	certificates, sealed := 0, 0
	for path, bodies := range heard.bodies {
		for _, body := range bodies {
			for _, part := range append(embedded(body), body) {
				certificates += strong(t, path, part)
				sealed += bytes.Count(part, aes256)
			}
		}
	}
	t.Logf("%d addresses, %d certificates, %d envelopes", len(heard.bodies), certificates, sealed)
	if certificates < 10 || sealed < 5 || len(heard.bodies["/mdm/connect"]) < 5 {
		t.Error("too little was heard to mean anything")
	}
	refusesOldTLS(t, s.tls)
}

// questions asks about a certificate by OCSP, and for the next CA.
func (k *issuing) questions(s *issuer, heard *listener) {
	k.t.Helper()
	c := k.command("ca", "rollover", "start", "smime")
	c.Env = append(c.Env, s.env...)
	k.must(c.Run())
	k.until("the next CA is announced", func() bool {
		resp, err := (&http.Client{Transport: heard}).Get("http://" + s.plain + "/scep/smime-signing?operation=GetNextCACert")
		k.must(err)
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	challenge, err := k.challenge(k.t.Context())
	k.must(err)
	if k.keys, err = phone.NewSiblings(); err != nil {
		k.t.Fatal(err)
	}
	about, err := k.ask(k.t.Context(), s, challenge, k.keys.Next(), nil)
	k.must(err)
	smime := k.published(heard, "/pki/smime.cer")
	question, err := ocsp.CreateRequest(about, smime, &ocsp.RequestOptions{Hash: crypto.SHA256})
	k.must(err)
	resp, err := (&http.Client{Transport: heard}).Post("http://"+s.plain+"/ocsp/smime", "application/ocsp-request", bytes.NewReader(question))
	k.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	k.must(err)
	if a, err := ocsp.ParseResponse(body, smime); err != nil || a.Status != ocsp.Good {
		k.t.Fatalf("OCSP about %s: %v, %v", about.Subject, a, err)
	}
}

// until waits, a minute at most.
func (k *issuing) until(what string, is func() bool) {
	k.t.Helper()
	for range 600 {
		if is() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.t.Fatalf("still not: %s", what)
}

func (k *issuing) published(heard *listener, path string) *x509.Certificate {
	k.t.Helper()
	c, err := x509.ParseCertificate(heard.bodies[path][0])
	k.must(err)
	return c
}

// install enrolls a phone and lets it poll until it has everything.
func (k *issuing) install(s *issuer, heard *listener) {
	k.t.Helper()
	c := k.command("invite", "alice@example.com", "-o", "json")
	c.Env = append(c.Env, s.env...)
	out, err := c.Output()
	k.must(err)
	var invitation struct{ Link string }
	k.must(json.Unmarshal(out, &invitation))
	jar, err := cookiejar.New(nil)
	k.must(err)
	p := phone.New(phone.Config{Keys: keys(), OSVersion: "18.2", HTTP: &http.Client{Transport: heard, Jar: jar}})
	defer p.Close()
	profile, err := p.Open(k.t.Context(), invitation.Link, "")
	k.must(err)
	k.must(p.Enroll(k.t.Context(), profile))
	for quiet := 0; quiet < 4; quiet++ {
		n, err := p.Poll(k.t.Context())
		k.must(err)
		if n > 0 {
			quiet = 0
		}
		time.Sleep(time.Second)
	}
}

var base64Text = regexp.MustCompile(`[A-Za-z0-9+/=\s]{200,}`)

// embedded gives the data inside of property lists, those in data included.
func embedded(body []byte) (parts [][]byte) {
	for _, text := range base64Text.FindAll(body, -1) {
		data, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
		if err == nil {
			parts = append(append(parts, data), embedded(data)...)
		}
	}
	return parts
}

// strong looks for weak algorithms in DER, and at each certificate, and counts
// those.
func strong(t *testing.T, path string, der []byte) (certificates int) {
	t.Helper()
	for name, id := range weak {
		if pattern, err := hex.DecodeString(id); err != nil || bytes.Contains(der, pattern) {
			t.Errorf("%s sends something with %s, %v", path, name, err)
		}
	}
	for at := 0; ; at++ {
		next := bytes.Index(der[at:], []byte{0x30, 0x82})
		if next < 0 || at+next+4 > len(der) {
			return certificates
		}
		at += next
		end := at + 4 + int(der[at+2])<<8 + int(der[at+3])
		if end > len(der) {
			continue
		}
		c, err := x509.ParseCertificate(der[at:end])
		if err != nil {
			continue
		}
		certificates++
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
			t.Errorf("%s sends a certificate of %s with %d bits", path, c.Subject, key.N.BitLen())
		}
	}
}

func refusesOldTLS(t *testing.T, addr string) {
	t.Helper()
	for name, c := range map[string]*tls.Config{
		"TLS 1.1":    {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"triple DES": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}},
		"RC4":        {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
		"RSA as key": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		c.InsecureSkipVerify = true
		if conn, err := tls.Dial("tcp", addr, c); err == nil {
			conn.Close()
			t.Errorf("the server speaks %s", name)
		}
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
