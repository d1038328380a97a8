package phone

import (
	"context"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SCEPRequest says what to ask a SCEP server for: the settings of a SCEP
// payload, and some freedom for tests of the server.
type SCEPRequest struct {
	URL           string
	Name          string // the CA's label, sent as message of the GETs
	Challenge     string
	Subject       [][][]string // RDNs of pairs of type and value
	SAN           SAN
	Keysize       int // default 1024, as Apple's
	KeyUsage      int // 1 signing, 4 encryption, 5 both
	CAFingerprint []byte
	Retries       int           // CertPolls while PENDING
	RetryDelay    time.Duration // between them; the first comes at once

	// Key is used in place of a new one.
	Key *rsa.PrivateKey
	// Signer signs the messages in place of a temporary self-signed
	// certificate.
	Signer *Identity
	// MessageType replaces 19, PKCSReq.
	MessageType string
	// Tamper may change the finished certificate request.
	Tamper func(csr []byte) []byte
	// TransactionID replaces the one derived from the key.
	TransactionID string
	// Ready is called when a message is finished, before it is sent.
	Ready func()

	fallbackName string // common name without Subject
}

// SAN are the subject alternative names a SCEP payload can ask for.
type SAN struct {
	Emails, DNSNames, URIs []string
	UPN                    string
}

// SCEPFailure is what a SCEP server answered in place of a certificate. A real
// phone shows none of it.
type SCEPFailure struct {
	FailInfo string // "2" and so on, RFC 8894 section 3.2.1.4.5
	Text     string // failInfoText
	Pending  bool   // still PENDING after the last retry
}

func (e *SCEPFailure) Error() string {
	if e.Pending {
		return "the SCEP request is still pending"
	}
	return fmt.Sprintf("the SCEP server refused: failInfo %.8q %.200q", e.FailInfo, e.Text)
}

// SCEP gets a certificate outside any profile; the identity is returned and
// not kept.
func (p *Phone) SCEP(ctx context.Context, r SCEPRequest) (*Identity, error) {
	p.op.Lock()
	defer p.op.Unlock()
	if r.fallbackName == "" {
		r.fallbackName = uuidOf(p.cfg.Rand)
	}
	return p.enrollCertificate(ctx, r)
}

// transaction is one SCEP enrollment under way.
type transaction struct {
	phone *Phone
	req   SCEPRequest
	caps  caps
	ca    *authority
	key   *rsa.PrivateKey
	self  signing // who signs the messages and decrypts the replies
	id    string
}

// enrollCertificate is the whole of SCEP.
func (p *Phone) enrollCertificate(ctx context.Context, r SCEPRequest) (*Identity, error) {
	t := &transaction{phone: p, req: r}
	if err := t.ask(ctx); err != nil {
		return nil, err
	}
	if err := t.makeKey(); err != nil {
		return nil, err
	}
	request, err := csr(p.cfg.Rand, t.key, t.caps.hash, r)
	if err != nil {
		return nil, scepErr(22011, err, "The certificate request could not be made.")
	}
	if r.Tamper != nil {
		request = r.Tamper(request)
	}
	kind := "19"
	if r.MessageType != "" {
		kind = r.MessageType
	}
	cert, err := t.operation(ctx, kind, request)
	for try := 0; err == errPending && try < r.Retries; try++ {
		if try > 0 {
			if err := p.cfg.Sleep(ctx, r.RetryDelay); err != nil {
				return nil, err
			}
		}
		cert, err = t.operation(ctx, "20", tlv(0x30, t.ca.ca.RawSubject, subjectOf(request)))
	}
	if err != nil {
		return nil, err
	}
	return &Identity{Certificate: cert, Key: t.key, Chain: issuers(cert, t.ca.all), Kind: "scep"}, nil
}

// subjectOf gives the raw subject of a certificate request.
func subjectOf(request []byte) []byte {
	c, err := x509.ParseCertificateRequest(request)
	if err != nil { // only after Tamper
		return tlv(0x30)
	}
	return c.RawSubject
}

// ask sends the two GETs.
func (t *transaction) ask(ctx context.Context) error {
	a, err := t.get(ctx, "GetCACaps", t.req.Name)
	if err != nil {
		return err
	}
	if t.caps, err = readCaps(a.body); err != nil {
		return err
	}
	if a, err = t.get(ctx, "GetCACert", t.req.Name); err != nil {
		return err
	}
	t.ca, err = readAuthority(a.contentType(), a.body, t.req.CAFingerprint, t.phone.cfg.Now())
	return err
}

// get sends a GET. Apple's tool resolves the query against the URL, so a query
// the URL already had is lost.
func (t *transaction) get(ctx context.Context, operation, message string) (*answer, error) {
	return t.call(ctx, http.MethodGet, "operation="+operation+"&message="+t.escape(message), nil)
}

// escape writes a query value.
// Quirk: iOS 11 leaves '+' as it is, so that it arrives as a space.
func (t *transaction) escape(s string) string {
	s = url.QueryEscape(s)
	if !t.phone.os.atLeast(version{12, 0}) {
		s = strings.ReplaceAll(s, "%2B", "+")
	}
	return s
}

func (t *transaction) call(ctx context.Context, method, query string, body []byte) (*answer, error) {
	u, err := url.Parse(t.req.URL)
	if err != nil || u.Host == "" {
		return nil, scepErr(22005, nil, "The SCEP server's URL is invalid.")
	}
	u.RawQuery = query
	h := http.Header{"User-Agent": {"profiled"}}
	if body != nil {
		h.Set("Content-Type", "application/x-pki-message")
	}
	a, err := fetch(ctx, t.phone.net, method, u.String(), h, body)
	if err != nil {
		return nil, scepErr(22005, err, "The SCEP server could not be reached.")
	}
	if a.status != http.StatusOK {
		return nil, scepErr(22013, a.failed(), "The SCEP server returned an invalid response.")
	}
	return a, nil
}

// makeKey makes the key pair and the temporary identity.
func (t *transaction) makeKey() error {
	size := t.req.Keysize
	switch size {
	case 0:
		size = 1024
	case 1024, 2048, 4096:
	default:
		return scepErr(22001, nil, "The key size %d is not supported.", size)
	}
	t.key = t.req.Key
	if t.key == nil {
		var err error
		if t.key, err = t.phone.cfg.Keys.take(size); err != nil {
			return scepErr(22001, err, "The key pair could not be made.")
		}
	}
	digest := sha1.Sum(x509.MarshalPKCS1PublicKey(&t.key.PublicKey))
	t.id = strings.ToUpper(hex.EncodeToString(digest[:]))
	if t.req.TransactionID != "" {
		t.id = t.req.TransactionID
	}
	return t.makeSigner()
}

// makeSigner makes the self-signed certificate that signs the request, valid a
// year, named by a random UUID.
func (t *transaction) makeSigner() error {
	t.self = signing{key: t.key, hash: t.caps.hash, indefinite: true}
	if id := t.req.Signer; id != nil {
		t.self.cert, t.self.key, t.self.extra = id.Certificate, id.Key, id.Chain
		return nil
	}
	now := t.phone.cfg.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: uuidOf(t.phone.cfg.Rand)},
		NotBefore:    now.Add(-time.Minute), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	raw, err := x509.CreateCertificate(t.phone.cfg.Rand, template, template, &t.key.PublicKey, t.key)
	if err == nil {
		t.self.cert, err = x509.ParseCertificate(raw)
	}
	if err != nil {
		return scepErr(22009, err, "The temporary identity could not be made.")
	}
	return nil
}

