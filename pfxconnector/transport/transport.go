// Package transport has the RSA keys that passwords of PKCS#12 files travel
// under on their way here: an importer that was made for Intune encrypts the
// password of each file to the public half, and names the key by a provider and
// a name, as Windows does.
//
// It promises that private halves come in and never go out, and that only OAEP
// with SHA-2 is decrypted. Who has such a key and a recorded request has the
// file in it, so they are kept sealed. Start at [Service].
package transport

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures that callers tell apart.
var (
	ErrUnknown = fault.New(fault.Invalid, "key_unknown",
		"There is no transport key of this provider and name.", "signet graph key list shows them; create or import makes one.")
	ErrExists = fault.New(fault.Conflict, "transport_key_exists",
		"There is a transport key of this provider and name already.", "Keys are never overwritten; take another name.")
	ErrName = fault.New(fault.Invalid, "transport_key_name_invalid",
		"A provider and a key name are 1 to 200 printable characters each.", "")
	ErrBits = fault.New(fault.Invalid, "transport_key_size_invalid",
		"A transport key is an RSA key of 2048, 3072 or 4096 bits.", "")
	ErrFormat = fault.New(fault.Invalid, "transport_key_unreadable",
		"This is no RSA private key.", "It is PEM (PKCS #8 or PKCS #1, not encrypted), or the RSAFULLPRIVATEBLOB that Export-IntunePrivateKey writes.")
	ErrPublic = fault.New(fault.Invalid, "transport_key_public_only",
		"This is the public half of a key, which opens nothing.", "Export-IntunePrivateKey writes the private one.")
	ErrPublicFormat = fault.New(fault.Invalid, "transport_public_unreadable",
		"This is no RSA public key.", "It is what Export-IntunePublicKey writes: PEM (PUBLIC KEY), or the RSAPUBLICBLOB.")
	ErrPadding = fault.New(fault.Invalid, "padding_refused",
		"Passwords are not taken under this padding scheme.", "Use OaepSha256, OaepSha384 or OaepSha512.")
	ErrDecrypt = fault.New(fault.Invalid, "oaep_decrypt_failed",
		"The encrypted password does not open.", "Encrypt it to the public key that signet graph key export gives for this provider and name, by the padding scheme that is named.")
)

// Key is what is public of a transport key.
type Key struct {
	Provider  string
	Name      string
	Public    *rsa.PublicKey
	CreatedAt time.Time
}

// Store keeps the keys.
type Store interface {
	// TransportKeyAdded stores a key and its private half, PKCS#8. ErrExists
	// when that provider has one of that name.
	TransportKeyAdded(ctx context.Context, k Key, private seal.Secret, e journal.Entry) error
	// TransportKey gives a key and its private half; ErrUnknown.
	TransportKey(ctx context.Context, provider, name string) (Key, seal.Secret, error)
	// TransportKeys lists them by provider and name; never nil.
	TransportKeys(ctx context.Context) ([]Key, error)
}

// Service makes keys and opens passwords.
type Service struct {
	store Store
	now   func() time.Time
}

// New makes the service over its store.
func New(store Store, now func() time.Time) *Service {
	if store == nil || now == nil {
		panic("transport: nil dependency")
	}
	return &Service{store, now}
}

// Create makes a key of so many bits.
func (s *Service) Create(ctx context.Context, by journal.Actor, provider, name string, bits int) (Key, error) {
	if !named(provider) || !named(name) {
		return Key{}, ErrName
	}
	if !sized(bits) {
		return Key{}, ErrBits
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return Key{}, fmt.Errorf("making a transport key: %w", err)
	}
	return s.add(ctx, by, provider, name, key, journal.TransportKeyMade)
}

// Import takes a key that was made elsewhere, as [ParsePrivate] reads it.
func (s *Service) Import(ctx context.Context, by journal.Actor, provider, name string, file seal.Secret) (Key, error) {
	if !named(provider) || !named(name) {
		return Key{}, ErrName
	}
	key, err := ParsePrivate(file.Reveal())
	if err != nil {
		return Key{}, err
	}
	return s.add(ctx, by, provider, name, key, journal.TransportKeyImported)
}

func (s *Service) add(ctx context.Context, by journal.Actor, provider, name string, key *rsa.PrivateKey, a journal.Action) (Key, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Key{}, fmt.Errorf("encoding a transport key: %w", err)
	}
	private := seal.NewSecret(der)
	defer private.Wipe()
	k := Key{Provider: provider, Name: name, Public: &key.PublicKey, CreatedAt: s.now()}
	e := journal.Entry{At: k.CreatedAt, Actor: by, Action: a, Detail: map[string]string{"provider": provider, "key": name}}
	return k, s.store.TransportKeyAdded(ctx, k, private, e)
}

// Keys lists the keys by provider and name; never nil.
func (s *Service) Keys(ctx context.Context) ([]Key, error) { return s.store.TransportKeys(ctx) }

// Open decrypts a password that was encrypted to the key of that provider and
// name. ErrPadding, ErrUnknown, ErrDecrypt.
//
// Spec: RFC 8017 section 7.1.2; Intune S/MIME, userPFXCertificate
func (s *Service) Open(ctx context.Context, provider, name string, p Padding, sealed []byte) (seal.Secret, error) {
	h := p.hash()
	if h == 0 {
		return seal.Secret{}, ErrPadding
	}
	k, private, err := s.store.TransportKey(ctx, provider, name)
	if err != nil {
		return seal.Secret{}, err
	}
	defer private.Wipe()
	key, err := x509.ParsePKCS8PrivateKey(private.Reveal())
	if err != nil {
		return seal.Secret{}, fmt.Errorf("reading transport key %q of %q: %w", k.Name, k.Provider, err)
	}
	plain, err := rsa.DecryptOAEP(h.New(), nil, key.(*rsa.PrivateKey), sealed, nil)
	if err != nil {
		return seal.Secret{}, ErrDecrypt.With(err)
	}
	return seal.NewSecret(plain), nil
}

func named(s string) bool {
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func sized(bits int) bool { return bits == 2048 || bits == 3072 || bits == 4096 }
