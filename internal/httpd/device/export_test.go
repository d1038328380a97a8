package device

import "crypto/x509"

// SignerOf opens the reading of Mdm-Signature to fuzzing.
func SignerOf(header string, body []byte) (*x509.Certificate, error) {
	p, err := readProof(header)
	if err != nil {
		return nil, err
	}
	if err := p.covers(body); err != nil {
		return nil, err
	}
	return p.certificate, nil
}

// PlaceOf opens the guess about browsers to tests.
var PlaceOf = placeOf
