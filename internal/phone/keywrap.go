package phone

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

// keyWrap encrypts a key with a key.
type keyWrap struct {
	id     oid
	key    int // bytes
	block  func(key []byte) (cipher.Block, error)
	unwrap func(kek cipher.Block, wrapped []byte) ([]byte, error)
}

var keyWraps = []keyWrap{
	{oid{2, 16, 840, 1, 101, 3, 4, 1, 5}, 16, aes.NewCipher, unwrapAES},
	{oid{2, 16, 840, 1, 101, 3, 4, 1, 25}, 24, aes.NewCipher, unwrapAES},
	{oid{2, 16, 840, 1, 101, 3, 4, 1, 45}, 32, aes.NewCipher, unwrapAES},
	{oid{1, 2, 840, 113549, 1, 9, 16, 3, 6}, 24, des.NewTripleDESCipher, unwrap3DES},
}

func keyWrapOf(id oid) *keyWrap {
	for _, w := range keyWraps {
		if w.id.Equal(id) {
			return &w
		}
	}
	return nil
}

var (
	errWrapLength = errors.New("wrapped key of a wrong length")
	errUnwrap     = errors.New("the wrapped key does not open")
)

// Spec: RFC 3394 section 2.2.2
func unwrapAES(kek cipher.Block, wrapped []byte) ([]byte, error) {
	n := len(wrapped)/8 - 1
	if n < 2 || n > 8 || len(wrapped)%8 != 0 {
		return nil, errWrapLength
	}
	r := bytes.Clone(wrapped[8:])
	b := append(bytes.Clone(wrapped[:8]), make([]byte, 8)...) // A | R[i]
	for t := 6 * n; t > 0; t-- {
		ri := r[8*((t-1)%n):][:8]
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^uint64(t))
		copy(b[8:], ri)
		kek.Decrypt(b, b)
		copy(ri, b[8:])
	}
	if subtle.ConstantTimeCompare(b[:8], bytes.Repeat([]byte{0xa6}, 8)) != 1 {
		return nil, errUnwrap
	}
	return r, nil
}

// unwrap3DES also opens keys of other ciphers than 3DES.
// Spec: RFC 3217 section 3.2
func unwrap3DES(kek cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 32 || len(wrapped) > 80 || len(wrapped)%8 != 0 {
		return nil, errWrapLength
	}
	b := bytes.Clone(wrapped)
	cipher.NewCBCDecrypter(kek, []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}).CryptBlocks(b, b)
	slices.Reverse(b)
	iv, b := b[:8], b[8:]
	cipher.NewCBCDecrypter(kek, iv).CryptBlocks(b, b)
	cek, check := b[:len(b)-8], b[len(b)-8:]
	if subtle.ConstantTimeCompare(check, sum(crypto.SHA1, cek)[:8]) != 1 {
		return nil, errUnwrap
	}
	return cek, nil
}
