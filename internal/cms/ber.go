package cms

import (
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// element is one BER element. Devices send indefinite lengths and strings in
// pieces, so encoding/asn1 cannot read them; see the Quirk at ReadDetached.
//
// Spec: X.690 section 8
type element struct {
	id    byte   // first identifier octet: class, constructed bit, number
	ident []byte // all identifier octets
	body  []byte // contents, without end-of-contents
	raw   []byte // the whole encoding
	loose bool   // its length is not the one of DER
}

func (e element) constructed() bool { return e.id&bitConstructed != 0 }

// inside gives the cursor over the children. A missing element gives a cursor
// on which everything fails.
func (e element) inside() cursor {
	return cursor{rest: e.body, bad: !e.constructed()}
}

// read takes the first element of b. It recurses only into indefinite
// lengths, to find their end.
func read(b []byte, depth int) (e element, rest []byte, err error) {
	if depth > maxDepth {
		return e, nil, ErrTooLarge
	}
	head, ok := identLen(b)
	if !ok {
		return e, nil, ErrMalformed
	}
	e.id, e.ident = b[0], b[:head]
	n, size, indef, ok := length(b[head:])
	if !ok {
		return e, nil, ErrMalformed
	}
	start := head + size
	e.loose = indef || size != shortest(n)
	if !indef {
		if n > len(b)-start {
			return e, nil, ErrMalformed
		}
		e.body, e.raw = b[start:start+n], b[:start+n]
		return e, b[start+n:], nil
	}
	if !e.constructed() {
		return e, nil, ErrMalformed
	}
	n, err = untilEnd(b[start:], depth)
	if err != nil {
		return e, nil, err
	}
	e.body, e.raw = b[start:start+n], b[:start+n+2]
	return e, b[start+n+2:], nil
}

// identLen counts identifier octets; numbers above 2^28 are refused.
func identLen(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	if b[0]&0x1f != 0x1f {
		return 1, true
	}
	for i := 1; i < len(b) && i <= 4; i++ {
		if b[i]&0x80 == 0 {
			return i + 1, true
		}
	}
	return 0, false
}

// length reads length octets: the value, how many they are, and whether the
// length is indefinite.
func length(b []byte) (n, size int, indef, ok bool) {
	if len(b) == 0 {
		return 0, 0, false, false
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, false, true
	}
	size = int(b[0]&0x7f) + 1
	if size == 1 {
		return 0, 1, true, true
	}
	if size > 5 || size > len(b) {
		return 0, 0, false, false
	}
	var v int64
	for _, c := range b[1:size] {
		v = v<<8 | int64(c)
	}
	if v > 1<<31-1 {
		return 0, 0, false, false
	}
	return int(v), size, false, true
}

// shortest is how many length octets DER takes for n.
func shortest(n int) int {
	if n < 0x80 {
		return 1
	}
	return 1 + (bits.Len(uint(n))+7)/8
}

// untilEnd gives the length of contents that end with end-of-contents octets.
func untilEnd(b []byte, depth int) (int, error) {
	for rest := b; ; {
		if len(rest) < 2 {
			return 0, ErrMalformed
		}
		if rest[0] == 0 && rest[1] == 0 {
			return len(b) - len(rest), nil
		}
		var err error
		if _, rest, err = read(rest, depth+1); err != nil {
			return 0, err
		}
	}
}

// normal bounds everything in the first element of ber, so that whoever reads
// on need not care, and gives that element in definite, shortest lengths with
// whole OCTET STRINGs: DER, but for the order of sets. What is so already is
// not copied.
func normal(ber []byte) ([]byte, error) {
	e, _, err := read(ber, 0)
	if err != nil {
		return nil, err
	}
	w := walker{left: maxElements, plain: true}
	if err := w.walk(e, 0); err != nil {
		return nil, err
	}
	if w.plain {
		return e.raw, nil
	}
	var b cryptobyte.Builder
	addDER(&b, e)
	return b.Bytes()
}

type walker struct {
	left  int  // elements
	plain bool // nothing to rewrite so far
}

func (w *walker) walk(e element, depth int) error {
	if w.left--; w.left < 0 {
		return ErrTooLarge
	}
	w.plain = w.plain && !e.loose && e.id != tagOctets|bitConstructed
	if !e.constructed() {
		return nil
	}
	for rest := e.body; len(rest) > 0; {
		child, after, err := read(rest, depth+1)
		if err != nil {
			return err
		}
		if err := w.walk(child, depth+1); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

func addDER(b *cryptobyte.Builder, e element) {
	if e.id == tagOctets|bitConstructed {
		whole, ok := octets(e)
		if !ok {
			b.SetError(ErrMalformed)
			return
		}
		b.AddASN1OctetString(whole)
		return
	}
	last := len(e.ident) - 1
	b.AddBytes(e.ident[:last])
	b.AddASN1(cbasn1.Tag(e.ident[last]), func(b *cryptobyte.Builder) {
		if !e.constructed() {
			b.AddBytes(e.body)
			return
		}
		for c := e.inside(); !c.empty(); {
			addDER(b, c.next())
		}
	})
}

// octets joins an OCTET STRING that may come in pieces.
func octets(e element) ([]byte, bool) {
	if !e.constructed() {
		return e.body, true
	}
	out := make([]byte, 0, len(e.body))
	ok := pieces(e, &out)
	return out, ok
}

func pieces(e element, out *[]byte) bool {
	c := e.inside()
	for !c.empty() {
		p := c.take(tagOctets, tagOctets|bitConstructed)
		if !p.constructed() {
			*out = append(*out, p.body...)
			continue
		}
		if !pieces(p, out) {
			return false
		}
	}
	return !c.bad
}

// cursor reads the children of an element in order. After one failure
// everything fails, so that callers ask once, at the end. It reads only what
// normal has walked.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) empty() bool { return c.bad || len(c.rest) == 0 }

// next takes whatever comes.
func (c *cursor) next() element {
	if c.empty() {
		c.bad = true
		return element{}
	}
	e, rest, err := read(c.rest, 0)
	if err != nil {
		c.bad = true
		return element{}
	}
	c.rest = rest
	return e
}

// at tells whether an element with one of these identifiers comes next.
func (c *cursor) at(ids ...byte) bool {
	if c.empty() {
		return false
	}
	for _, id := range ids {
		if c.rest[0] == id {
			return true
		}
	}
	return false
}

// take takes an element that must have one of these identifiers.
func (c *cursor) take(ids ...byte) element {
	if !c.at(ids...) {
		c.bad = true
		return element{}
	}
	return c.next()
}

// skip passes over an optional element.
func (c *cursor) skip(ids ...byte) {
	if c.at(ids...) {
		c.next()
	}
}
