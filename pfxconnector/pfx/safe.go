package pfx

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	explicit0 = cbasn1.Tag(0).Constructed().ContextSpecific()
	implicit0 = cbasn1.Tag(0).ContextSpecific()
)

// safe is one item of the AuthenticatedSafe.
type safe struct {
	how    *protection // nil when not encrypted
	strict bool        // its contents are DER
	bags   []bag
}

// safes opens the AuthenticatedSafe.
//
// Spec: RFC 7292 section 4.1
func (r *reader) safes(ctx context.Context, content []byte, pw password) ([]safe, error) {
	der, err := r.normal(content)
	if err != nil {
		return nil, err
	}
	strict := slices.Equal(der, content)
	var items cryptobyte.String
	if !der.ReadASN1(&items, cbasn1.SEQUENCE) {
		return nil, ErrMalformed
	}
	var all []safe
	for !items.Empty() {
		if len(all) == r.limits.Safes {
			return nil, ErrLimit.Saying("The file has more parts than is allowed.")
		}
		s, err := r.safe(ctx, &items, pw)
		if err != nil {
			return nil, err
		}
		s.strict = s.strict && strict
		all = append(all, s)
	}
	return all, nil
}

// safe opens one item, plain or encrypted.
func (r *reader) safe(ctx context.Context, items *cryptobyte.String, pw password) (s safe, err error) {
	var info, content cryptobyte.String
	var kind string
	if !items.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &kind) || !info.ReadASN1(&content, explicit0) {
		return s, ErrMalformed
	}
	var plain []byte
	switch kind {
	case oidData:
		if !content.ReadASN1Bytes(&plain, cbasn1.OCTET_STRING) {
			return s, ErrMalformed
		}
	case oidEncryptedData:
		var how protection
		if plain, how, err = r.encryptedData(ctx, content, pw); err != nil {
			return s, err
		}
		s.how = &how
	case oidEnvelopedData:
		return s, ErrPrincipal
	default:
		return s, unsupported(kind)
	}
	der, err := r.normal(plain)
	if s.how != nil && (errors.Is(err, errBER) || errors.Is(err, errShort)) {
		err = errDecrypt // the padding fitted by chance
	}
	if err != nil {
		return s, err
	}
	r.proven = r.proven || s.how != nil
	s.strict = slices.Equal(der, plain)
	s.bags, err = r.safeContents(ctx, der, pw, 1)
	return s, err
}

// encryptedData decrypts an item.
//
// Spec: RFC 5652 section 8
func (r *reader) encryptedData(ctx context.Context, content cryptobyte.String, pw password) ([]byte, protection, error) {
	var data, info cryptobyte.String
	var version int
	var kind string
	if !content.ReadASN1(&data, cbasn1.SEQUENCE) || !data.ReadASN1Integer(&version) ||
		!data.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &kind) || kind != oidData {
		return nil, protection{}, ErrMalformed
	}
	alg, ok1 := readAlgorithm(&info)
	ciphertext, ok2 := implicitString(&info)
	if !ok1 || !ok2 {
		return nil, protection{}, ErrMalformed
	}
	return r.decrypt(ctx, alg, ciphertext, pw)
}

// implicitString reads an octet string tagged [0], in one piece or, from NSS
// and BouncyCastle, in several.
func implicitString(s *cryptobyte.String) ([]byte, bool) {
	var whole []byte
	if s.PeekASN1Tag(implicit0) {
		return whole, s.ReadASN1Bytes(&whole, implicit0)
	}
	var pieces cryptobyte.String
	if !s.ReadASN1(&pieces, explicit0) {
		return nil, false
	}
	for !pieces.Empty() {
		var piece cryptobyte.String
		if !pieces.ReadASN1(&piece, cbasn1.OCTET_STRING) {
			return nil, false
		}
		whole = append(whole, piece...)
	}
	return whole, true
}
