package plist

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const white = " \t\r\n"

// guard refuses what must not reach the parser and gives the rest without a
// byte order mark.
func guard(data []byte, l Limits) ([]byte, error) {
	if len(data) > l.Bytes {
		return nil, ErrTooLarge
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	start := bytes.TrimLeft(data, white)
	switch {
	case bytes.HasPrefix(start, []byte("bplist")):
		return nil, ErrBinary
	case !utf8.Valid(data), bytes.IndexByte(data, 0) >= 0:
		return nil, ErrEncoding
	case len(start) == 0 || start[0] != '<':
		return nil, ErrInvalid
	}
	return data, walk(data, l)
}

// walk reads all tokens. A flat pass needs no stack, whatever the nesting; the
// parser that follows checks that tags match, so it goes no deeper.
func walk(data []byte, l Limits) error {
	d := xml.NewDecoder(bytes.NewReader(data))
	w := walker{limits: l}
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return w.end()
		}
		if err != nil {
			return invalid(err)
		}
		if err := w.see(token); err != nil {
			return err
		}
	}
}

// invalid keeps the line of a syntax error; its text quotes the document.
func invalid(err error) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return ErrInvalid.With(fmt.Errorf("XML syntax on line %d", syntax.Line))
	}
	return ErrInvalid
}

type walker struct {
	limits        Limits
	tokens, depth int
	doctype, root bool
	realAt        int // depth of the <real> that we are in; 0: none
}

func (w *walker) see(token xml.Token) error {
	if w.tokens++; w.tokens > w.limits.Tokens {
		return ErrTooMany
	}
	switch t := token.(type) {
	case xml.StartElement:
		return w.open(t.Name.Local)
	case xml.EndElement:
		return w.close()
	case xml.CharData:
		return w.text(t)
	case xml.Directive:
		return w.directive(t)
	}
	return nil
}

func (w *walker) open(name string) error {
	if w.depth == 0 && w.root {
		return ErrInvalid // a second root
	}
	w.root = true
	if w.depth++; w.depth > w.limits.Depth {
		return ErrTooDeep
	}
	if name == "real" && w.realAt == 0 {
		w.realAt = w.depth
	}
	return nil
}

func (w *walker) close() error {
	if w.depth == 0 {
		return ErrInvalid
	}
	if w.realAt == w.depth {
		w.realAt = 0
	}
	w.depth--
	return nil
}

// text allows nothing outside the root, and only decimal digits in a real:
// "nan" and "inf" would be read but could not be written again.
func (w *walker) text(t []byte) error {
	if w.depth == 0 && len(bytes.Trim(t, white)) > 0 {
		return ErrInvalid
	}
	if w.realAt > 0 && strings.Trim(string(t), "+-.0123456789eE"+white) != "" {
		return ErrInvalid
	}
	return nil
}

// directive allows one DOCTYPE without declarations of its own, before the
// root.
func (w *walker) directive(t []byte) error {
	if w.root || w.doctype || !bytes.HasPrefix(t, []byte("DOCTYPE plist")) || bytes.ContainsAny(t, "[]<") {
		return ErrDoctype
	}
	w.doctype = true
	return nil
}

func (w *walker) end() error {
	if !w.root || w.depth != 0 {
		return ErrInvalid
	}
	return nil
}
