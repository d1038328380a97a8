package profile

import (
	"fmt"
	"net/url"
	"reflect"
)

// refs tells what the payload UUIDs of a profile stand for.
type refs map[string]Payload

// identity wants uuid to be that of a payload that brings a key.
func (r refs) identity(key, uuid string) error {
	switch r[uuid].(type) {
	case *SCEP, *PKCS12:
		return nil
	}
	return fmt.Errorf("%s names no identity of this profile: %w", key, ErrInvalid)
}

// optionalIdentity allows an empty uuid as well.
func (r refs) optionalIdentity(key, uuid string) error {
	if uuid == "" {
		return nil
	}
	return r.identity(key, uuid)
}

// certificates wants each uuid to be that of a certificate payload.
func (r refs) certificates(key string, uuids []string) error {
	for _, uuid := range uuids {
		if _, ok := r[uuid].(*Root); !ok {
			return fmt.Errorf("%s names no certificate of this profile: %w", key, ErrInvalid)
		}
	}
	return nil
}

func (p Profile) check() error {
	if err := p.Common.check(); err != nil {
		return fmt.Errorf("profile %s: %w", p.Identifier, err)
	}
	if len(p.Payloads) == 0 {
		return fmt.Errorf("profile %s has no payload: %w", p.Identifier, ErrInvalid)
	}
	all, err := p.refs()
	if err != nil {
		return fmt.Errorf("profile %s: %w", p.Identifier, err)
	}
	for _, payload := range p.Payloads {
		if err := payload.check(all); err != nil {
			return fmt.Errorf("profile %s: payload %s: %w", p.Identifier, payload.Head().Identifier, err)
		}
	}
	if len(only[*MDM](p)) > 1 {
		return fmt.Errorf("profile %s has two MDM payloads: %w", p.Identifier, ErrInvalid)
	}
	return nil
}

// refs collects the UUIDs; identifiers and UUIDs stand once.
func (p Profile) refs() (refs, error) {
	all, identifiers := refs{}, map[string]bool{p.Identifier: true}
	for i, payload := range p.Payloads {
		if payload == nil || reflect.ValueOf(payload).IsNil() {
			return nil, fmt.Errorf("payload %d is nil: %w", i, ErrInvalid)
		}
		head := payload.Head()
		if err := head.check(); err != nil {
			return nil, fmt.Errorf("payload %d: %w", i, err)
		}
		if all[head.UUID] != nil || head.UUID == p.UUID {
			return nil, fmt.Errorf("payload %s: UUID stands twice: %w", head.Identifier, ErrInvalid)
		}
		if identifiers[head.Identifier] {
			return nil, fmt.Errorf("payload %s: identifier stands twice: %w", head.Identifier, ErrInvalid)
		}
		all[head.UUID], identifiers[head.Identifier] = payload, true
	}
	return all, nil
}

func (c Common) check() error {
	if c.Identifier == "" {
		return missing("PayloadIdentifier")
	}
	if !isUUID(c.UUID) {
		return fmt.Errorf("PayloadUUID is no UUID: %w", ErrInvalid)
	}
	return nil
}

func missing(key string) error { return fmt.Errorf("%s is empty: %w", key, ErrInvalid) }

// need checks required text: key, value, key, value.
func need(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return missing(pairs[i])
		}
	}
	return nil
}

// webURL wants an absolute URL of one of the schemes.
func webURL(key, s string, schemes ...string) error {
	u, err := url.Parse(s)
	if err == nil && u.Host != "" {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is no %s URL: %w", key, schemes[len(schemes)-1], ErrInvalid)
}

// oneOf wants value among allowed.
func oneOf[T comparable](key string, value T, allowed ...T) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("%s is %v, must be one of %v: %w", key, value, allowed, ErrInvalid)
}

// first gives the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
