package backup

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Values of rows are nil, int64, string and []byte. In JSON the first three
// are themselves, bytes are {"b": base64}, and text that is not UTF-8 is
// {"t": base64}.
type boxed struct {
	Bytes *string `json:"b,omitempty"`
	Text  *string `json:"t,omitempty"`
}

var errValue = errors.New("a value of an unknown kind")

// box gives v as it stands in JSON.
func box(v any) (any, error) {
	switch v := v.(type) {
	case nil, int64:
		return v, nil
	case string:
		if utf8.ValidString(v) {
			return v, nil
		}
		text := base64.StdEncoding.EncodeToString([]byte(v))
		return boxed{Text: &text}, nil
	case []byte:
		text := base64.StdEncoding.EncodeToString(v)
		return boxed{Bytes: &text}, nil
	}
	return nil, errValue
}

// unbox is the way back.
func unbox(raw json.RawMessage) (any, error) {
	switch {
	case len(raw) == 0:
		return nil, errValue
	case string(raw) == "null":
		return nil, nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] != '{':
		var n int64
		err := json.Unmarshal(raw, &n)
		return n, err
	}
	var b boxed
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, err
	}
	switch {
	case b.Bytes != nil && b.Text == nil:
		return base64.StdEncoding.DecodeString(*b.Bytes)
	case b.Text != nil && b.Bytes == nil:
		text, err := base64.StdEncoding.DecodeString(*b.Text)
		return string(text), err
	}
	return nil, errValue
}
