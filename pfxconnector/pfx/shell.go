package pfx

import (
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// outer is the shell of a file: what is checked, and with what.
type outer struct {
	content []byte // of the AuthenticatedSafe, exactly as found
	mac     *macData
	strict  bool // the shell is DER already
}

// outer opens the shell.
//
// Spec: RFC 7292 section 4
func (r *reader) outer(file []byte) (o outer, err error) {
	raw, armoured, err := unwrap(file)
	if err != nil {
		return o, err
	}
	if armoured {
		r.secret(raw)
		r.note(NoteArmour)
	}
	der, rest, err := r.walker.der(raw)
	r.secret(der)
	switch {
	case errors.Is(err, ErrLimit):
		return o, err
	case errors.Is(err, errShort) && beginsLikePFX(raw):
		return o, ErrTruncated
	case err != nil:
		return o, ErrNotPKCS12.With(err)
	}
	if len(rest) > 0 {
		r.note(NoteTrailing)
	}
	o.strict = slices.Equal(der, raw)
	return o, o.parse(der)
}

func (o *outer) parse(der cryptobyte.String) error {
	var pfx, info, content cryptobyte.String
	var version int
	var kind string
	if !der.ReadASN1(&pfx, cbasn1.SEQUENCE) || !pfx.ReadASN1Integer(&version) || version != 3 ||
		!pfx.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &kind) {
		return ErrNotPKCS12
	}
	switch kind {
	case oidData:
	case oidSignedData:
		return ErrPublicKeyMAC
	case oidEnvelopedData:
		return ErrPrincipal
	default:
		return unsupported(kind)
	}
	if !info.ReadASN1(&content, explicit0) || !content.ReadASN1Bytes(&o.content, cbasn1.OCTET_STRING) {
		return ErrNotPKCS12
	}
	if pfx.Empty() {
		return nil
	}
	m, ok := readMAC(&pfx)
	if !ok {
		return ErrMalformed
	}
	o.mac = &m
	return nil
}

// beginsLikePFX tells a cut file from something else.
func beginsLikePFX(b []byte) bool {
	h, err := readHead(b)
	return err == nil && len(b) >= h.size+3 && string(b[h.size:h.size+3]) == "\x02\x01\x03"
}
