//go:build !pkcs11

package hsm

import (
	"context"
	"crypto"
	"io"

	"github.com/signet-mdm/signet/internal/seal"
)

// Built tells whether this program can use tokens.
const Built = false

// Token can do nothing in this build.
type Token struct{}

// New gives such a token.
func New(Config) *Token { return &Token{} }

// Make is ErrNotBuilt.
func (*Token) Make(string, string) (crypto.Signer, string, error) { return nil, "", ErrNotBuilt }

// Key gives a key whose use is ErrNotBuilt.
func (*Token) Key(_ string, pub crypto.PublicKey) crypto.Signer { return key{pub} }

// Check is ErrNotBuilt.
func (*Token) Check(context.Context, string, crypto.PublicKey) error { return ErrNotBuilt }

// Wrap is ErrNotBuilt.
func (*Token) Wrap(context.Context, seal.Secret, []byte) (string, error) { return "", ErrNotBuilt }

// Unwrap is ErrNotBuilt.
func (*Token) Unwrap(context.Context, string, []byte) (seal.Secret, error) {
	return seal.Secret{}, ErrNotBuilt
}

// Ready is ErrNotBuilt.
func (*Token) Ready(context.Context) error { return ErrNotBuilt }

type key struct{ pub crypto.PublicKey }

func (k key) Public() crypto.PublicKey { return k.pub }

func (key) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, ErrNotBuilt }
