package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/cert"
)

// Request is what a certificate shall say.
type Request struct {
	Kind   Kind
	Names  Names
	Key    crypto.PublicKey
	Life   time.Duration // 0: the longest of its kind; never beyond the CA's own end
	Policy string        // dotted OID of the organisation's own policy; may be empty

	Usage    x509.KeyUsage // besides what its kind is for, of what that allows
	Extended []string      // extended key usages besides those of its kind, dotted OIDs
	Keys     Keys          // which keys it is made for, of those that certificates are made for at all
	NoCRL    bool          // leave out where revocations are published; not for mail
	NoAIA    bool          // leave out where the CA is found
}

// Keys is a choice of keys. Where nothing is said, whatever is good is right.
type Keys struct {
	Types          []string // rsa, ec
	RSAMin, RSAMax int      // bits
	Curves         []string // P-256, P-384
}

// Prepared is a certificate that kept all rules and is not signed yet.
type Prepared struct {
	Draft *x509.Certificate // as it will be, but without a signature

	issuer    *Issuer
	kind      Kind
	algorithm []byte // DER of the signature algorithm
	spent     atomic.Bool
}

// backdate is how far before now a certificate begins, for clocks that are
// behind.
const backdate = 5 * time.Minute

// Serial is the number that it will have.
func (p *Prepared) Serial() cert.Serial { return cert.SerialOf(p.Draft.SerialNumber) }

// Shard is the list on which it will stand when it is revoked; empty for the
// whole list.
func (p *Prepared) Shard() string {
	if !forms[p.kind].public || len(p.Draft.CRLDistributionPoints) == 0 {
		return ""
	}
	return p.issuer.Shard(p.Serial())
}

// TBS is the bytes that will be signed.
func (p *Prepared) TBS() []byte { return p.Draft.RawTBSCertificate }

// Prepare builds a certificate and holds it against the rules; the first one
// that it breaks comes back as a [*BrokenRule]. Nothing is signed with the
// CA's key.
func (i *Issuer) Prepare(r Request, now time.Time) (*Prepared, error) {
	d, algorithm, err := i.draft(r, now)
	if err != nil {
		return nil, err
	}
	return &Prepared{Draft: d.c, issuer: i, kind: r.Kind, algorithm: algorithm}, check(d)
}

// Rehearse tells what Prepare would say of r for some good key: a
// [*BrokenRule], or why it cannot be built. It needs no key of the CA, and
// ignores the one in r.
func (p *Public) Rehearse(r Request, now time.Time) error {
	key, err := someKey() // RSA fits every kind
	if err != nil {
		return fmt.Errorf("ca: rehearsing %s: %w", r.Kind, err)
	}
	r.Key, r.Keys = key.Public(), Keys{}
	d, _, err := p.draft(r, now)
	if err != nil {
		return err
	}
	return check(d)
}

// draft builds what is to be signed, and gives its signature algorithm apart.
func (p *Public) draft(r Request, now time.Time) (draft, []byte, error) {
	f, known := forms[r.Kind]
	if !known {
		return draft{}, nil, fmt.Errorf("ca: there is no kind of certificate %q", r.Kind)
	}
	template, err := p.template(r, f, now)
	if err != nil {
		return draft{}, nil, fmt.Errorf("ca: preparing %s: %w", r.Kind, err)
	}
	tbs, err := write(template, p.cert, r.Key)
	if err != nil {
		return draft{}, nil, fmt.Errorf("ca: building %s: %w", r.Kind, err)
	}
	c, algorithm, err := drafted(tbs)
	if err != nil {
		return draft{}, nil, fmt.Errorf("ca: reading the draft of %s: %w", r.Kind, err)
	}
	return draft{c, p.cert, f, r.Kind, r.Keys, now}, algorithm, nil
}

func (p *Public) template(r Request, f form, now time.Time) (*x509.Certificate, error) {
	t, err := template(r, f, now)
	if err != nil {
		return nil, err
	}
	t.NotAfter = earlier(t.NotAfter, p.cert.NotAfter)
	if t.NotBefore.Before(p.cert.NotBefore) { // another CA signed ours a moment ago
		t.NotBefore = p.cert.NotBefore
	}
	shard := ""
	if f.public {
		shard = p.Shard(cert.SerialOf(t.SerialNumber))
	}
	if p.urls.CRL != "" && !r.NoCRL {
		t.CRLDistributionPoints = []string{p.urls.listURL(shard)}
	}
	if p.urls.Certificate != "" && !r.NoAIA {
		t.IssuingCertificateURL = []string{p.urls.Certificate}
	}
	if p.urls.OCSP != "" && !r.NoAIA && f.public { // the responder knows no others
		t.OCSPServer = []string{p.urls.OCSP}
	}
	return t, nil
}

