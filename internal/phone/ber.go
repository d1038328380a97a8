package phone

import (
	"errors"
	"math/bits"
)

var errBER = errors.New("malformed BER")

const maxBERDepth = 32

// der rewrites BER as DER as far as CMS needs it: lengths become definite and
// minimal, octet strings come in one piece. Apple writes and reads both forms.
func der(ber []byte) ([]byte, error) {
	out, rest, err := berElement(ber, 0)
	if err == nil && len(rest) > 0 {
		return nil, errors.New("bytes after the end of the BER value")
	}
	return out, err
}

func berElement(in []byte, depth int) (out, rest []byte, err error) {
	head, length, body, err := berHeader(in)
	if err != nil || depth > maxBERDepth {
		return nil, nil, errBER
	}
	constructed, indefinite := head[0]&0x20 != 0, length < 0
	switch {
	case indefinite && !constructed:
		return nil, nil, errBER
	case !indefinite:
		body, rest = body[:length], body[length:]
	}
	if !constructed {
		return tlvRaw(head, body), rest, nil
	}
	content, after, err := berContent(body, indefinite, head[0] == 0x24, depth)
	if err != nil {
		return nil, nil, err
	}
	if indefinite {
		rest = after
	}
	if head[0] == 0x24 {
		head = []byte{0x04}
	}
	return tlvRaw(head, content), rest, nil
}

// berContent rewrites the members of a constructed value, up to the
// end-of-contents mark when the length is indefinite. The members of a
// constructed octet string are joined.
func berContent(in []byte, indefinite, octets bool, depth int) (content, rest []byte, err error) {
	for {
		if indefinite && len(in) >= 2 && in[0] == 0 && in[1] == 0 {
			return content, in[2:], nil
		}
		if len(in) == 0 {
			if indefinite {
				return nil, nil, errBER
			}
			return content, nil, nil
		}
		var child []byte
		if child, in, err = berElement(in, depth+1); err != nil {
			return nil, nil, err
		}
		if octets {
			if child[0] != 0x04 {
				return nil, nil, errBER
			}
			_, _, child, _ = berHeader(child)
		}
		content = append(content, child...)
	}
}

// berHeader splits off tag and length; length is -1 when indefinite.
func berHeader(in []byte) (head []byte, length int, body []byte, err error) {
	n := 1
	if len(in) < 2 {
		return nil, 0, nil, errBER
	}
	if in[0]&0x1f == 0x1f { // tag number in the following bytes
		for n < len(in) && n < 4 && in[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if n >= len(in) {
		return nil, 0, nil, errBER
	}
	head, l, body := in[:n], int(in[n]), in[n+1:]
	switch {
	case l == 0x80:
		return head, -1, body, nil
	case l > 0x84:
		return nil, 0, nil, errBER
	case l > 0x80:
		k := l - 0x80
		if len(body) < k {
			return nil, 0, nil, errBER
		}
		l = 0
		for _, b := range body[:k] {
			l = l<<8 | int(b)
		}
		body = body[k:]
	}
	if l > len(body) {
		return nil, 0, nil, errBER
	}
	return head, l, body, nil
}

// tlv writes a DER value with a one-byte tag from the parts of its content.
func tlv(tag byte, parts ...[]byte) []byte {
	var content []byte
	for _, p := range parts {
		content = append(content, p...)
	}
	return tlvRaw([]byte{tag}, content)
}

func tlvRaw(head, content []byte) []byte {
	out := append(make([]byte, 0, len(head)+5+len(content)), head...)
	n := len(content)
	if n < 0x80 {
		out = append(out, byte(n))
	} else {
		k := (bits.Len(uint(n)) + 7) / 8
		out = append(out, 0x80|byte(k))
		for i := k - 1; i >= 0; i-- {
			out = append(out, byte(n>>(8*i)))
		}
	}
	return append(out, content...)
}

// open writes a constructed value of indefinite length.
func open(tag byte, parts ...[]byte) []byte {
	out := []byte{tag, 0x80}
	for _, p := range parts {
		out = append(out, p...)
	}
	return append(out, 0, 0)
}

// chunks writes octet strings of at most 1 KiB, the members of a constructed
// one.
func chunks(b []byte) []byte {
	var out []byte
	for len(b) > 1024 {
		out = append(out, tlv(0x04, b[:1024])...)
		b = b[1024:]
	}
	return append(out, tlv(0x04, b)...)
}
