package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// frame is a profile without secrets, as it passes between processes.
type frame struct {
	Common
	RemovalDisallowed bool              `json:",omitempty"`
	Consent           map[string]string `json:",omitempty"`
	Payloads          []tagged
}

type tagged struct {
	Type    string
	Payload json.RawMessage
}

// MarshalJSON writes a frame. A profile that is filled in already, wholly or
// in part, is ErrSecret.
func (p Profile) MarshalJSON() ([]byte, error) {
	f := frame{Common: p.Common, RemovalDisallowed: p.RemovalDisallowed, Consent: p.Consent, Payloads: []tagged{}}
	if _, err := p.refs(); err != nil {
		return nil, err
	}
	for _, payload := range p.Payloads {
		if hasSecret(payload) {
			return nil, fmt.Errorf("payload %s: %w", payload.Head().Identifier, ErrSecret)
		}
		body, err := json.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("payload %s: %w", payload.Head().Identifier, err)
		}
		f.Payloads = append(f.Payloads, tagged{payload.Type(), body})
	}
	return json.Marshal(f)
}

func hasSecret(p Payload) bool {
	switch p := p.(type) {
	case account:
		return p.hasPassword()
	case *SCEP:
		return !p.Challenge.Empty()
	case *PKCS12:
		return len(p.Content) > 0 || !p.Password.Empty()
	}
	return false
}

// UnmarshalJSON reads what MarshalJSON wrote; a payload type outside the list
// and an unknown field are ErrInvalid.
func (p *Profile) UnmarshalJSON(data []byte) error {
	var f frame
	if err := strict(data, &f); err != nil {
		return fmt.Errorf("frame: %w", ErrInvalid)
	}
	out := Profile{Common: f.Common, RemovalDisallowed: f.RemovalDisallowed, Consent: f.Consent}
	for i, t := range f.Payloads {
		payload := empty(t.Type)
		if payload == nil {
			return fmt.Errorf("payload type %s is not in the list: %w", strconv.QuoteToASCII(t.Type), ErrInvalid)
		}
		if err := strict(t.Payload, payload); err != nil {
			return fmt.Errorf("payload %d: %w", i, ErrInvalid)
		}
		out.Payloads = append(out.Payloads, payload)
	}
	if _, err := out.refs(); err != nil {
		return err
	}
	*p = out
	return nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// empty gives an empty payload of a type, nil outside the list.
func empty(payloadType string) Payload {
	for _, p := range []Payload{&Root{}, &SCEP{}, &MDM{}, &PKCS12{}, &Exchange{}, &Mail{}, &LDAP{}, &WebClip{}} {
		if p.Type() == payloadType {
			return p
		}
	}
	return nil
}
