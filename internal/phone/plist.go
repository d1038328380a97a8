package phone

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/groob/plist"
)

const (
	maxPlist      = 10 << 20
	maxPlistDepth = 64
)

// readDict reads an XML property list whose root is a dictionary.
func readDict(b []byte) (dict, error) {
	v, err := readPlist(b)
	if err != nil {
		return nil, err
	}
	d, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the property list is not a dictionary")
	}
	return d, nil
}

// readPlist reads an XML property list. The grammar is checked first, because
// the decoder is lenient.
func readPlist(b []byte) (any, error) {
	if err := checkPlist(b); err != nil {
		return nil, err
	}
	var v any
	if err := plist.NewXMLDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		return nil, fmt.Errorf("property list: %w", err)
	}
	return v, nil
}

func writePlist(v any) ([]byte, error) {
	b, err := plist.MarshalIndent(v, "\t")
	if err != nil {
		return nil, fmt.Errorf("writing a property list: %w", err)
	}
	return b, nil
}

// checkPlist holds b to the grammar of Apple's document type: <plist
// version="1.0"> with one value, dictionaries of alternating keys and values,
// no key twice, no text between elements.
// Stricter: a real phone also reads binary property lists and forgives more.
func checkPlist(b []byte) error {
	if len(b) > maxPlist {
		return fmt.Errorf("property list of %d bytes", len(b))
	}
	c := plistChecker{dec: xml.NewDecoder(bytes.NewReader(b))}
	for {
		tok, err := c.dec.Token()
		if err == io.EOF && c.done {
			return nil
		}
		if err != nil {
			return fmt.Errorf("property list: %w", err)
		}
		if err := c.token(tok); err != nil {
			return fmt.Errorf("property list at byte %d: %w", c.dec.InputOffset(), err)
		}
	}
}

type plistChecker struct {
	dec   *xml.Decoder
	stack []*plistNode
	done  bool
}

// plistNode is one open element.
type plistNode struct {
	name     string
	children int
	text     strings.Builder
	keys     map[string]bool // of a dict
	isKey    bool            // a dict whose next child must be a value
}

func (c *plistChecker) token(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return c.start(t)
	case xml.EndElement:
		return c.end()
	case xml.CharData:
		return c.chars(t)
	}
	return nil // declaration, document type, comment
}

func (c *plistChecker) start(t xml.StartElement) error {
	name := t.Name.Local
	if len(c.stack) >= maxPlistDepth {
		return errors.New("nested too deeply")
	}
	if len(c.stack) == 0 {
		if c.done || name != "plist" || !attrIs(t, "version", "1.0") {
			return fmt.Errorf("root element <%.20s>, want one <plist version=\"1.0\">", name)
		}
	} else if err := c.stack[len(c.stack)-1].child(name); err != nil {
		return err
	}
	c.stack = append(c.stack, &plistNode{name: name})
	return nil
}

func attrIs(t xml.StartElement, name, want string) bool {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value == want
		}
	}
	return false
}

// child admits one more element below n.
func (n *plistNode) child(name string) error {
	n.children++
	switch n.name {
	case "plist":
		if n.children > 1 {
			return errors.New("more than one value")
		}
	case "array":
	case "dict":
		if (name == "key") == n.isKey {
			return fmt.Errorf("<%.20s> where a dictionary needs the other of key and value", name)
		}
		n.isKey = !n.isKey
		if name == "key" {
			return nil
		}
	default:
		return fmt.Errorf("element inside <%s>", n.name)
	}
	switch name {
	case "dict", "array", "string", "data", "date", "integer", "real", "true", "false":
		return nil
	}
	return fmt.Errorf("unknown element <%.20s>", name)
}

func (c *plistChecker) end() error {
	n := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	if n.name == "plist" {
		c.done = true
		if n.children == 0 {
			return errors.New("no value")
		}
		return nil
	}
	return n.close(c.stack[len(c.stack)-1])
}

// close checks a finished element; parent is the one around it.
func (n *plistNode) close(parent *plistNode) error {
	text := n.text.String()
	switch n.name {
	case "key":
		if parent.keys == nil {
			parent.keys = map[string]bool{}
		}
		if parent.keys[text] {
			return fmt.Errorf("key %.60q twice", text)
		}
		parent.keys[text] = true
	case "dict":
		if n.isKey {
			return errors.New("a key without a value")
		}
	case "date":
		if _, err := time.Parse("2006-01-02T15:04:05Z", text); err != nil {
			return errors.New("a date that is not one")
		}
	}
	return nil
}

func (c *plistChecker) chars(t xml.CharData) error {
	if len(c.stack) > 0 {
		n := c.stack[len(c.stack)-1]
		switch n.name {
		case "key", "string", "data", "date", "integer", "real":
			n.text.Write(t)
			return nil
		}
	}
	if len(bytes.Trim(t, " \t\r\n\ufeff")) > 0 {
		return errors.New("text between elements")
	}
	return nil
}
