package pfx

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// errDecrypt says that a key did not fit: the password is another one.
var errDecrypt = errors.New("decryption gives no padding")

// protection is how a bag or safe was encrypted, for Lint.
type protection struct {
	pbe, cipher, prf string // object identifiers; cipher and prf of PBES2 only
	prfNull          bool   // the PRF has NULL parameters, as iOS demands
	iterations       int64
}

// blockScheme is a cipher in CBC mode and the size of its key.
type blockScheme struct {
	keySize int
	block   func(key []byte) (cipher.Block, error)
}

// pbes1 are the schemes of PKCS #12 itself, all with SHA-1.
//
// Spec: RFC 7292 appendix C
var pbes1 = map[string]blockScheme{
	oidPBE3DES:   {24, des.NewTripleDESCipher},
	oidPBE2Key:   {16, func(k []byte) (cipher.Block, error) { return des.NewTripleDESCipher(append(k[:16:16], k[:8]...)) }},
	oidPBERC2128: {16, func(k []byte) (cipher.Block, error) { return newRC2(k, 128), nil }},
	oidPBERC240:  {5, func(k []byte) (cipher.Block, error) { return newRC2(k, 40), nil }},
}

// cbcs are the ciphers of PBES2.
var cbcs = map[string]blockScheme{
	oidAES128CBC:  {16, aes.NewCipher},
	oidAES192CBC:  {24, aes.NewCipher},
	oidAES256CBC:  {32, aes.NewCipher},
	oidDESEDE3CBC: {24, des.NewTripleDESCipher},
}

// decrypt opens what alg encrypted. The result is overwritten when the reader
// is done. errDecrypt means another password.
func (r *reader) decrypt(ctx context.Context, alg algorithm, ciphertext []byte, pw password) ([]byte, protection, error) {
	if alg.oid == oidPBES2 {
		return r.decryptPBES2(ctx, alg, ciphertext, pw)
	}
	how := protection{pbe: alg.oid}
	scheme, ok := pbes1[alg.oid]
	if !ok {
		return nil, how, unsupported(alg.oid)
	}
	params, ok := alg.sequence()
	var salt cryptobyte.String
	if !ok || !params.ReadASN1(&salt, cbasn1.OCTET_STRING) {
		return nil, how, ErrMalformed
	}
	var err error
	if how.iterations, err = r.iterations(&params); err != nil {
		return nil, how, err
	}
	if err := r.charge(how.iterations, blocks(scheme.keySize, crypto.SHA1)+1); err != nil {
		return nil, how, err
	}
	key, err := pkcs12KDF(ctx, crypto.SHA1, forKey, pw.bmp, salt, how.iterations, scheme.keySize)
	if err != nil {
		return nil, how, err
	}
	defer clear(key)
	iv, err := pkcs12KDF(ctx, crypto.SHA1, forIV, pw.bmp, salt, how.iterations, 8)
	if err != nil {
		return nil, how, err
	}
	plain, err := r.cbc(scheme, key, iv, ciphertext)
	return plain, how, err
}

// cbc decrypts and takes the padding off.
//
// Spec: RFC 8018 section 6.1.2
func (r *reader) cbc(scheme blockScheme, key, iv, ciphertext []byte) ([]byte, error) {
	block, err := scheme.block(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, ErrMalformed
	}
	plain := make([]byte, len(ciphertext))
	r.secret(plain)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, ciphertext)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, errDecrypt
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errDecrypt
		}
	}
	return plain[:len(plain)-pad], nil
}
