package profile

import (
	"crypto/x509"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
)

// Root installs one CA certificate.
//
// Spec: Apple, com.apple.security.root
type Root struct {
	Common
	Certificate []byte `plist:"PayloadContent"` // DER
	FileName    string `plist:"PayloadCertificateFileName,omitempty"`
}

// Type is com.apple.security.root.
func (*Root) Type() string { return "com.apple.security.root" }

// Head gives the common keys.
func (r *Root) Head() *Common { return &r.Common }

func (r *Root) check(refs) error {
	if _, err := x509.ParseCertificate(r.Certificate); err != nil {
		return fmt.Errorf("PayloadContent is no certificate: %w", ErrInvalid)
	}
	return nil
}

func (r *Root) wire() any {
	return struct {
		kind
		*Root
	}{kindOf(r), r}
}

// SCEP lets the device make an RSA key and get a certificate for it. The
// Challenge comes late, from whoever may issue one.
//
// Spec: Apple, com.apple.security.scep
type SCEP struct {
	Common
	URL           string       // http or https
	Name          string       // of the CA, sent with GetCACert; may be empty
	Subject       [][][]string // RDNs of pairs: {{{"C","US"}},{{"CN","x"}}}
	AltNames      AltNames
	Challenge     seal.Secret `json:"-"`
	Profile       string      `json:",omitempty"` // certificate profile, for whoever fills in URL and Challenge; the device does not get it
	KeySize       int         // 2048 or 4096
	KeyUsage      KeyUsage
	CAFingerprint []byte // digest of the CA certificate; may be empty
	Retries       int    // on PENDING; 0: the device's default
	RetryDelay    int    // seconds; 0: the device's default
}

// KeyUsage says what the key is for.
type KeyUsage int

// The usages. The MDM identity is for both: it must also decrypt what is
// sealed to it.
const (
	SigningKey    KeyUsage = 1
	EncryptionKey KeyUsage = 4
	DualKey       KeyUsage = 5
)

// AltNames are the alternative names the device is to ask for. What the
// certificate says is the CA's to decide.
type AltNames struct {
	Email, DNS, URI []string
	UPN             string
}

// Type is com.apple.security.scep.
func (*SCEP) Type() string { return "com.apple.security.scep" }

// Head gives the common keys.
func (s *SCEP) Head() *Common { return &s.Common }

func (s *SCEP) check(refs) error {
	for _, rdn := range s.Subject {
		for _, pair := range rdn {
			if len(pair) != 2 {
				return fmt.Errorf("key Subject holds no pair: %w", ErrInvalid)
			}
		}
	}
	if err := first(
		webURL("URL", s.URL, "http", "https"),
		oneOf("Keysize", s.KeySize, 2048, 4096),
		oneOf("Key Usage", s.KeyUsage, SigningKey, EncryptionKey, DualKey),
		oneOf("length of CAFingerprint", len(s.CAFingerprint), 0, 16, 20, 32),
	); err != nil {
		return err
	}
	if s.Challenge.Empty() {
		return fmt.Errorf("key Challenge: %w", ErrIncomplete)
	}
	return nil
}

// scepContent is the dictionary inside the payload; the names have spaces.
type scepContent struct {
	URL            string
	Name           string `plist:",omitempty"`
	Subject        [][][]string
	Challenge      string
	KeyType        string `plist:"Key Type"`
	KeySize        int    `plist:"Keysize"`
	KeyUsage       int    `plist:"Key Usage"`
	CAFingerprint  []byte `plist:",omitempty"`
	Retries        int    `plist:",omitempty"`
	RetryDelay     int    `plist:",omitempty"`
	SubjectAltName any    `plist:",omitempty"`
}

func (s *SCEP) wire() any {
	return struct {
		kind
		Common
		PayloadContent scepContent
	}{kindOf(s), s.Common, scepContent{
		URL: s.URL, Name: s.Name, Subject: s.Subject, Challenge: s.Challenge.RevealString(),
		KeyType: "RSA", KeySize: s.KeySize, KeyUsage: int(s.KeyUsage), CAFingerprint: s.CAFingerprint,
		Retries: s.Retries, RetryDelay: s.RetryDelay, SubjectAltName: s.AltNames.wire(),
	}}
}

func (a AltNames) wire() any {
	out := map[string]any{}
	for key, names := range map[string][]string{"rfc822Name": a.Email, "dNSName": a.DNS, "uniformResourceIdentifier": a.URI} {
		switch len(names) {
		case 0:
		case 1:
			out[key] = names[0]
		default:
			out[key] = names
		}
	}
	if a.UPN != "" {
		out["ntPrincipalName"] = a.UPN
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// PKCS12 installs one identity. A planner lays it out by Fingerprint; Content
// and Password come late, from whoever holds the key.
//
// Spec: Apple, com.apple.security.pkcs12
type PKCS12 struct {
	Common
	Fingerprint cert.Fingerprint `plist:"-"`                       // of the certificate; stays with us
	Content     []byte           `plist:"PayloadContent" json:"-"` // the .p12, exactly one identity
	Password    seal.Secret      `plist:"-" json:"-"`              // an MDM install cannot ask for it
	FileName    string           `plist:"PayloadCertificateFileName,omitempty"`
}

// Type is com.apple.security.pkcs12.
func (*PKCS12) Type() string { return "com.apple.security.pkcs12" }

// Head gives the common keys.
func (p *PKCS12) Head() *Common { return &p.Common }

func (p *PKCS12) check(refs) error {
	if len(p.Content) == 0 || p.Password.Empty() {
		return fmt.Errorf("keys PayloadContent and Password: %w", ErrIncomplete)
	}
	return nil
}

func (p *PKCS12) wire() any {
	return struct {
		kind
		*PKCS12
		Password string
	}{kindOf(p), p, p.Password.RevealString()}
}
