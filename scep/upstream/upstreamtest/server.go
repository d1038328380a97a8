// Package upstreamtest is a double of other people's certification authorities
// behind SCEP, on loopback: strict as NDES and EJBCA are, and able to
// misbehave. It reads messages with the library of step-ca and scepserver, so
// that ours does not judge itself.
package upstreamtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smallstep/scep"

	"github.com/signet-mdm/signet/internal/cms"
)

// Scene is how the server behaves; the zero one is right.
type Scene struct {
	Caps     string                                                 // in place of the right ones
	Pending  int                                                    // answers each request this often that it is undecided
	Refuse   bool                                                   // what a person there decides
	Certify  func(*x509.Certificate)                                // changes what will be issued
	Key      crypto.PublicKey                                       // is certified in place of the right one
	Reply    func(status string, a []cms.Attribute) []cms.Attribute // changes a reply
	Envelope func([]byte) []byte                                    // changes what a reply holds
	Stranger bool                                                   // signs replies with a key of nobody
	Other    bool                                                   // issues by a CA of the same name
	HTTP     func(http.ResponseWriter, *http.Request) bool          // answers in place of the server; true: did
}

// Server is the running double.
type Server struct {
	*Authority
	*httptest.Server

	mu     sync.Mutex
	scene  Scene
	codes  map[string]time.Time // challenges and their end; nil map: none is wanted
	asked  []string             // operations
	issued []*x509.Certificate
	known  map[scep.TransactionID]*waiting
	NDES   NDES
}

// waiting is a transaction: a request, and what was decided about it. Who asks
// for it must have the key that sent it.
type waiting struct {
	*scep.CSRReqMessage
	client  *x509.Certificate
	asked   int
	refused bool
	cert    *x509.Certificate
}

// Start runs a double until Close. It wants a challenge from [Server.Code] or
// from its administrator's page.
func Start() *Server {
	s := &Server{Authority: newAuthority(), codes: map[string]time.Time{}, known: map[scep.TransactionID]*waiting{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/scep", s.serve)
	mux.HandleFunc("/certsrv/mscep_admin/", s.admin)
	s.Server = httptest.NewServer(mux)
	return s
}

// Address is that of the SCEP service.
func (s *Server) Address() string { return s.URL + "/scep" }

// Play changes how the server behaves from now on.
func (s *Server) Play(scene Scene) { s.mu.Lock(); defer s.mu.Unlock(); s.scene = scene }

// Code makes a challenge good, once, as EJBCA's enrollment codes are.
func (s *Server) Code(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = time.Now().Add(time.Hour)
}

// Open takes requests without a challenge, whatever is in them.
func (s *Server) Open() { s.mu.Lock(); defer s.mu.Unlock(); s.codes = nil }

// Issued is all certificates that were made.
func (s *Server) Issued() []*x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.issued)
}

// Asked is the operations that were asked for.
func (s *Server) Asked() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.asked) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	operation := r.URL.Query().Get("operation")
	s.asked = append(s.asked, operation)
	if s.scene.HTTP != nil && s.scene.HTTP(w, r) {
		return
	}
	switch {
	case operation == "GetCACaps":
		caps := s.scene.Caps
		if caps == "" {
			caps = "POSTPKIOperation\r\nRenewal\r\nSHA-512\r\nSHA-256\r\nSHA-1\r\nDES3\r\nAES"
		}
		w.Write([]byte(caps))
	case operation == "GetCACert":
		bag, err := cms.CertsOnly(s.RA, s.CA, s.Root)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/x-x509-ca-ra-cert")
		w.Write(bag)
	case operation == "PKIOperation" && r.Method == http.MethodPost:
		s.operate(w, r)
	default:
		http.Error(w, "no such operation", http.StatusBadRequest)
	}
}

