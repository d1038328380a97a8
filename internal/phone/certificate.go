package phone

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
)

// certificate installs one certificate.
// Spec: Apple, com.apple.security.root, .pkcs1, .pem
func (in *installation) certificate(_ context.Context, d dict, item *Payload) error {
	c, err := readCertificate(d)
	if err != nil {
		return certErr(9005, err, "The certificate %q is malformed.", item.Identifier)
	}
	item.Certificate = c
	return nil
}

// readCertificate reads the one certificate of a certificate payload, nil for
// payloads of other types.
func readCertificate(d dict) (*x509.Certificate, error) {
	der := d.data("PayloadContent")
	switch d.str("PayloadType") {
	case "com.apple.security.root", "com.apple.security.pkcs1":
	case "com.apple.security.pem":
		block, rest := pem.Decode(der)
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, certErr(9005, nil, "The payload must hold one PEM certificate.")
		}
		der = block.Bytes
	default:
		return nil, nil
	}
	return x509.ParseCertificate(der)
}
