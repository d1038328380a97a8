package subject

import "unicode"

// Unshowable tells whether r has no business in a line of text that others
// wrote: it moves the cursor, ends the line or turns its direction round.
func Unshowable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
