package pfx

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Identifier octets.
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagConstructed = 0x20
)

var (
	errShort = errors.New("ASN.1 ends too early")
	errBER   = errors.New("not ASN.1 BER")
)

// walker rewrites BER as DER. Firefox, Thunderbird and BouncyCastle write
// indefinite lengths and strings in pieces; the parsers after it want neither.
//
// Spec: X.690 section 8 to 10
type walker struct {
	depth int // allowed
	nodes int // left
}

// der rewrites the first element of in: definite and shortest lengths, octet
// strings in one piece, integers without padding. What lies inside primitive
// octet strings is left as found. rest is what follows the element.
func (w *walker) der(in []byte) (out, rest []byte, err error) {
	// An indefinite element of 4 octets becomes one of at most 6, so that
	// out never grows and leaves no stale copies of a key behind.
	out = make([]byte, 0, len(in)+len(in)/2+8)
	return w.element(out, in, 1, false)
}

// element appends one element to out. inString is set inside an octet string
// in pieces: the pieces are appended without their heads.
func (w *walker) element(out, in []byte, depth int, inString bool) (_, rest []byte, err error) {
	if depth > w.depth || w.nodes <= 0 {
		return nil, nil, ErrLimit.Saying("The file has more or deeper nested elements than is allowed.")
	}
	w.nodes--
	h, err := readHead(in)
	if err != nil {
		return nil, nil, err
	}
	body := in[h.size:]
	if !h.indefinite {
		if h.length > len(body) {
			return nil, nil, errShort
		}
		body, rest = body[:h.length], body[h.length:]
	}
	isString := h.tag&^tagConstructed == tagOctetString
	switch {
	case inString && !isString:
		return nil, nil, errBER
	case h.tag&tagConstructed == 0 && inString:
		return append(out, body...), rest, nil
	case h.tag&tagConstructed == 0:
		return appendPrimitive(out, h.tag, body), rest, nil
	}
	start := len(out)
	out, after, err := w.children(out, body, h.indefinite, depth+1, isString)
	if err != nil {
		return nil, nil, err
	}
	if h.indefinite {
		rest = after
	}
	if inString {
		return out, rest, nil
	}
	if isString {
		h.tag = tagOctetString
	}
	head := appendHead(make([]byte, 0, 6), h.tag, len(out)-start)
	return slices.Insert(out, start, head...), rest, nil
}

// children appends the elements of body up to its end, or up to the
// end-of-contents octets.
func (w *walker) children(out, body []byte, indefinite bool, depth int, inString bool) (_, rest []byte, err error) {
	for {
		if indefinite && len(body) >= 2 && body[0] == 0 && body[1] == 0 {
			return out, body[2:], nil
		}
		if len(body) == 0 {
			if indefinite {
				return nil, nil, errShort
			}
			return out, nil, nil
		}
		if out, body, err = w.element(out, body, depth, inString); err != nil {
			return nil, nil, err
		}
	}
}

// head is what stands before the contents of an element.
type head struct {
	tag        byte
	size       int // octets of the head itself
	length     int // of the contents, when definite
	indefinite bool
}

func readHead(in []byte) (head, error) {
	if len(in) < 2 {
		return head{}, errShort
	}
	h := head{tag: in[0], size: 2}
	if h.tag&0x1f == 0x1f || h.tag == 0 { // long tags and stray ends: PKCS #12 has none
		return head{}, errBER
	}
	switch l := in[1]; {
	case l < 0x80:
		h.length = int(l)
		return h, nil
	case l == 0x80:
		h.indefinite = true
		if h.tag&tagConstructed == 0 {
			return head{}, errBER
		}
		return h, nil
	case l > 0x84:
		return head{}, errBER
	default:
		n := int(l & 0x7f)
		if len(in) < 2+n {
			return head{}, errShort
		}
		var wide [4]byte
		copy(wide[4-n:], in[2:2+n])
		length := binary.BigEndian.Uint32(wide[:])
		if length > math.MaxInt32 {
			return head{}, errShort
		}
		h.size, h.length = 2+n, int(length)
		return h, nil
	}
}

// appendHead writes tag and shortest length.
func appendHead(out []byte, tag byte, length int) []byte {
	if length < 0x80 {
		return append(out, tag, byte(length))
	}
	wide := binary.BigEndian.AppendUint32(nil, uint32(length))
	for wide[0] == 0 {
		wide = wide[1:]
	}
	return append(append(out, tag, 0x80|byte(len(wide))), wide...)
}

// appendPrimitive writes a primitive element.
// Quirk: some programs pad the integers of RSA keys with zeros, which iOS 11
// and later and Go refuse.
func appendPrimitive(out []byte, tag byte, body []byte) []byte {
	if tag == tagInteger {
		for len(body) > 1 && (body[0] == 0 && body[1] < 0x80 || body[0] == 0xff && body[1] >= 0x80) {
			body = body[1:]
		}
	}
	return append(appendHead(out, tag, len(body)), body...)
}
