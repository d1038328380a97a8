package phone

import (
	"crypto"
	"encoding/base64"
	"fmt"
)

// SignatureShape says how Mdm-Signature is written. The zero value is what
// iPhones send: BER with indefinite lengths, SHA-1, no signed attributes, the
// signer's certificate included. Other MDM clients differ.
type SignatureShape struct {
	Hash       crypto.Hash // 0 is SHA-1
	DER        bool
	Attributes bool // contentType, signingTime, messageDigest
	Bare       bool // no certificate
}

// sign gives the value of the Mdm-Signature header for a body.
// Spec: Apple MDM, SignMessage
func (p *Phone) sign(id *Identity, body []byte) (string, error) {
	shape := p.cfg.Signature
	if shape.Hash == 0 {
		shape.Hash = crypto.SHA1
	}
	s := signing{
		cert: id.Certificate, key: id.Key, hash: shape.Hash,
		detached: true, indefinite: !shape.DER, bare: shape.Bare,
	}
	if shape.Attributes {
		s.attributes = usual(s.hash, body, p.cfg.Now())
	}
	b, err := s.write(p.cfg.Rand, body)
	if err != nil {
		return "", fmt.Errorf("Mdm-Signature: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b), nil
}
