package cert

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// DNOf reads an encoded name, such as the RawSubject of a certificate or of a
// request. Values of all string types become UTF-8.
//
// Spec: RFC 5280 section 4.1.2.4
func DNOf(der []byte) (DN, error) {
	input := cryptobyte.String(der)
	var steps cryptobyte.String
	if !input.ReadASN1(&steps, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, errDN
	}
	var name DN
	count := 0
	for !steps.Empty() {
		var set cryptobyte.String
		if !steps.ReadASN1(&set, cbasn1.SET) || set.Empty() {
			return nil, errDN
		}
		var rdn RDN
		for !set.Empty() {
			a, err := readAttribute(&set)
			if count++; err != nil || count > maxNames {
				return nil, errDN
			}
			rdn = append(rdn, a)
		}
		name = append(name, rdn)
	}
	return name, nil
}

func readAttribute(set *cryptobyte.String) (Attribute, error) {
	var pair, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	var tag cbasn1.Tag
	if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
		!pair.ReadAnyASN1Element(&value, &tag) || !pair.Empty() {
		return Attribute{}, errDN
	}
	text, err := readText(value)
	return Attribute{nameOf(oid), text}, err
}

// The string types that encoding/asn1 gives no tag for here.
const (
	tagNumeric   = cbasn1.Tag(18)
	tagTeletex   = cbasn1.Tag(20)
	tagVisible   = cbasn1.Tag(26)
	tagUniversal = cbasn1.Tag(28)
	tagBMP       = cbasn1.Tag(30)
)

// readText reads one encoded string of any type.
func readText(der []byte) (string, error) {
	input := cryptobyte.String(der)
	var value cryptobyte.String
	var tag cbasn1.Tag
	if !input.ReadAnyASN1(&value, &tag) || !input.Empty() {
		return "", errDN
	}
	var text string
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, tagNumeric, tagVisible:
		text = string(value)
	case tagTeletex: // in practice Latin-1
		text = wide(value, 1)
	case tagBMP:
		text = wide(value, 2)
	case tagUniversal:
		text = wide(value, 4)
	default:
		return "", errDN
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", errDN
	}
	return text, nil
}

// wide reads characters of size bytes each; an odd rest becomes what no valid
// text has.
func wide(value []byte, size int) string {
	var units []rune
	for chunk := range slices.Chunk(value, size) {
		if len(chunk) < size {
			return "\xff"
		}
		var r uint32
		for _, b := range chunk {
			r = r<<8 | uint32(b)
		}
		units = append(units, rune(r))
	}
	if size != 2 {
		return string(units)
	}
	pairs := make([]uint16, len(units))
	for i, u := range units {
		pairs[i] = uint16(u)
	}
	return string(utf16.Decode(pairs))
}

// Marshal encodes the name: country, serial number and whatever is printable
// as PrintableString, mail address and domain component as IA5String, the rest
// as UTF8String.
//
// Spec: RFC 5280 section 4.1.2.4 and appendix A.1
func (d DN) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range d {
			encoded, err := rdn.encode()
			if err != nil {
				b.SetError(err)
				return
			}
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range encoded {
					b.AddBytes(a)
				}
			})
		}
	})
	return b.Bytes()
}

// encode gives the encoded attributes in the order that DER wants of a set.
func (r RDN) encode() ([][]byte, error) {
	var list [][]byte
	for _, a := range r {
		der, err := a.encode()
		if err != nil {
			return nil, err
		}
		list = append(list, der)
	}
	slices.SortFunc(list, slices.Compare)
	return list, nil
}

func (a Attribute) encode() ([]byte, error) {
	oid, err := a.oid()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(a.tag(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Value)) })
	})
	if (a.Type == "E" || a.Type == "DC") && strings.ContainsFunc(a.Value, beyondASCII) ||
		(a.Type == "C" || a.Type == "SERIALNUMBER") && strings.ContainsFunc(a.Value, unprintable) {
		return nil, fmt.Errorf("a value of %s has characters that this attribute cannot have", a.Type)
	}
	return b.Bytes()
}

func (a Attribute) tag() cbasn1.Tag {
	switch {
	case a.Type == "E" || a.Type == "DC":
		return cbasn1.IA5String
	case !strings.ContainsFunc(a.Value, unprintable):
		return cbasn1.PrintableString
	}
	return cbasn1.UTF8String
}

func beyondASCII(r rune) bool { return r > '~' }

// unprintable tells what a PrintableString cannot hold.
func unprintable(r rune) bool {
	alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !alphanumeric && !strings.ContainsRune(" '()+,-./:=?", r)
}

func (a Attribute) oid() (asn1.ObjectIdentifier, error) {
	for _, t := range attributeTypes {
		if t.name == a.Type {
			return t.oid, nil
		}
	}
	return parseOID(a.Type)
}

// parseOID reads a dotted OID.
func parseOID(text string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || part != strconv.FormatUint(n, 10) {
			return nil, errDN
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 || len(oid) > 32 || oid[0] > 2 || oid[0] < 2 && oid[1] > 39 {
		return nil, errDN
	}
	return oid, nil
}
