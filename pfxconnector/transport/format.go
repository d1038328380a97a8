package transport

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math/big"
)

// maxFile bounds a file with a key; one of 4096 bits takes 4 KiB.
const maxFile = 16 << 10

// What a CNG blob begins with.
//
// Spec: Windows SDK bcrypt.h, BCRYPT_RSAKEY_BLOB
const (
	cngPublic  = 0x31415352 // "RSA1"
	cngPrivate = 0x33415352 // "RSA3", RSAFULLPRIVATEBLOB
	cngHeader  = 24
)

// PEM gives the public half as Export-IntunePublicKey -FileFormat PEM does.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		panic("transport: an RSA key that cannot be encoded") // there is none
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// CNG gives the public half as an RSAPUBLICBLOB.
func (k Key) CNG() []byte {
	e, n := big.NewInt(int64(k.Public.E)).Bytes(), k.Public.N.Bytes()
	blob := make([]byte, 0, cngHeader+len(e)+len(n))
	for _, v := range []int{cngPublic, k.Public.N.BitLen(), len(e), len(n), 0, 0} {
		blob = binary.LittleEndian.AppendUint32(blob, uint32(v))
	}
	return append(append(blob, e...), n...)
}

// ParsePublic reads an RSA public key as Export-IntunePublicKey writes it: PEM or
// an RSAPUBLICBLOB. A private key is refused: it is not to leave its machine.
// ErrPublicFormat, ErrBits.
func ParsePublic(file []byte) (*rsa.PublicKey, error) {
	if len(file) > maxFile {
		return nil, ErrPublicFormat
	}
	key, err := parsePublic(file)
	switch {
	case err != nil:
		return nil, err
	case !sized(key.N.BitLen()) || key.E < 3 || key.E > 1<<31-1 || key.E%2 == 0:
		return nil, ErrBits
	}
	return key, nil
}

func parsePublic(file []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return parsePublicCNG(file)
	}
	if block.Type == "PUBLIC KEY" {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if k, is := key.(*rsa.PublicKey); is {
				return k, nil
			}
		}
	}
	return nil, ErrPublicFormat
}

func parsePublicCNG(blob []byte) (*rsa.PublicKey, error) {
	var h struct{ Magic, Bits, Exponent, Modulus, P, Q uint32 }
	if len(blob) < cngHeader {
		return nil, ErrPublicFormat
	}
	if _, err := binary.Decode(blob, binary.LittleEndian, &h); err != nil || h.Magic != cngPublic ||
		h.Exponent == 0 || h.Exponent > 4 || h.Modulus > 512 || len(blob) != int(cngHeader+h.Exponent+h.Modulus) {
		return nil, ErrPublicFormat
	}
	e, n := blob[cngHeader:cngHeader+h.Exponent], blob[cngHeader+h.Exponent:]
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

// ParsePrivate reads an RSA private key: PEM, PKCS#8 or PKCS#1, or an
// RSAFULLPRIVATEBLOB. ErrFormat, ErrPublic, ErrBits.
func ParsePrivate(file []byte) (*rsa.PrivateKey, error) {
	if len(file) > maxFile {
		return nil, ErrFormat
	}
	key, err := parse(file)
	switch {
	case err != nil:
		return nil, err
	case !sized(key.N.BitLen()) || key.E > 1<<31-1:
		return nil, ErrBits
	}
	if err := key.Validate(); err != nil {
		return nil, ErrFormat.With(err)
	}
	return key, nil
}

func parse(file []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return parseCNG(file)
	}
	defer clear(block.Bytes)
	switch block.Type {
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, ErrPublic
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, ErrFormat
		}
		return key, nil
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if k, is := key.(*rsa.PrivateKey); err == nil && is {
			return k, nil
		}
	}
	return nil, ErrFormat
}

// parseCNG reads an RSAFULLPRIVATEBLOB: exponent, modulus, the two primes, what
// follows from them, and the private exponent.
func parseCNG(blob []byte) (*rsa.PrivateKey, error) {
	if len(blob) < cngHeader {
		return nil, ErrFormat
	}
	var h struct{ Magic, Bits, Exponent, Modulus, P, Q uint32 }
	if _, err := binary.Decode(blob, binary.LittleEndian, &h); err != nil || h.Magic != cngPublic && h.Magic != cngPrivate {
		return nil, ErrFormat
	}
	if h.Magic == cngPublic {
		return nil, ErrPublic
	}
	if h.Exponent == 0 || h.Exponent > 4 || h.Modulus > 512 || h.P > h.Modulus || h.Q > h.Modulus {
		return nil, ErrFormat
	}
	rest := bytes.NewBuffer(blob[cngHeader:])
	if want := h.Exponent + 2*h.Modulus + 3*h.P + 2*h.Q; rest.Len() != int(want) {
		return nil, ErrFormat
	}
	next := func(n uint32) *big.Int { return new(big.Int).SetBytes(rest.Next(int(n))) }
	e, n, p, q := next(h.Exponent), next(h.Modulus), next(h.P), next(h.Q)
	rest.Next(int(2*h.P + h.Q)) // dP, dQ and qInv, which are worked out anew
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}, D: next(h.Modulus), Primes: []*big.Int{p, q}}, nil
}
