package keyring

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/signet-mdm/signet/internal/fault"
)

// ErrTokenUnset is for keys on a token while no token is configured.
var ErrTokenUnset = fault.New(fault.Unavailable, "pkcs11_not_configured",
	"The key is on a PKCS#11 token, and none is configured.", "Set pkcs11.module, pkcs11.token and pkcs11.pin_file.")

// Token keeps private keys that never leave it.
type Token interface {
	// Make makes a key of a kind, such as "ecdsa-p256", under a label that
	// people see there. The id finds it again.
	Make(label, kind string) (key crypto.Signer, id string, err error)
	// Key gives a key that Make made, whether the token is there or not: it is
	// asked when the key is used.
	Key(id string, pub crypto.PublicKey) crypto.Signer
	// Check looks whether the token is there and has the key.
	Check(ctx context.Context, id string, pub crypto.PublicKey) error
}

// OnToken says which token the ring's keys are on that are no files.
func OnToken(t Token) Option { return func(w *ways) { w.token = t } }

// noToken is in its place where none is configured.
type noToken struct{}

func (noToken) Make(string, string) (crypto.Signer, string, error)    { return nil, "", ErrTokenUnset }
func (noToken) Check(context.Context, string, crypto.PublicKey) error { return ErrTokenUnset }
func (noToken) Key(_ string, pub crypto.PublicKey) crypto.Signer      { return lostKey{pub} }

// lostKey is a key on a token that is not configured.
type lostKey struct{ pub crypto.PublicKey }

func (k lostKey) Public() crypto.PublicKey                                { return k.pub }
func (lostKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, ErrTokenUnset }

// tokenKey is a named key that is on the token.
type tokenKey struct {
	crypto.Signer
	id string
}

// reference is what is in the ring of a key on the token. Nothing of it is
// secret.
type reference struct {
	ID     string `json:"id"`     // CKA_ID, in hexadecimal
	Label  string `json:"label"`  // CKA_LABEL
	Public []byte `json:"public"` // SubjectPublicKeyInfo
}

const referenceSuffix = ".pkcs11.json"

func labelOf(name string) string { return "signet " + name }

// MakeOnToken makes a key on the token for [Ring.Add] to take under that name.
// If that does not come to pass, the key stays there unused.
func (r *Ring) MakeOnToken(name, kind string) (crypto.Signer, error) {
	if !nameForm.MatchString(name) {
		return nil, ErrName
	}
	k, id, err := r.token.Make(labelOf(name), kind)
	if err != nil {
		return nil, fmt.Errorf("making key %s on the token: %w", name, err)
	}
	return tokenKey{k, id}, nil
}

// file is what the ring has of it.
func (k tokenKey) file(name string) ([]byte, error) {
	pub, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding public key %s: %w", name, err)
	}
	text, err := json.MarshalIndent(reference{k.id, labelOf(name), pub}, "", "  ")
	return append(text, '\n'), err
}

// readReference gives a key on the token.
func (r *Ring) readReference(name string) (crypto.Signer, error) {
	path := filepath.Join(r.dir, name+referenceSuffix)
	text, err := read(path)
	if err != nil {
		return nil, damaged(path, err)
	}
	if exists(filepath.Join(r.dir, name+keySuffix)) { // nobody knows which is right
		return nil, damaged(path, errors.New("there is a key file of the same name"))
	}
	var ref reference
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&ref); err != nil {
		return nil, damaged(path, err)
	}
	pub, err := x509.ParsePKIXPublicKey(ref.Public)
	if err != nil {
		return nil, damaged(path, err)
	}
	return tokenKey{r.token.Key(ref.ID, pub), ref.ID}, nil
}

// TokenKeys lists the named keys that are on the token, in alphabetical order.
func (r *Ring) TokenKeys() (names []string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for name, k := range r.named {
		if _, is := k.key.(tokenKey); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// CheckToken looks whether the token is there and has all keys that should be on
// it; without such keys it does nothing.
func (r *Ring) CheckToken(ctx context.Context) error {
	for _, name := range r.TokenKeys() {
		k, err := r.get(name)
		if err != nil {
			return err
		}
		onToken := k.key.(tokenKey)
		if err := r.token.Check(ctx, onToken.id, onToken.Public()); err != nil {
			return fmt.Errorf("key %s: %w", name, err)
		}
	}
	return nil
}
