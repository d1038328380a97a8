package phone_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/groob/plist"
	"github.com/smallstep/pkcs7"

	"github.com/signet-mdm/signet/internal/phone"
)

func init() {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
}

// pool is shared by all tests: RSA keys are slow to make.
var pool = &phone.KeyPool{Reuse: true}

var makeKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var keys []*rsa.PrivateKey
	for range 6 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	pool.Add(keys[3:]...)
	return keys[:3]
})

// authority is a CA with a registration authority below it.
type authority struct {
	rootKey, caKey, raKey *rsa.PrivateKey
	root, ca, ra          *x509.Certificate
}

var newAuthority = sync.OnceValue(func() *authority {
	keys := makeKeys()
	a := &authority{rootKey: keys[0], caKey: keys[1], raKey: keys[2]}
	a.root = certify("Test Root", keys[0], nil, keys[0], func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
	a.ca = certify("Test CA", keys[1], a.root, keys[0], func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
	a.ra = certify("Test RA", keys[2], a.ca, keys[1], func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	})
	return a
})

var serial atomicSerial

type atomicSerial struct {
	mu sync.Mutex
	n  int64
}

func (s *atomicSerial) next() *big.Int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return big.NewInt(1000 + s.n)
}

// certify issues a certificate; parent nil is self-signed.
func certify(name string, key crypto.Signer, parent *x509.Certificate, signer crypto.Signer, shape ...func(*x509.Certificate)) *x509.Certificate {
	return certifyPublic(name, key.Public(), parent, signer, shape...)
}

func certifyPublic(name string, pub crypto.PublicKey, parent *x509.Certificate, signer crypto.Signer, shape ...func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: serial.next(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		panic(err)
	}
	id := sha1.Sum(spki)
	c.SubjectKeyId = id[:]
	for _, f := range shape {
		f(c)
	}
	if parent == nil {
		parent = c
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, pub, signer)
	if err != nil {
		panic(err)
	}
	out, err := x509.ParseCertificate(raw)
	if err != nil {
		panic(err)
	}
	return out
}

// server is the least an MDM server can be: it records what phones say and
// hands out queued commands until each is answered.
type server struct {
	*httptest.Server
	t    *testing.T
	auth *authority
	scep scepMood

	mu       sync.Mutex
	requests []request
	queue    []command
	status   int // answer everything with this status when not 0
	header   http.Header
	body     string
}

type request struct {
	path, contentType, signature string
	body                         []byte
	message                      map[string]any
}

type command struct {
	uuid string
	raw  []byte
}

// newServer starts a server whose TLS certificate comes from its own root.
func newServer(t *testing.T) *server {
	s := &server{t: t, auth: newAuthority()}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /checkin", s.mdm)
	mux.HandleFunc("PUT /mdm", s.mdm)
	mux.HandleFunc("/scep", s.serveSCEP)
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) mdm(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	var m map[string]any
	if err := plist.NewXMLDecoder(bytes.NewReader(body)).Decode(&m); err != nil {
		s.t.Errorf("the phone sent no property list: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request{r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Mdm-Signature"), body, m})
	if s.status != 0 {
		for k, v := range s.header {
			w.Header()[k] = v
		}
		w.WriteHeader(s.status)
		io.WriteString(w, s.body)
		return
	}
	if r.URL.Path != "/mdm" {
		return
	}
	if st := m["Status"]; st == "Acknowledged" || st == "Error" || st == "CommandFormatError" {
		s.queue = slices.DeleteFunc(s.queue, func(c command) bool { return c.uuid == m["CommandUUID"] })
	}
	if len(s.queue) > 0 && m["Status"] != "NotNow" {
		w.Write(s.queue[0].raw)
	}
}

func (s *server) enqueue(c map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", serial.next())
	s.queue = append(s.queue, command{uuid, xml(s.t, map[string]any{"CommandUUID": uuid, "Command": c})})
	return uuid
}

// result is the last thing the phone said about a command.
func (s *server) result(uuid string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(s.requests) {
		if r.message["CommandUUID"] == uuid {
			return r.message
		}
	}
	return nil
}

// do gives the phone one command and returns what it says about it.
func (s *server) do(p *phone.Phone, c map[string]any) map[string]any {
	s.t.Helper()
	uuid := s.enqueue(c)
	if _, err := p.Poll(s.t.Context()); err != nil {
		s.t.Fatalf("poll: %v", err)
	}
	r := s.result(uuid)
	if r == nil {
		s.t.Fatalf("no result for %v", c["RequestType"])
	}
	return r
}

func (s *server) answer(status int) {
	s.mu.Lock()
	s.status = status
	s.mu.Unlock()
}

func (s *server) said(kind string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []request
	for _, r := range s.requests {
		if r.message["MessageType"] == kind || r.message["Status"] == kind {
			out = append(out, r)
		}
	}
	return out
}

