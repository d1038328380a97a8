package pfx

import (
	"context"
	"crypto"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

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
	how.prf, how.prfNull, how.iterations = p.prf.oid, slices.Equal(p.prf.params, []byte{5, 0}), p.iterations
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
