package pfx

import (
	"context"
	"crypto"
	"crypto/hmac"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// macData is the integrity check of a file.
//
// Spec: RFC 7292 section 4
type macData struct {
	digest     algorithm
	value      []byte
	salt       []byte
	iterations cryptobyte.String // an INTEGER, or nothing for 1; meaningless with PBMAC1
}

func readMAC(s *cryptobyte.String) (m macData, ok bool) {
	var seq, info cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&info, cbasn1.SEQUENCE) {
		return m, false
	}
	if m.digest, ok = readAlgorithm(&info); !ok {
		return m, false
	}
	ok = info.ReadASN1Bytes(&m.value, cbasn1.OCTET_STRING) && seq.ReadASN1Bytes(&m.salt, cbasn1.OCTET_STRING)
	m.iterations = seq
	return m, ok
}

// verify tells whether the password gives the check value over content.
func (r *reader) verify(ctx context.Context, m macData, content []byte, pw password) (bool, error) {
	h, key, err := r.macKey(ctx, m, pw)
	if err != nil {
		return false, err
	}
	defer clear(key)
	mac := hmac.New(h.New, key)
	mac.Write(content)
	return hmac.Equal(mac.Sum(nil), m.value), nil
}

func (r *reader) macKey(ctx context.Context, m macData, pw password) (crypto.Hash, []byte, error) {
	if m.digest.oid == oidPBMAC1 {
		return r.pbmac1Key(ctx, m, pw)
	}
	h, ok := digests[m.digest.oid]
	if !ok {
		return 0, nil, unsupported(m.digest.oid)
	}
	n := int64(1)
	if !m.iterations.Empty() {
		var err error
		if n, err = r.iterations(&m.iterations); err != nil {
			return 0, nil, err
		}
	}
	if err := r.charge(n, 1); err != nil {
		return 0, nil, err
	}
	key, err := pkcs12KDF(ctx, h, forMAC, pw.bmp, m.salt, n, h.Size())
	return h, key, err
}

// pbmac1Key derives the key of a PBMAC1. A short key would let anybody forge
// the check, a long one costs time.
//
// Spec: RFC 9579 section 3 to 5, RFC 8018 appendix A.5
func (r *reader) pbmac1Key(ctx context.Context, m macData, pw password) (crypto.Hash, []byte, error) {
	params, ok := m.digest.sequence()
	if !ok {
		return 0, nil, ErrMalformed
	}
	kdf, ok1 := readAlgorithm(&params)
	scheme, ok2 := readAlgorithm(&params)
	if !ok1 || !ok2 {
		return 0, nil, ErrMalformed
	}
	h, ok := hmacs[scheme.oid]
	if !ok {
		return 0, nil, unsupported(scheme.oid)
	}
	p, err := r.pbkdf2Params(kdf)
	if err != nil {
		return 0, nil, err
	}
	if p.keyLength < 20 || p.keyLength > 64 {
		return 0, nil, ErrLimit.Saying("The key of the file's integrity check has an unsafe length.")
	}
	key, err := r.derive(ctx, p, pw, p.keyLength)
	return h, key, err
}