// operation sends one pkiMessage and gives the certificate, errPending, or why
// there is none.
// Spec: RFC 8894 section 3
func (t *transaction) operation(ctx context.Context, kind string, data []byte) (*x509.Certificate, error) {
	rand := t.phone.cfg.Rand
	sealed, err := seal(rand, t.ca.recipient, data, t.caps.cipher(), true)
	if err != nil {
		return nil, scepErr(22011, err, "The request could not be encrypted.")
	}
	nonce := random(rand, 16)
	s := t.self
	s.attributes = append(usual(s.hash, sealed, t.phone.cfg.Now()),
		attribute{oidMessageType, tlv(0x13, []byte(kind))},
		attribute{oidSenderNonce, tlv(0x04, nonce)},
		attribute{oidTransactionID, tlv(0x13, []byte(t.id))})
	message, err := s.write(rand, sealed)
	if err != nil {
		return nil, scepErr(22011, err, "The request could not be signed.")
	}
	if t.req.Ready != nil {
		t.req.Ready()
	}
	var a *answer
	if t.caps.post {
		a, err = t.call(ctx, http.MethodPost, "operation=PKIOperation", message)
	} else {
		a, err = t.get(ctx, "PKIOperation", base64.StdEncoding.EncodeToString(message))
	}
	if err != nil {
		return nil, err
	}
	return t.readReply(a, nonce)
}
