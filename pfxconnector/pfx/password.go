package pfx

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/seal"
)

const maxPasswordBytes = 4096

// password is one text in the two encodings that files use.
type password struct {
	bmp  []byte // for the PKCS #12 derivation: UTF-16 with a terminator
	utf8 []byte // for PBKDF2
}

// attempts gives what to try, in order: the text as given, and where it is
// empty also the null password, which has no terminator. Nothing is trimmed
// or changed.
//
// Quirk: Windows and Java differ on what an empty password is.
func attempts(s seal.Secret) []password {
	text := s.Reveal()
	all := []password{{bmpString(text), text}}
	if len(text) == 0 {
		all = append(all, password{})
	}
	return all
}

// wipe overwrites the copy in UTF-16; the text is the caller's.
func (p password) wipe() { clear(p.bmp) }

// bmpString gives UTF-16, big-endian, with two zero bytes at its end. Outside
// the basic plane it uses surrogates, as OpenSSL does.
//
// Spec: RFC 7292 appendix B.1
func bmpString(text []byte) []byte {
	out := make([]byte, 0, 2*len(text)+2)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			out = binary.BigEndian.AppendUint16(out, uint16(high))
			r = low
		}
		out = binary.BigEndian.AppendUint16(out, uint16(r))
	}
	return append(out, 0, 0)
}
