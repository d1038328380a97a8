package pfx

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
)

const (
	maxNestedSafes = 4
	maxNameRunes   = 256
)

// bag is one thing in a safe.
type bag struct {
	kind       string // its object identifier
	how        *protection
	value      []byte       // PKCS #8 of keys, DER of certificates
	err        *fault.Error // why there is no value
	localKeyID []byte
	name       string
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
