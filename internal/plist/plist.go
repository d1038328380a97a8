// Package plist reads and writes XML property lists. It is the only door to
// groob/plist, which a few crafted bytes kill together with the process, and
// holds the guard: nothing reaches that parser that is binary, too large, too
// deep, too long, not UTF-8 or brings its own entities.
//
// Start reading at [Unmarshal].
package plist

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/groob/plist"

	"github.com/signet-mdm/signet/internal/fault"
)

// What can be wrong with a property list.
var (
	ErrTooLarge = fault.New(fault.TooLarge, "plist_too_large",
		"The property list is too large.", "")
	ErrTooDeep = fault.New(fault.Invalid, "plist_too_deep",
		"The property list is nested too deeply.", "")
	ErrTooMany = fault.New(fault.Invalid, "plist_too_many_elements",
		"The property list has too many elements.", "")
	ErrBinary = fault.New(fault.Invalid, "plist_binary",
		"Binary property lists are not accepted.", "Convert it to XML, for example with plutil -convert xml1.")
	ErrEncoding = fault.New(fault.Invalid, "plist_encoding",
		"The property list is not in UTF-8.", "Save it as UTF-8.")
	ErrDoctype = fault.New(fault.Invalid, "plist_doctype",
		"The property list declares entities or a foreign document type.", "Use the plain Apple DOCTYPE or none.")
	ErrInvalid = fault.New(fault.Invalid, "plist_invalid",
		"The property list is not well-formed.", "")
	ErrShape = fault.New(fault.Invalid, "plist_unexpected",
		"The property list holds a value of another type than expected.", "")
	ErrValue = fault.New(fault.Invalid, "plist_value",
		"The value has no form in a property list.", "Remove empty (null) values and numbers that are not finite.")
)

// Limits bounds a document: its bytes, the nesting of elements, and the number
// of XML tokens (two for an element, one for the text in it).
type Limits struct{ Bytes, Depth, Tokens int }

// The limits by where a document comes from.
var (
	CheckIn = Limits{1 << 20, 64, 200_000}  // what a device sends before we know it
	Report  = Limits{10 << 20, 64, 200_000} // what an enrolled device answers
	Upload  = Limits{4 << 20, 64, 200_000}  // what an administrator hands in
)

// Unmarshal decodes an XML property list into v, a pointer to a zero value, by
// field name or `plist:"…"` tag. Unknown keys are passed over. Nothing of the
// document goes into an error.
//
// Spec: Apple, Property List XML
func Unmarshal(data []byte, v any, l Limits) error {
	data, err := guard(data, l)
	if err != nil {
		return err
	}
	err = plist.NewXMLDecoder(bytes.NewReader(data)).Decode(v)
	if wrong, ok := errors.AsType[plist.UnmarshalTypeError](err); ok {
		return ErrShape.With(fmt.Errorf("into %v", wrong.Type))
	}
	if err != nil {
		return ErrInvalid // the cause quotes the document
	}
	return nil
}

// Marshal encodes v as an XML property list with sorted keys; a float64 stays
// a real even when it is whole. A nil, a number that is not finite and a type
// without a form are refused.
//
// Quirk: groob/plist panics on nil and writes "nan", which Apple's readers
// refuse.
func Marshal(v any) (xml []byte, err error) {
	defer func() {
		if recover() != nil {
			xml, err = nil, ErrValue.With(fmt.Errorf("encoding a nil in %T", v))
		}
	}()
	xml, err = plist.Marshal(v)
	if err != nil {
		return nil, ErrValue.With(err)
	}
	// Text is escaped, so these are elements.
	for _, bad := range []string{"<real>nan</real>", "<real>inf</real>", "<real>-inf</real>"} {
		if bytes.Contains(xml, []byte(bad)) {
			return nil, ErrValue.With(fmt.Errorf("encoding a number that is not finite in %T", v))
		}
	}
	return xml, nil
}
