package phone

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/asn1"
	"fmt"
	"slices"
)

// Spec: RFC 5083 section 2.1
type authEnvelopeASN1 struct {
	Version         int
	Originator      asn1.RawValue   `asn1:"optional,tag:0"`
	Recipients      []asn1.RawValue `asn1:"set"`
	Content         encryptedContentASN1
	Attributes      asn1.RawValue `asn1:"optional,tag:1"`
	MAC             []byte
	Unauthenticated asn1.RawValue `asn1:"optional,tag:2"`
}

func parseAuthEnvelope(b []byte) (*envelope, error) {
	var raw authEnvelopeASN1
	if err := unmarshal(b, &raw, ""); err != nil {
		return nil, fmt.Errorf("CMS AuthEnvelopedData: %w", err)
	}
	e, err := newEnvelope(raw.Recipients, raw.Content)
	if err != nil {
		return nil, err
	}
	e.mac = raw.MAC
	if len(raw.Attributes.FullBytes) > 0 {
		e.attributes, err = sortedSet(raw.Attributes.Bytes)
	}
	return e, err
}

// sortedSet writes what came as a SET OF again in DER, under the universal tag:
// that is what was authenticated.
// Spec: RFC 5083 section 2.2
func sortedSet(members []byte) ([]byte, error) {
	var all [][]byte
	for rest := members; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return nil, fmt.Errorf("CMS authAttrs: %w", err)
		}
		all = append(all, v.FullBytes)
	}
	slices.SortFunc(all, bytes.Compare)
	return tlv(0x31, all...), nil
}

var (
	oidGCM128 = oid{2, 16, 840, 1, 101, 3, 4, 1, 6}
	oidGCM192 = oid{2, 16, 840, 1, 101, 3, 4, 1, 26}
	oidGCM256 = oid{2, 16, 840, 1, 101, 3, 4, 1, 46}
)

// gcmKey gives the key size in bytes, 0 for other ciphers.
func gcmKey(id oid) int {
	switch {
	case id.Equal(oidGCM128):
		return 16
	case id.Equal(oidGCM192):
		return 24
	case id.Equal(oidGCM256):
		return 32
	}
	return 0
}

// decryptGCM checks and decrypts the content of an AuthEnvelopedData.
// Stricter: a nonce has the 12 bytes everybody gives it.
// Spec: RFC 5084 section 3.2
func (e *envelope) decryptGCM(cek []byte) ([]byte, error) {
	if n := gcmKey(e.cipher.ID); n == 0 || n != len(cek) {
		return nil, fmt.Errorf("authenticated encryption %v with a key of %d bytes", e.cipher.ID, len(cek))
	}
	var p struct {
		Nonce []byte
		MAC   int `asn1:"optional,default:12"`
	}
	if err := unmarshal(e.cipher.Params.FullBytes, &p, ""); err != nil {
		return nil, fmt.Errorf("GCM parameters: %w", err)
	}
	if p.MAC != len(e.mac) {
		return nil, fmt.Errorf("a MAC of %d bytes, want %d", len(e.mac), p.MAC)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithTagSize(block, len(e.mac))
	if err != nil {
		return nil, err
	}
	if len(p.Nonce) != gcm.NonceSize() {
		return nil, fmt.Errorf("a nonce of %d bytes", len(p.Nonce))
	}
	return gcm.Open(nil, p.Nonce, slices.Concat(e.text, e.mac), e.attributes)
}
