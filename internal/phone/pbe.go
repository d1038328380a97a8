package phone

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/rc4"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

var (
	oidPBES2    = oid{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2   = oid{1, 2, 840, 113549, 1, 5, 12}
	oidPBES1    = oid{1, 2, 840, 113549, 1, 12, 1} // prefix of the PKCS #12 schemes
	errPassword = &Error{domainStatus, -25293, "errSecAuthFailed", nil}
	errDecode   = &Error{domainStatus, -26275, "errSecDecode", nil}
)

// maxIterations keeps a file from occupying the phone for minutes.
// Stricter: Apple has no limit.
const maxIterations = 1_000_000

// password holds both ways a PKCS #12 password is written.
type password struct {
	utf8 string
	bmp  []byte // UTF-16, big endian, with a closing zero
}

// newPassword writes a password. The empty one becomes two zero bytes.
func newPassword(s string) password {
	p := password{utf8: s}
	for _, u := range utf16.Encode([]rune(s)) {
		p.bmp = binary.BigEndian.AppendUint16(p.bmp, u)
	}
	p.bmp = append(p.bmp, 0, 0)
	return p
}

// derive is the key derivation of PKCS #12; id is 1 for keys, 2 for IVs, 3 for
// MAC keys.
// Spec: RFC 7292 appendix B.2
func (p password) derive(h crypto.Hash, id byte, salt []byte, iterations, size int) []byte {
	v := h.New().BlockSize()
	input := append(fill(salt, v), fill(p.bmp, v)...)
	var out []byte
	for {
		a := sum(h, append(bytes.Repeat([]byte{id}, v), input...))
		for range iterations - 1 {
			a = sum(h, a)
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size]
		}
		b := fill(a, v)[:v]
		for i := 0; i < len(input); i += v {
			addOne(input[i:i+v], b)
		}
	}
}

// fill repeats b to a whole number of blocks.
func fill(b []byte, block int) []byte {
	if len(b) == 0 {
		return nil
	}
	n := (len(b) + block - 1) / block * block
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

// addOne sets x to x + y + 1, modulo the size of both.
func addOne(x, y []byte) {
	carry := 1
	for i := len(x) - 1; i >= 0; i-- {
		carry += int(x[i]) + int(y[i])
		x[i], carry = byte(carry), carry>>8
	}
}

// decryptPBE decrypts by password with what this iOS version knows.
func decryptPBE(alg algorithmASN1, text []byte, pw password, os version) ([]byte, error) {
	switch {
	case len(alg.ID) == len(oidPBES1)+1 && alg.ID[:len(oidPBES1)].Equal(oidPBES1):
		return decryptPBES1(alg, text, pw)
	case alg.ID.Equal(oidPBES2) && os.atLeast(version{18, 0}):
		return decryptPBES2(alg, text, pw)
	}
	return nil, fmt.Errorf("iOS %d opens no file encrypted with %v", os[0], alg.ID)
}

// decryptPBES1 knows the PKCS #12 schemes but the one with two-key 3DES.
// Spec: RFC 7292 appendix C
func decryptPBES1(alg algorithmASN1, text []byte, pw password) ([]byte, error) {
	var p struct {
		Salt       []byte
		Iterations int
	}
	if err := unmarshal(alg.Params.FullBytes, &p, ""); err != nil {
		return nil, err
	}
	if p.Iterations < 1 || p.Iterations > maxIterations {
		return nil, fmt.Errorf("%d iterations", p.Iterations)
	}
	key := func(n int) []byte { return pw.derive(crypto.SHA1, 1, p.Salt, p.Iterations, n) }
	var block cipher.Block
	var err error
	switch alg.ID[len(alg.ID)-1] {
	case 1:
		return decryptRC4(key(16), text)
	case 2:
		return decryptRC4(key(5), text)
	case 3:
		block, err = des.NewTripleDESCipher(key(24))
	case 5:
		block, err = newRC2(key(16), 128)
	case 6:
		block, err = newRC2(key(5), 40)
	default:
		return nil, fmt.Errorf("scheme %v", alg.ID)
	}
	if err != nil {
		return nil, err
	}
	return decryptCBC(block, pw.derive(crypto.SHA1, 2, p.Salt, p.Iterations, 8), text)
}

func decryptRC4(key, text []byte) ([]byte, error) {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(text))
	c.XORKeyStream(out, text)
	return out, nil
}

type pbes2ASN1 struct {
	KDF, Cipher algorithmASN1
}

type pbkdf2ASN1 struct {
	Salt       []byte
	Iterations int
	KeyLength  int `asn1:"optional"`
	PRF        algorithmASN1
}

// decryptPBES2 is wired to AES-256-CBC and HMAC-SHA-256 whatever the
// parameters name; the PRF must be there, with NULL.
// Quirk: Apple reads salt, iterations and IV only, so AES-128 or another PRF
// ends as a wrong password.
func decryptPBES2(alg algorithmASN1, text []byte, pw password) ([]byte, error) {
	var p pbes2ASN1
	var k pbkdf2ASN1
	var iv []byte
	if err := errors.Join(unmarshal(alg.Params.FullBytes, &p, ""), unmarshal(p.Cipher.Params.FullBytes, &iv, "")); err != nil {
		return nil, err
	}
	if !p.KDF.ID.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("key derivation %v", p.KDF.ID)
	}
	if err := unmarshal(p.KDF.Params.FullBytes, &k, ""); err != nil {
		return nil, err
	}
	if !bytes.Equal(k.PRF.Params.FullBytes, []byte{5, 0}) {
		return nil, errors.New("the PRF of PBKDF2 lacks its NULL")
	}
	if k.Iterations < 1 || k.Iterations > maxIterations {
		return nil, fmt.Errorf("%d iterations", k.Iterations)
	}
	key, err := pbkdf2.Key(sha256.New, pw.utf8, k.Salt, k.Iterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return decryptCBC(block, iv, text)
}
