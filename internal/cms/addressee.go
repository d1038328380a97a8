package cms

import "crypto/x509"

// Addressee tells to which of the certificates an envelope of that many bytes at
// most is encrypted: its index, or -1. Nothing is decrypted.
func Addressee(ber []byte, maxBytes int, certs ...*x509.Certificate) int {
	env, err := parseEnvelope(ber, Policy{Allow3DES: true, AllowDES: true, MaxBytes: maxBytes})
	if err != nil {
		return -1
	}
	for i, c := range certs {
		if _, found := env.find(c); found {
			return i
		}
	}
	return -1
}