func xml(t testing.TB, v any) []byte {
	t.Helper()
	b, err := plist.MarshalIndent(v, " ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// scepMood is how the test CA answers; the zero value is well.
type scepMood struct {
	caps        string
	caType      string
	caCerts     []*x509.Certificate
	replyType   string
	status      string // pkiStatus
	pending     int    // answer PENDING so many times first
	challenge   string // required when not empty
	utf8        bool   // messageType as UTF8String
	nonce       []byte // recipientNonce
	transaction string
	signer      *x509.Certificate
	signerKey   *rsa.PrivateKey
	recipient   *x509.Certificate // to whom requests must be encrypted, with the RA's key
	two         bool              // two certificates in the reply
	otherKey    bool              // certify another key
	email       string

	mu       sync.Mutex
	requests []scepRequest
}

type scepRequest struct {
	raw       []byte
	csr       *x509.CertificateRequest
	kind      string
	method    string
	rawQuery  string
	challenge string
}

func (s *server) serveSCEP(w http.ResponseWriter, r *http.Request) {
	m := &s.scep
	switch r.URL.Query().Get("operation") {
	case "GetCACaps":
		caps := m.caps
		if caps == "" {
			caps = "AES\nPOSTPKIOperation\nSHA-256\nSHA-512\nRenewal\nSCEPStandard"
		}
		io.WriteString(w, caps)
	case "GetCACert":
		s.serveCACert(w)
	case "PKIOperation":
		s.operation(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *server) serveCACert(w http.ResponseWriter) {
	m := &s.scep
	certs, kind := m.caCerts, m.caType
	if certs == nil {
		certs = []*x509.Certificate{s.auth.ra, s.auth.ca, s.auth.root}
	}
	if kind == "" {
		kind = "application/x-x509-ca-ra-cert"
	}
	w.Header()["Content-Type"] = []string{kind}
	if kind == "application/x-x509-ca-cert" {
		w.Write(certs[0].Raw)
		return
	}
	w.Write(degenerate(certs...))
}

func degenerate(certs ...*x509.Certificate) []byte {
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	b, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	oidMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// operation answers a PKIOperation with other people's CMS code.
func (s *server) operation(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if r.Method == http.MethodGet {
		raw, err = base64.StdEncoding.DecodeString(r.URL.Query().Get("message"))
	}
	if err == nil {
		raw, err = s.certRep(raw, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	kind := s.scep.replyType
	if kind == "" {
		kind = "application/x-pki-message"
	}
	w.Header()["Content-Type"] = []string{kind}
	w.Write(raw)
}

func (s *server) certRep(raw []byte, r *http.Request) ([]byte, error) {
	m := &s.scep
	p7, err := pkcs7.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := p7.Verify(); err != nil {
		return nil, err
	}
	var kind, id string
	var nonce []byte
	for oid, out := range map[string]any{"2": &kind, "7": &id, "5": &nonce} {
		n := append(slices.Clone(oidMessageType[:7]), int(oid[0]-'0'))
		if err := p7.UnmarshalSignedAttribute(n, out); err != nil {
			return nil, err
		}
	}
	envelope, err := pkcs7.Parse(p7.Content)
	if err != nil {
		return nil, err
	}
	to := s.auth.ra
	if m.recipient != nil {
		to = m.recipient
	}
	plain, err := envelope.Decrypt(to, s.auth.raKey)
	if err != nil {
		return nil, err
	}
	req := scepRequest{raw: raw, kind: kind, method: r.Method, rawQuery: r.URL.RawQuery}
	if kind == "19" {
		if req.csr, err = x509.ParseCertificateRequest(plain); err != nil {
			return nil, err
		}
		if err := req.csr.CheckSignature(); err != nil {
			return nil, err
		}
		req.challenge = challengeOf(req.csr)
	} else { // a CertPoll is about the last request
		req.csr = m.requests[0].csr
	}
	m.mu.Lock()
	m.requests = append(m.requests, req)
	n := len(m.requests)
	m.mu.Unlock()

	status := "0"
	switch {
	case m.status != "":
		status = m.status
	case n <= m.pending:
		status = "3"
	case m.challenge != "" && req.challenge != m.challenge:
		status = "2"
	}
	var content []byte
	if status == "0" {
		if content, err = s.issue(req.csr, p7.GetOnlySigner()); err != nil {
			return nil, err
		}
	}
	return s.reply(content, status, id, nonce)
}

func challengeOf(csr *x509.CertificateRequest) string {
	var info struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0"`
	}
	if _, err := asn1.Unmarshal(csr.RawTBSCertificateRequest, &info); err != nil {
		return ""
	}
	for _, raw := range info.Attributes {
		var a struct {
			ID     asn1.ObjectIdentifier
			Values []string `asn1:"set"`
		}
		if _, err := asn1.Unmarshal(raw.FullBytes, &a); err == nil && a.ID.String() == "1.2.840.113549.1.9.7" {
			return a.Values[0]
		}
	}
	return ""
}

func (s *server) issue(csr *x509.CertificateRequest, to *x509.Certificate) ([]byte, error) {
	m := &s.scep
	pub := csr.PublicKey
	if m.otherKey {
		pub = s.auth.rootKey.Public()
	}
	cert := certifyPublic(csr.Subject.CommonName, pub, s.auth.ca, s.auth.caKey, func(c *x509.Certificate) {
		if m.email != "" {
			c.EmailAddresses = []string{m.email}
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
			c.KeyUsage = x509.KeyUsageDigitalSignature
		}
	})
	certs := []*x509.Certificate{cert}
	if m.two {
		certs = append(certs, s.auth.ca)
	}
	return pkcs7.Encrypt(degenerate(certs...), []*x509.Certificate{to})
}

func (s *server) reply(content []byte, status, id string, nonce []byte) ([]byte, error) {
	m := &s.scep
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if m.transaction != "" {
		id = m.transaction
	}
	if m.nonce != nil {
		nonce = m.nonce
	}
	var kind any = "3"
	if m.utf8 {
		kind = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("3")}
	}
	attrs := []pkcs7.Attribute{
		{Type: oidMessageType, Value: kind}, {Type: oidPKIStatus, Value: status}, {Type: oidTransactionID, Value: id},
		{Type: oidSenderNonce, Value: make([]byte, 16)}, {Type: oidRecipientNonce, Value: nonce},
	}
	if status == "2" {
		attrs = append(attrs, pkcs7.Attribute{Type: oidFailInfo, Value: "2"})
	}
	signer, key := s.auth.ra, s.auth.raKey
	if m.signer != nil {
		signer, key = m.signer, m.signerKey
	}
	if err := sd.AddSigner(signer, key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attrs}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// uuid makes a stable UUID out of a small number.
func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-9000-%012d", n) }

// payload makes a payload with what every payload has.
func payload(kind string, n int, keys map[string]any) map[string]any {
	d := map[string]any{
		"PayloadType": kind, "PayloadVersion": 1, "PayloadUUID": uuid(n),
		"PayloadIdentifier": fmt.Sprintf("org.example.payload.%d", n),
	}
	for k, v := range keys {
		if v == nil {
			delete(d, k)
		} else {
			d[k] = v
		}
	}
	return d
}

func profile(id string, n int, payloads ...map[string]any) map[string]any {
	list := []any{}
	for _, p := range payloads {
		list = append(list, p)
	}
	return map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": id, "PayloadUUID": uuid(n),
		"PayloadDisplayName": id, "PayloadContent": list,
	}
}

func (s *server) scepPayload(n int, keys map[string]any) map[string]any {
	inner := map[string]any{
		"URL": s.URL + "/scep", "Challenge": "SECRET", "Keysize": 2048, "Key Type": "RSA", "Key Usage": 5,
		"Subject": []any{[]any{[]any{"CN", "device"}}},
	}
	for k, v := range keys {
		inner[k] = v
	}
	return payload("com.apple.security.scep", n, map[string]any{"PayloadContent": inner})
}

const enrollment = "org.example.enroll"

func (s *server) enrollment(keys map[string]any) map[string]any {
	mdm := map[string]any{
		"IdentityCertificateUUID": uuid(2), "Topic": "com.apple.mgmt.External.1", "ServerURL": s.URL + "/mdm",
		"CheckInURL": s.URL + "/checkin", "AccessRights": 7443, "SignMessage": true, "CheckOutWhenRemoved": true,
	}
	for k, v := range keys {
		mdm[k] = v
	}
	return profile(enrollment, 1,
		payload("com.apple.mdm", 3, mdm),
		s.scepPayload(2, nil),
		payload("com.apple.security.root", 4, map[string]any{"PayloadContent": s.Certificate().Raw}))
}

// enrolled gives a phone that is enrolled with s.
func (s *server) enrolled(cfg phone.Config) *phone.Phone {
	s.t.Helper()
	p := s.phone(cfg)
	if err := p.Enroll(s.t.Context(), xml(s.t, s.enrollment(nil))); err != nil {
		s.t.Fatalf("enroll: %v", err)
	}
	return p
}

func (s *server) phone(cfg phone.Config) *phone.Phone {
	makeKeys()
	cfg.Keys = pool
	if cfg.Sleep == nil {
		cfg.Sleep = func(context.Context, time.Duration) error { return nil }
	}
	p := phone.New(cfg)
	s.t.Cleanup(p.Close)
	return p
}

// install sends a profile by MDM and returns the phone's answer.
func (s *server) install(p *phone.Phone, profile []byte) map[string]any {
	s.t.Helper()
	return s.do(p, map[string]any{"RequestType": "InstallProfile", "Payload": profile})
}

// chain gives the texts of an ErrorChain in one string.
func chain(r map[string]any) string {
	out := ""
	list, _ := r["ErrorChain"].([]any)
	for _, v := range list {
		m := v.(map[string]any)
		out += fmt.Sprintf("%v %v: %v\n", m["ErrorDomain"], m["ErrorCode"], m["USEnglishDescription"])
	}
	return out
}
