// Package hsm keeps private keys on a PKCS#11 token, which they never leave. It
// needs cgo and the build tag pkcs11; without the tag every use is [ErrNotBuilt].
//
// It promises that a token which is away comes back by itself, that a wrong PIN
// is tried once only, since tokens lock themselves, and that nothing is done
// instead of what the token does not do. Start at [Token].
package hsm

import (
	"context"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Config says which token to use.
type Config struct {
	Module string // path of the PKCS#11 library
	Label  string // of the token; or
	Serial string // its serial number
	PIN    func() (seal.Secret, error)
}

// Kek is a token that holds escrow keys: they are encrypted on it.
type Kek struct{ *Token }

// Name is how a ring calls it.
func (Kek) Name() string { return "pkcs11" }

// Version is 0: there is one key.
func (Kek) Version(string) int { return 0 }

// Check looks whether the token answers.
func (k Kek) Check(ctx context.Context) error { return k.Ready(ctx) }

// Failures of a token.
var (
	ErrNotBuilt = fault.New(fault.Unavailable, "pkcs11_not_built",
		"This program was built without PKCS#11.", "Build it with: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/signet")
	ErrToken = fault.New(fault.Unavailable, "pkcs11_unavailable",
		"The PKCS#11 token does not answer.", "See that it is connected and pkcs11.module and pkcs11.token are right; the server goes on by itself.")
	ErrPIN = fault.New(fault.Denied, "pkcs11_pin_wrong",
		"The PKCS#11 token refuses the PIN.", "Put the right one into its file. The same one is not tried again: tokens lock themselves after a few tries.")
	ErrKeyMissing = fault.New(fault.Unavailable, "pkcs11_key_missing",
		"The key is not on the PKCS#11 token.", "It is another token, or the key was deleted there; restore it with the tools of its maker.")
	ErrRefused = fault.New(fault.Denied, "pkcs11_refused",
		"The PKCS#11 token does not open what its key encrypted.", "It was changed, or is another's; nothing was done.")
	ErrKind = fault.New(fault.Invalid, "pkcs11_key_kind",
		"Keys of this kind are not made on a token.", "Take ecdsa-p256, ecdsa-p384, rsa-3072 or rsa-4096.")
)
