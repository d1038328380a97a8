package phone_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

// trusting gives a phone that trusts the server without any profile.
func (s *server) trusting(cfg phone.Config) *phone.Phone {
	cfg.HTTP = s.Client()
	return s.phone(cfg)
}

func (s *server) request() phone.SCEPRequest {
	return phone.SCEPRequest{URL: s.URL + "/scep", Challenge: "SECRET", Keysize: 2048, KeyUsage: 1, Subject: [][][]string{{{"CN", "Alice"}}}}
}

func TestSCEP(t *testing.T) {
	s := newServer(t)
	s.scep.challenge = "SECRET"
	p := s.trusting(phone.Config{})
	r := s.request()
	r.SAN = phone.SAN{Emails: []string{"alice@example.com", "a.example@example.com"}, UPN: "alice@example.com", DNSNames: []string{"example.com"}}
	r.Subject = [][][]string{{{"C", "DE"}}, {{"CN", "Alice Müller"}}, {{"EMAIL", "alice@example.com"}}, {{"1.2.5.3", "x"}}}
	sum := sha256.Sum256(s.auth.root.Raw)
	r.CAFingerprint = sum[:]
	id, err := p.SCEP(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(id.Chain) != 2 || !id.Chain[0].Equal(s.auth.ca) {
		t.Errorf("got a chain of %d, want CA and root", len(id.Chain))
	}
	if pub, ok := id.Certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(id.Key.Public()) {
		t.Error("key and certificate do not match")
	}

	got := s.scep.requests[0]
	if got.method != http.MethodPost || got.rawQuery != "operation=PKIOperation" || got.challenge != "SECRET" {
		t.Errorf("got %s %s with challenge %q", got.method, got.rawQuery, got.challenge)
	}
	csr := got.csr
	if csr.SignatureAlgorithm != x509.SHA512WithRSA {
		t.Errorf("CSR signature: got %v, want SHA-512 as the best that was offered", csr.SignatureAlgorithm)
	}
	for what, want := range map[string]string{"PrintableString": "\x13\x02DE", "UTF8String": "\x0c\x0dAlice Müller", "IA5String": "\x16\x11alice@"} {
		if !bytes.Contains(csr.RawSubject, []byte(want)) {
			t.Errorf("subject: no %s as wanted in %x", what, csr.RawSubject)
		}
	}
	if len(csr.EmailAddresses) != 2 || len(csr.DNSNames) != 1 {
		t.Errorf("SAN: got %v %v", csr.EmailAddresses, csr.DNSNames)
	}
	if e := csr.Extensions; len(e) != 2 || e[0].Id.String() != "2.5.29.17" || e[1].Id.String() != "2.5.29.15" || !e[1].Critical || !bytes.Equal(e[1].Value, []byte{3, 2, 7, 0x80}) {
		t.Errorf("extensions: got %v, want SAN and then a critical digitalSignature", e)
	}
}

// The message itself is checked by OpenSSL and by pkcs7.
func TestSCEPMessage(t *testing.T) {
	judge.Need(t, "openssl")
	s := newServer(t)
	p := s.trusting(phone.Config{})
	r := s.request()
	r.KeyUsage, r.Subject = 0, nil
	id, err := p.SCEP(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	raw := s.scep.requests[0].raw
	if raw[1] != 0x80 {
		t.Error("the message is DER, Apple writes BER")
	}
	p7, err := pkcs7.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha1.Sum(x509.MarshalPKCS1PublicKey(p7.GetOnlySigner().PublicKey.(*rsa.PublicKey)))
	var transaction string
	if err := p7.UnmarshalSignedAttribute(oidTransactionID, &transaction); err != nil || transaction != strings.ToUpper(hex.EncodeToString(digest[:])) {
		t.Errorf("transactionID: got %q, %v, want %X", transaction, err, digest)
	}
	var nonce []byte
	if err := p7.UnmarshalSignedAttribute(oidSenderNonce, &nonce); err != nil || len(nonce) != 16 {
		t.Errorf("senderNonce: got %d octets, %v, want 16", len(nonce), err)
	}
	if c := p7.GetOnlySigner(); !bytes.Equal(c.RawIssuer, c.RawSubject) || c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment {
		t.Errorf("temporary signer: got %v with key usage %b", c.Subject, c.KeyUsage)
	}
	if len(s.scep.requests[0].csr.Extensions) != 0 {
		t.Error("extensions without any being asked for")
	}
	dir := t.TempDir()
	message := filepath.Join(dir, "message")
	if err := os.WriteFile(message, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	inner := judge.Run(t, nil, "openssl", "cms", "-verify", "-inform", "DER", "-in", message, "-noverify", "-binary")
	plain := judge.Run(t, inner, "openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", keyPEM(t, s.auth.raKey, s.auth.ra), "-binary")
	if out := judge.Run(t, plain, "openssl", "req", "-inform", "DER", "-noout", "-verify", "-text"); !bytes.Contains(out, []byte("SECRET")) {
		t.Errorf("openssl does not see the challenge:\n%s", out)
	}
	if id.Certificate.Subject.CommonName == "" {
		t.Error("no fallback for the common name")
	}
}

func TestSCEPCaps(t *testing.T) {
	for name, c := range map[string]struct {
		caps      string
		aes, post bool
		hash      crypto.Hash
		fails     bool
	}{
		"all":              {"AES\nPOSTPKIOperation\nSHA-256\nSHA-512", true, true, crypto.SHA512, false},
		"trailing newline": {"SHA-256\nAES\n", true, false, crypto.SHA256, false},
		"CRLF":             {"AES\r\nPOSTPKIOperation\r\nSHA-256", false, false, crypto.SHA256, false},
		"CRLF everywhere":  {"AES\r\nSHA-256\r\n", false, false, 0, true},
		"standard alone":   {"SCEPStandard\n", false, false, 0, true},
		"standard and SHA": {"SCEPStandard\nSHA-256\n", false, false, crypto.SHA256, false},
		"lower case":       {"aes\nsha-256\nSHA-1", false, false, crypto.SHA1, false},
		"SHA-384":          {"SHA-384", false, false, 0, true},
		"not ASCII":        {"SHA-256\nÄES", false, false, 0, true},
		"empty":            {"", false, false, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			aes, post, hash, err := phone.ReadCaps([]byte(c.caps))
			if (err != nil) != c.fails {
				t.Fatalf("got %v, want failure %v", err, c.fails)
			}
			if err == nil && (aes != c.aes || post != c.post || hash != c.hash) {
				t.Errorf("got %v %v %v, want %v %v %v", aes, post, hash, c.aes, c.post, c.hash)
			}
		})
	}
}

func TestSCEPOverGET(t *testing.T) {
	for name, c := range map[string]struct {
		os    string
		plain bool // '+' stays
	}{"iOS 18": {"18.2", false}, "iOS 11": {"11.4", true}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.scep.caps = "SHA-256"
			p := s.trusting(phone.Config{OSVersion: c.os})
			_, err := p.SCEP(t.Context(), s.request())
			if c.plain { // Go's server reads '+' as a space, as the form encoding has it
				if err == nil {
					t.Error("the test server accepted a base64 with spaces")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := s.scep.requests[0]
			if got.method != http.MethodGet || strings.Contains(got.rawQuery, "+") {
				t.Errorf("got %s %.80s", got.method, got.rawQuery)
			}
			p7, err := pkcs7.Parse(got.raw)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(p7.Content, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07}) {
				t.Error("without AES the envelope is not 3DES")
			}
		})
	}
}

func TestSCEPRefusals(t *testing.T) {
	a := newAuthority()
	ec := ecKey(t, elliptic.P256())
	ecRA := certify("EC RA", ec, a.ca, a.caKey)
	signOnly := certify("Sign RA", a.rootKey, a.ca, a.caKey, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	decryptOnly := certify("Decrypt RA", a.raKey, a.ca, a.caKey, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	strangeRA := certify("RA of nobody", a.raKey, certify("Other CA", a.rootKey, nil, a.rootKey), a.rootKey)
	expired := certify("Expired RA", a.raKey, a.ca, a.caKey, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	selfRA := certify("Self", a.raKey, nil, a.raKey)
	list := func(c ...*x509.Certificate) []*x509.Certificate { return c }
	for name, c := range map[string]struct {
		mood func(*scepMood)
		req  func(*phone.SCEPRequest)
		want string // "" when it must work
	}{
		"well":                        {func(*scepMood) {}, nil, ""},
		"query in the URL is dropped": {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.URL += "?tenant=1" }, ""},
		"no SHA keyword":              {func(m *scepMood) { m.caps = "AES\nPOSTPKIOperation" }, nil, "22006"},
		"charset on the certificates": {func(m *scepMood) { m.caType = "application/x-x509-ca-ra-cert; charset=utf-8" }, nil, "22002"},
		"CA and root without RA":      {func(m *scepMood) { m.caCerts = list(a.ca, a.root) }, nil, "-67731"},
		"RA without its CA":           {func(m *scepMood) { m.caCerts = list(a.ra, a.root) }, nil, "-67731"},
		"RA of another CA":            {func(m *scepMood) { m.caCerts = list(strangeRA, a.ca, a.root) }, nil, "-67731"},
		"expired RA":                  {func(m *scepMood) { m.caCerts = list(expired, a.ca, a.root) }, nil, "-67731"},
		"EC RA":                       {func(m *scepMood) { m.caCerts = list(ecRA, a.ca, a.root) }, nil, "22003"},
		"two RAs": {func(m *scepMood) {
			m.caCerts = list(a.ra, signOnly, decryptOnly, a.ca, a.root)
			m.signer, m.signerKey, m.recipient = signOnly, a.rootKey, decryptOnly
		}, nil, ""},
		"signing RA alone":      {func(m *scepMood) { m.caCerts = list(signOnly, a.ca, a.root) }, nil, "-67731"},
		"one CA certificate":    {func(m *scepMood) { m.caType, m.caCerts = "application/x-x509-ca-cert", list(a.ra) }, nil, ""},
		"self-signed, no chain": {func(m *scepMood) { m.caCerts = list(selfRA) }, nil, "-67731"},
		"reply as octets":       {func(m *scepMood) { m.replyType = "application/octet-stream" }, nil, "22013"},
		"reply with charset":    {func(m *scepMood) { m.replyType = "application/x-pki-message; charset=utf-8" }, nil, "22013"},
		"signed by the CA":      {func(m *scepMood) { m.signer, m.signerKey = a.ca, a.caKey }, nil, "someone other"},
		"forged RA":             {func(m *scepMood) { m.signer, m.signerKey = forged(a), a.rootKey }, nil, "not the one of GetCACert"},
		"messageType as UTF8":   {func(m *scepMood) { m.utf8 = true }, nil, "PrintableString"},
		"other transaction":     {func(m *scepMood) { m.transaction = "1" }, nil, "transactionID"},
		"other nonce":           {func(m *scepMood) { m.nonce = make([]byte, 16) }, nil, "recipientNonce"},
		"unknown status":        {func(m *scepMood) { m.status = "1" }, nil, "pkiStatus"},
		"FAILURE":               {func(m *scepMood) { m.status = "2" }, nil, "failInfo"},
		"wrong challenge":       {func(m *scepMood) { m.challenge = "OTHER" }, nil, "failInfo"},
		"two certificates":      {func(m *scepMood) { m.two = true }, nil, "2200"},
		"certificate of others": {func(m *scepMood) { m.otherKey = true }, nil, "22008"},
		"fingerprint of others": {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.CAFingerprint = make([]byte, 32) }, "fingerprint"},
		"fingerprint too short": {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.CAFingerprint = make([]byte, 8) }, "fingerprint"},
		"SHA-1 fingerprint": {func(*scepMood) {}, func(r *phone.SCEPRequest) {
			sum := sha1.Sum(a.ca.Raw)
			r.CAFingerprint = sum[:]
		}, ""},
		"pair of three":       {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.Subject = [][][]string{{{"CN", "a", "b"}}} }, "22011"},
		"unknown shortcut":    {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.Subject = [][][]string{{{"XX", "a"}}} }, "22011"},
		"SAN not ASCII":       {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.SAN.Emails = []string{"müller@example.com"} }, "ASCII"},
		"SAN of eleven":       {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.SAN.DNSNames = strings.Split(strings.Repeat("a,", 10)+"b", ",") }, "at most 10"},
		"strange key size":    {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.Keysize = 3072 }, "22001"},
		"default of 1024 bit": {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.Keysize = 0 }, ""},
		"no URL":              {func(*scepMood) {}, func(r *phone.SCEPRequest) { r.URL = "scep" }, "22005"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			c.mood(&s.scep)
			r := s.request()
			if c.req != nil {
				c.req(&r)
			}
			_, err := s.trusting(phone.Config{}).SCEP(t.Context(), r)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// forged has the RA's issuer and serial number, and another key.
func forged(a *authority) *x509.Certificate {
	return certify("Test RA", a.rootKey, a.ca, a.caKey, func(c *x509.Certificate) { c.SerialNumber = a.ra.SerialNumber })
}

func TestSCEPPending(t *testing.T) {
	for name, c := range map[string]struct {
		pending, retries int
		waits            int
		ok               bool
	}{
		"granted at the first poll": {1, 3, 0, true},
		"granted at the third":      {3, 3, 2, true},
		"never":                     {9, 3, 2, false},
		"no retries":                {1, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.scep.pending = c.pending
			waits := 0
			p := s.trusting(phone.Config{Sleep: func(_ context.Context, d time.Duration) error {
				if d != 7*time.Second {
					t.Errorf("waits %v, want the RetryDelay", d)
				}
				waits++
				return nil
			}})
			r := s.request()
			r.Retries, r.RetryDelay = c.retries, 7*time.Second
			_, err := p.SCEP(t.Context(), r)
			failure, _ := errors.AsType[*phone.SCEPFailure](err)
			if (err == nil) != c.ok || err != nil && (failure == nil || !failure.Pending) || waits != c.waits {
				t.Errorf("got %v after %d waits, want %v after %d", err, waits, c.ok, c.waits)
			}
			for i, r := range s.scep.requests {
				if want := map[bool]string{true: "19", false: "20"}[i == 0]; r.kind != want {
					t.Errorf("message %d: got type %s, want %s", i, r.kind, want)
				}
			}
		})
	}
}

// For tests of a server the request can be bent.
func TestSCEPProbes(t *testing.T) {
	s := newServer(t)
	p := s.trusting(phone.Config{})
	first, err := p.SCEP(t.Context(), s.request())
	if err != nil {
		t.Fatal(err)
	}
	r := s.request()
	r.Signer, r.TransactionID = first, "MINE"
	if _, err := p.SCEP(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(s.scep.requests[1].raw)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if err := p7.UnmarshalSignedAttribute(asn1.ObjectIdentifier(oidTransactionID), &id); err != nil || id != "MINE" {
		t.Errorf("transactionID: got %q, %v", id, err)
	}
	if !p7.GetOnlySigner().Equal(first.Certificate) || len(p7.Certificates) != 3 {
		t.Errorf("signed by %v with %d certificates, want the identity and its chain", p7.GetOnlySigner().Subject, len(p7.Certificates))
	}
	r.Tamper = func(csr []byte) []byte { csr[len(csr)-1] ^= 1; return csr }
	if _, err := p.SCEP(t.Context(), r); err == nil {
		t.Error("a broken CSR got a certificate")
	}
}
