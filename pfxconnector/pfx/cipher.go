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

// pbe12 describes a scheme of PKCS #12 itself.
//
// Spec: RFC 7292 appendix C
type pbe12 struct {
	keySize int
	block   func(key []byte) (cipher.Block, error)
}

var pbe12s = map[string]pbe12{
	oidPBE3DES:   {24, des.NewTripleDESCipher},
	oidPBE2Key:   {16, func(k []byte) (cipher.Block, error) { return des.NewTripleDESCipher(append(k[:16:16], k[:8]...)) }},
	oidPBERC2128: {16, func(k []byte) (cipher.Block, error) { return newRC2(k, 128), nil }},
	oidPBERC240:  {5, func(k []byte) (cipher.Block, error) { return newRC2(k, 40), nil }},
}

var cbcs = map[string]pbe12{
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
	scheme, ok := pbe12s[alg.oid]
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

// decryptPBES2 is decrypt for the scheme of today.
//
// Spec: RFC 8018 section 6.2 and appendix A.4
func (r *reader) decryptPBES2(ctx context.Context, alg algorithm, ciphertext []byte, pw password) ([]byte, protection, error) {
	how := protection{pbe: oidPBES2}
	params, ok := alg.sequence()
	if !ok {
		return nil, how, ErrMalformed
	}
	kdf, ok1 := readAlgorithm(&params)
	enc, ok2 := readAlgorithm(&params)
	var iv cryptobyte.String
	if !ok1 || !ok2 {
		return nil, how, ErrMalformed
	}
	how.cipher = enc.oid
	scheme, ok := cbcs[enc.oid]
	if !ok {
		return nil, how, unsupported(enc.oid)
	}
	if !enc.params.ReadASN1(&iv, cbasn1.OCTET_STRING) {
		return nil, how, ErrMalformed
	}
	p, err := r.pbkdf2Params(kdf)
	if err != nil {
		return nil, how, err
	}
	how.prf, how.prfNull, how.iterations = p.prf.oid, len(p.prf.params) == 2, p.iterations
	if p.keyLength != 0 && p.keyLength != scheme.keySize {
		return nil, how, ErrMalformed
	}
	key, err := r.derive(ctx, p, pw, scheme.keySize)
	if err != nil {
		return nil, how, err
	}
	defer clear(key)
	plain, err := r.cbc(scheme, key, iv, ciphertext)
	return plain, how, err
}

// cbc decrypts and takes the padding off.
//
// Spec: RFC 8018 section 6.1.2
func (r *reader) cbc(scheme pbe12, key, iv, ciphertext []byte) ([]byte, error) {
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

// pbkdf2Params is how to derive a key.
//
// Spec: RFC 8018 appendix A.2
type pbkdf2Params struct {
	salt       []byte
	iterations int64
	keyLength  int // 0: not given
	prf        algorithm
}

func (r *reader) pbkdf2Params(alg algorithm) (p pbkdf2Params, err error) {
	if alg.oid != oidPBKDF2 {
		return p, unsupported(alg.oid)
	}
	seq, ok := alg.sequence()
	if !ok || !seq.ReadASN1Bytes(&p.salt, cbasn1.OCTET_STRING) {
		return p, ErrMalformed
	}
	if p.iterations, err = r.iterations(&seq); err != nil {
		return p, err
	}
	if seq.PeekASN1Tag(cbasn1.INTEGER) && (!seq.ReadASN1Integer(&p.keyLength) || p.keyLength < 1) {
		return p, ErrMalformed
	}
	p.prf.oid = oidHMACSHA1
	if !seq.Empty() {
		if p.prf, ok = readAlgorithm(&seq); !ok {
			return p, ErrMalformed
		}
	}
	return p, nil
}

// derive pays for the derivation and makes it.
func (r *reader) derive(ctx context.Context, p pbkdf2Params, pw password, size int) ([]byte, error) {
	h, ok := hmacs[p.prf.oid]
	if !ok {
		return nil, unsupported(p.prf.oid)
	}
	if err := r.charge(p.iterations, blocks(size, h)); err != nil {
		return nil, err
	}
	return pbkdf2(ctx, h, pw.utf8, p.salt, p.iterations, size)
}

// blocks is how often the iterations run for size bytes.
func blocks(size int, h crypto.Hash) int64 { return int64((size + h.Size() - 1) / h.Size()) }
