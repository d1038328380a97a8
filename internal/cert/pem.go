package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
)

// PEM writes certificates one after the other, as programs read chains.
//
// Spec: RFC 7468 section 5
func PEM(chain ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range chain {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes()
}
