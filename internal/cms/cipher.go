package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"fmt"
)

// contentCipher opens the content of an envelope with a key of keyLen bytes.
type contentCipher struct {
	keyLen int
	block  func(key []byte) (cipher.Block, error)
	gcm    bool
	weak   func(Policy) bool // allowed by policy only; nil: always
}

var contentCiphers = map[string]contentCipher{
	oidAES128CBC: {keyLen: 16, block: aes.NewCipher},
	oidAES192CBC: {keyLen: 24, block: aes.NewCipher},
	oidAES256CBC: {keyLen: 32, block: aes.NewCipher},
	oidAES128GCM: {keyLen: 16, block: aes.NewCipher, gcm: true},
	oidAES192GCM: {keyLen: 24, block: aes.NewCipher, gcm: true},
	oidAES256GCM: {keyLen: 32, block: aes.NewCipher, gcm: true},
	oid3DES:      {keyLen: 24, block: des.NewTripleDESCipher, weak: func(p Policy) bool { return p.Allow3DES }},
	oidDES:       {keyLen: 8, block: des.NewCipher, weak: func(p Policy) bool { return p.AllowDES }},
}

func (p Policy) contentCipher(oid string) (contentCipher, error) {
	c, known := contentCiphers[oid]
	if !known || c.weak != nil && !c.weak(p) {
		return contentCipher{}, fmt.Errorf("content encryption %s: %w", dotted(oid), ErrAlgorithm)
	}
	return c, nil
}

// openCBC decrypts and unpads. Bad padding and no padding look alike.
func (c contentCipher) openCBC(key, iv, sealed []byte) ([]byte, bool) {
	block, err := c.block(key)
	if err != nil {
		return nil, false
	}
	size := block.BlockSize()
	if len(iv) != size || len(sealed) == 0 || len(sealed)%size != 0 {
		return nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	return unpad(plain, size)
}

// unpad removes the padding of RFC 5652 section 6.3 in time that depends on
// the block size alone.
func unpad(plain []byte, size int) ([]byte, bool) {
	last := plain[len(plain)-size:]
	pad := last[size-1]
	good := subtle.ConstantTimeLessOrEq(1, int(pad)) & subtle.ConstantTimeLessOrEq(int(pad), size)
	for i := range last {
		inPad := subtle.ConstantTimeLessOrEq(size-i, int(pad))
		good &= subtle.ConstantTimeByteEq(last[i], pad) | (inPad ^ 1)
	}
	if good != 1 {
		return nil, false
	}
	return plain[:len(plain)-int(pad)], true
}

// openGCM decrypts sealed, which has its tag of 16 bytes at the end.
//
// Spec: RFC 5084 section 3.2
func (c contentCipher) openGCM(key, nonce, sealed, aad []byte) ([]byte, bool) {
	block, err := c.block(key)
	if err != nil || len(nonce) == 0 {
		return nil, false
	}
	mode, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return nil, false
	}
	plain, err := mode.Open(nil, nonce, sealed, aad)
	return plain, err == nil
}