// template is what does not depend on the issuer.
func template(r Request, f form, now time.Time) (*x509.Certificate, error) {
	keyID, err := cryptoutil.GenerateSubjectKeyID(r.Key)
	if err != nil {
		return nil, err
	}
	name, err := r.Names.DN().Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding the subject: %w", err)
	}
	life := r.Life
	if life == 0 {
		life = f.maxLife
	}
	begin := now.Add(-backdate).UTC().Truncate(time.Second)
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		RawSubject:            name,
		NotBefore:             begin,
		NotAfter:              begin.Add(life - time.Second), // the last second counts
		KeyUsage:              f.usageOf(r.Key) | r.Usage,
		ExtKeyUsage:           f.extended,
		BasicConstraintsValid: f.isCA,
		IsCA:                  f.isCA,
		MaxPathLenZero:        f.isCA && r.Kind != Root,
		SubjectKeyId:          keyID,

		PermittedEmailAddresses: r.Names.Permitted, PermittedDNSDomainsCritical: len(r.Names.Permitted) > 0,
	}
	if r.Kind == OCSPSigner {
		t.ExtraExtensions = append(t.ExtraExtensions, noCheck)
	}
	if !r.Names.none() {
		names, err := r.Names.altNames()
		if err != nil {
			return nil, fmt.Errorf("encoding names: %w", err)
		}
		t.ExtraExtensions = append(t.ExtraExtensions, names)
	}
	for _, text := range r.Extended {
		oid, err := x509.ParseOID(text)
		if err != nil {
			return nil, fmt.Errorf("extended key usage: %w", err)
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, numbers(oid))
	}
	if r.Policy != "" {
		policy, err := x509.ParseOID(r.Policy)
		if err != nil {
			return nil, fmt.Errorf("policy OID: %w", err)
		}
		t.Policies = []x509.OID{policy}
	}
	return t, nil
}

// numbers gives an OID in the form that extended key usages want.
func numbers(oid x509.OID) (n asn1.ObjectIdentifier) {
	for part := range strings.SplitSeq(oid.String(), ".") {
		v, err := strconv.Atoi(part)
		if err != nil {
			return nil // no usage has such numbers, and nil cannot be encoded
		}
		n = append(n, v)
	}
	return n
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// newSerial gives 16 random bytes, positive and of full length.
//
// Spec: CA/Browser Forum S/MIME BR 7.1
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = 1 + b[0]%0x7f
	return new(big.Int).SetBytes(b)
}

// write gives what is to be signed for a certificate below parent.
func write(template, parent *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	captured := &captor{of: parent.PublicKey}
	if _, err := x509.CreateCertificate(rand.Reader, template, parent, pub, captured); !errors.Is(err, errCaptured) {
		return nil, err
	}
	return captured.tbs, nil
}

// selfIssued gives the draft of a certificate that is its own parent, and its
// signature algorithm.
func selfIssued(template *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, []byte, error) {
	parent := *template
	parent.PublicKey = pub
	tbs, err := write(template, &parent, pub)
	if err != nil {
		return nil, nil, err
	}
	return drafted(tbs)
}

// errCaptured ends the building of a certificate before anything is signed.
var errCaptured = errors.New("ca: captured")

// captor stands for the key of a CA while a certificate is built: it keeps what
// is to be signed, and signs nothing.
type captor struct {
	of  crypto.PublicKey
	tbs []byte
}

// Public implements [crypto.Signer].
func (c *captor) Public() crypto.PublicKey { return c.of }

// Sign implements [crypto.Signer].
func (c *captor) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("ca: there is no digest to sign yet")
}

// SignMessage implements [crypto.MessageSigner].
func (c *captor) SignMessage(_ io.Reader, tbs []byte, _ crypto.SignerOpts) ([]byte, error) {
	c.tbs = bytes.Clone(tbs)
	return nil, errCaptured
}

// someKey is a good key for certificates that are never issued.
var someKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// drafted reads what is to be signed as the certificate that it will be, and
// gives its signature algorithm apart.
func drafted(tbs []byte) (*x509.Certificate, []byte, error) {
	outer := cryptobyte.String(tbs)
	var body, algorithm cryptobyte.String
	if !outer.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) ||
		!body.SkipASN1(cbasn1.INTEGER) || !body.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, nil, errors.New("not a certificate")
	}
	c, err := assemble(tbs, algorithm, nil)
	return c, algorithm, err
}