func (s *Server) operate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "no body", http.StatusBadRequest)
		return
	}
	signed, err := cms.Verify(body, cms.Accept{})
	if err != nil {
		http.Error(w, "no signature", http.StatusBadRequest)
		return
	}
	m, err := s.open(body, signed)
	if err != nil {
		http.Error(w, "no message", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-pki-message")
	w.Write(s.answer(m, signed.Signer))
}

// open reads a message. The library reads no CertPoll.
func (s *Server) open(body []byte, signed *cms.Signed) (*scep.PKIMessage, error) {
	var kind, transaction string
	var nonce []byte
	if err := errors.Join(signed.Attribute(oid(2), &kind), signed.Attribute(oid(7), &transaction), signed.Attribute(oid(5), &nonce)); err != nil {
		return nil, err
	}
	if kind != "20" {
		m, err := scep.ParsePKIMessage(body)
		if err != nil {
			return nil, err
		}
		return m, m.DecryptPKIEnvelope(s.RA, s.raKey)
	}
	plain, err := cms.Decrypt(signed.Content, s.RA, s.raKey, cms.Policy{})
	if err != nil {
		return nil, err
	}
	var named struct{ Issuer, Subject asn1.RawValue }
	if rest, err := asn1.Unmarshal(plain, &named); err != nil || len(rest) > 0 {
		return nil, errors.New("no IssuerAndSubject")
	}
	m := &scep.PKIMessage{TransactionID: scep.TransactionID(transaction), MessageType: scep.MessageType(kind), SenderNonce: nonce}
	if w := s.known[m.TransactionID]; w != nil && string(named.Issuer.FullBytes) == string(s.CA.RawSubject) &&
		string(named.Subject.FullBytes) == string(w.CSR.RawSubject) && string(w.client.RawSubjectPublicKeyInfo) == string(signed.Signer.RawSubjectPublicKeyInfo) {
		m.CSRReqMessage = w.CSRReqMessage
	}
	return m, nil
}

// answer takes a request, once for a challenge, or says what became of one.
func (s *Server) answer(m *scep.PKIMessage, client *x509.Certificate) []byte {
	csr := m.CSRReqMessage
	switch {
	case m.MessageType == scep.PKCSReq && csr != nil && csr.CSR != nil && csr.CSR.CheckSignature() == nil && s.spend(csr.ChallengePassword):
		s.known[m.TransactionID] = &waiting{CSRReqMessage: csr, client: client}
	case m.MessageType != scep.CertPoll || csr == nil:
		return s.reply(m, nil, "2")
	}
	w := s.known[m.TransactionID]
	if w.cert == nil && !w.refused {
		if w.asked++; w.asked <= s.scene.Pending {
			return s.reply(m, nil, "3")
		}
		if w.refused = s.scene.Refuse; !w.refused {
			w.cert = s.certify(w.CSR)
		}
	}
	if w.refused {
		return s.reply(m, nil, "2")
	}
	bag, err := cms.CertsOnly(w.cert)
	if err != nil {
		panic(err)
	}
	envelope, err := cms.Encrypt(bag, client, cms.AES128CBC)
	if err != nil {
		panic(err)
	}
	return s.reply(m, envelope, "0")
}

// spend takes a challenge once and before its end.
func (s *Server) spend(code string) bool {
	if s.codes == nil {
		return true
	}
	end, known := s.codes[code]
	delete(s.codes, code)
	return known && time.Now().Before(end)
}

func (s *Server) reply(m *scep.PKIMessage, envelope []byte, status string) []byte {
	if s.scene.Envelope != nil && envelope != nil {
		envelope = s.scene.Envelope(envelope)
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	attrs := []cms.Attribute{
		{Type: oid(2), Value: "3"}, {Type: oid(3), Value: status}, {Type: oid(5), Value: nonce},
		{Type: oid(6), Value: []byte(m.SenderNonce)}, {Type: oid(7), Value: string(m.TransactionID)},
	}
	if status == "2" {
		attrs = append(attrs, cms.Attribute{Type: oid(4), Value: "2"})
	}
	if s.scene.Reply != nil {
		attrs = s.scene.Reply(status, attrs)
	}
	by := cms.Signer{Certificate: s.RA, Key: s.raKey}
	if s.scene.Stranger {
		by = cms.Signer{Certificate: s.stranger, Key: s.otherKey}
	}
	der, err := cms.Sign(envelope, by, attrs...)
	if err != nil {
		panic(err)
	}
	return der
}

func oid(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

// certify copies the names of a request, and its key usage where it is that of
// an RA, as the general purpose template of NDES does.
func (s *Server) certify(r *x509.CertificateRequest) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: serial(), RawSubject: r.RawSubject, EmailAddresses: r.EmailAddresses, URIs: r.URIs, DNSNames: r.DNSNames,
		NotBefore: time.Now().Add(-10 * time.Minute), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	if strings.Contains(r.Subject.CommonName, " RA") {
		t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, nil
	}
	if s.scene.Certify != nil {
		s.scene.Certify(t)
	}
	key := r.PublicKey
	if s.scene.Key != nil {
		key = s.scene.Key
	}
	signer, parent := s.caKey, *s.CA
	if s.scene.Other {
		signer, parent.PublicKey = s.otherKey, s.otherKey.Public()
	}
	c := sign(t, &parent, key, signer)
	s.issued = append(s.issued, c)
	return c
}

// Authority is a CA below a root, with an RA.
type Authority struct {
	Root, CA, RA *x509.Certificate

	caKey, raKey, otherKey *rsa.PrivateKey
	stranger               *x509.Certificate
}

// keys are made once: that takes long.
var keys = sync.OnceValue(func() (list [3]*rsa.PrivateKey) {
	for i := range list {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		list[i] = k
	}
	return list
})

func newAuthority() *Authority {
	k := keys()
	a := &Authority{caKey: k[0], raKey: k[1], otherKey: k[2]}
	root := template("Example Corporate Root", x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	a.Root = sign(root, root, k[2].Public(), k[2])
	a.CA = sign(template("Example Corporate CA", x509.KeyUsageCertSign|x509.KeyUsageCRLSign), a.Root, k[0].Public(), k[2])
	a.RA = sign(template("Example Corporate RA", x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment), a.CA, k[1].Public(), k[0])
	self := template("Example Corporate RA", x509.KeyUsageDigitalSignature)
	a.stranger = sign(self, self, k[2].Public(), k[2])
	return a
}

// Chain is the CA and its root.
func (a *Authority) Chain() []*x509.Certificate { return []*x509.Certificate{a.CA, a.Root} }

func template(name string, usage x509.KeyUsage) *x509.Certificate {
	isCA := usage&x509.KeyUsageCertSign != 0
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}, IsCA: isCA, BasicConstraintsValid: isCA,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: usage,
	}
}

func sign(t, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, by)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

func serial() *big.Int {
	b := make([]byte, 12)
	rand.Read(b)
	b[0] = 1
	return new(big.Int).SetBytes(b)
}

// Person gives what somebody else has from the CA, to be sent mail with.
func (a *Authority) Person(key crypto.PublicKey) *x509.Certificate {
	t := template("Mallory", x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	return sign(t, a.CA, key, a.caKey)
}

// Certify gives an RA's certificate, as the server's administrator would.
func (a *Authority) Certify(key crypto.PublicKey, name string) *x509.Certificate {
	return sign(template(name, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment), a.CA, key, a.caKey)
}
