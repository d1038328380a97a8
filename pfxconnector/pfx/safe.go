package pfx

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
)

var (
	explicit0 = cbasn1.Tag(0).Constructed().ContextSpecific()
	implicit0 = cbasn1.Tag(0).ContextSpecific()
)

const (
	maxNestedSafes = 4
	maxNameRunes   = 256
)

// safe is one item of the AuthenticatedSafe.
type safe struct {
	how    *protection // nil when not encrypted
	strict bool        // its contents are DER
	bags   []bag
}

// bag is one thing in a safe.
type bag struct {
	kind       string // its object identifier
	how        *protection
	value      []byte       // PKCS #8 of keys, DER of certificates
	err        *fault.Error // why there is no value
	localKeyID []byte
	name       string
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

// safeContents reads the bags of a safe, which may be safes themselves.
//
// Spec: RFC 7292 section 4.2
func (r *reader) safeContents(ctx context.Context, der cryptobyte.String, pw password, depth int) ([]bag, error) {
	var list cryptobyte.String
	if !der.ReadASN1(&list, cbasn1.SEQUENCE) {
		return nil, ErrMalformed
	}
	if depth > maxNestedSafes {
		return nil, ErrLimit.Saying("The file has safes within safes beyond what is allowed.")
	}
	var all []bag
	for !list.Empty() {
		var item, value cryptobyte.String
		var b bag
		if !list.ReadASN1(&item, cbasn1.SEQUENCE) || !readOID(&item, &b.kind) || !item.ReadASN1(&value, explicit0) {
			return nil, ErrMalformed
		}
		if r.bags++; r.bags > r.limits.Bags {
			return nil, ErrLimit.Saying("The file holds more keys and certificates than is allowed.")
		}
		if b.kind == oidSafeBag {
			inner, err := r.safeContents(ctx, value, pw, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
			continue
		}
		b.attributes(item)
		if err := r.fill(ctx, &b, value, pw); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// fill gives the bag its value. It fails only where the whole file must.
func (r *reader) fill(ctx context.Context, b *bag, value cryptobyte.String, pw password) error {
	switch b.kind {
	case oidKeyBag:
		b.value = value
	case oidShroudedBag:
		return r.shrouded(ctx, b, value, pw)
	case oidCertBag:
		var cert, der cryptobyte.String
		var kind string
		if !value.ReadASN1(&cert, cbasn1.SEQUENCE) || !readOID(&cert, &kind) || kind != oidX509Certificate ||
			!cert.ReadASN1(&der, explicit0) || !der.ReadASN1Bytes(&b.value, cbasn1.OCTET_STRING) {
			b.err = ErrCertificate
		}
	case oidSecretBag:
		r.note(NoteSecret)
	case oidCRLBag:
		r.note(NoteCRL)
	default:
		r.note(NoteUnknown)
	}
	return nil
}

// shrouded decrypts a key. Another password or algorithm is this bag's matter;
// limits and a cancelled context are the file's.
//
// Spec: RFC 5958 section 3
func (r *reader) shrouded(ctx context.Context, b *bag, value cryptobyte.String, pw password) error {
	var info, ciphertext cryptobyte.String
	if !value.ReadASN1(&info, cbasn1.SEQUENCE) {
		b.err = ErrKeyMalformed
		return nil
	}
	alg, ok := readAlgorithm(&info)
	if !ok || !info.ReadASN1(&ciphertext, cbasn1.OCTET_STRING) {
		b.err = ErrKeyMalformed
		return nil
	}
	plain, how, err := r.decrypt(ctx, alg, ciphertext, pw)
	b.how = &how
	switch {
	case err == nil:
		b.value = plain
	case errors.Is(err, errDecrypt) && r.proven:
		b.err = ErrKeyPassword
	case errors.Is(err, ErrAlgorithm), errors.Is(err, ErrMalformed):
		b.err = fault.Of(err)
	default:
		return err
	}
	return nil
}

// attributes reads name and key id; all others and all damage are ignored,
// nothing depends on them.
//
// Spec: RFC 2985 section 5.5
func (b *bag) attributes(item cryptobyte.String) {
	var set cryptobyte.String
	if !item.ReadASN1(&set, cbasn1.SET) {
		return
	}
	for !set.Empty() {
		var attr, values, v cryptobyte.String
		var kind string
		if !set.ReadASN1(&attr, cbasn1.SEQUENCE) || !readOID(&attr, &kind) || !attr.ReadASN1(&values, cbasn1.SET) {
			return
		}
		switch {
		case kind == oidLocalKeyID && values.ReadASN1(&v, cbasn1.OCTET_STRING):
			b.localKeyID = v
		case kind == oidFriendlyName && values.ReadASN1(&v, cbasn1.Tag(30)): // BMPString
			b.name = bmpText(v)
		}
	}
}

// bmpText decodes a label; control characters and what exceeds 256 characters
// are left out.
func bmpText(b []byte) string {
	units := make([]uint16, 0, min(len(b)/2, 2*maxNameRunes))
	for ; len(b) >= 2 && len(units) < cap(units); b = b[2:] {
		units = append(units, uint16(b[0])<<8|uint16(b[1]))
	}
	runes := utf16.Decode(units)
	runes = runes[:min(len(runes), maxNameRunes)]
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, string(runes))
}
