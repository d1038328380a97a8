//go:build pkcs11

package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
)

// Built tells whether this program can use tokens.
const Built = true

// Token is one PKCS#11 token. It is opened when it is first needed, and again
// when it was away. Safe for concurrent use.
type Token struct {
	Config
	busy chan struct{} // one for each that waits for the token

	mu      sync.Mutex
	session *session
	refused [sha256.Size]byte // PIN that the token did not take
}

// session is an open token with the keys that were found on it.
type session struct {
	*crypto11.Context
	mu   sync.Mutex
	keys map[string]crypto.Signer
}

// New takes a token that need not be there yet.
func New(c Config) *Token {
	if c.PIN == nil {
		panic("hsm: nil dependency")
	}
	return &Token{Config: c, busy: make(chan struct{}, maxBusy)}
}

// How long is waited for a token, which may hang for ever in its library: then
// who asked is told, and no more than maxBusy wait on.
const (
	signTime = 15 * time.Second
	makeTime = 5 * time.Minute // large RSA keys take their time
	maxBusy  = 16
)

// Make makes a key under a label for people; id finds it again. It signs and
// does nothing else, and cannot be exported.
func (t *Token) Make(label, kind string) (key crypto.Signer, id string, err error) {
	raw := make([]byte, 16)
	rand.Read(raw)
	id = hex.EncodeToString(raw)
	ctx, stop := context.WithTimeout(context.Background(), makeTime)
	defer stop()
	key, err = within(ctx, t, func(s *session) (crypto.Signer, error) { return generate(s.Context, kind, raw, label) })
	if err != nil {
		return nil, "", err
	}
	return t.Key(id, key.Public()), id, nil
}

func generate(c *crypto11.Context, kind string, id []byte, label string) (crypto.Signer, error) {
	public, private, err := attributes(id, label)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "ecdsa-p256":
		return c.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256())
	case "ecdsa-p384":
		return c.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P384())
	case "rsa-3072", "rsa-4096":
		bits := map[string]int{"rsa-3072": 3072, "rsa-4096": 4096}[kind]
		return c.GenerateRSAKeyPairWithAttributes(public, private, bits)
	}
	return nil, ErrKind
}

// attributes are of a pair that signs, stays on the token, and needs the PIN.
func attributes(id []byte, label string) (public, private crypto11.AttributeSet, err error) {
	if public, err = crypto11.NewAttributeSetWithIDAndLabel(id, []byte(label)); err != nil {
		return nil, nil, err
	}
	private = public.Copy()
	for set, values := range map[*crypto11.AttributeSet]map[crypto11.AttributeType]bool{
		&public: {crypto11.CkaToken: true, crypto11.CkaVerify: true, crypto11.CkaEncrypt: false, crypto11.CkaWrap: false},
		&private: {crypto11.CkaToken: true, crypto11.CkaPrivate: true, crypto11.CkaSensitive: true, crypto11.CkaExtractable: false,
			crypto11.CkaSign: true, crypto11.CkaDecrypt: false, crypto11.CkaUnwrap: false, crypto11.CkaDerive: false},
	} {
		for what, is := range values {
			err = errors.Join(err, set.Set(what, is))
		}
	}
	return public, private, err
}

// Key gives a key that Make made. The token is asked when it signs.
func (t *Token) Key(id string, pub crypto.PublicKey) crypto.Signer { return key{t, id, pub} }

// Check looks whether the token answers and has the key. ErrToken, ErrPIN,
// ErrKeyMissing.
func (t *Token) Check(ctx context.Context, id string, pub crypto.PublicKey) error {
	_, err := within(ctx, t, func(s *session) (crypto.Signer, error) {
		s.forget(id) // ask the token itself
		return s.find(id, pub)
	})
	return err
}

// key is a key on the token.
type key struct {
	token *Token
	id    string
	pub   crypto.PublicKey
}

func (k key) Public() crypto.PublicKey { return k.pub }

// Sign has the token sign. What it gives back is nobody's until it is verified,
// which whoever issues does.
func (k key) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, stop := context.WithTimeout(context.Background(), signTime)
	defer stop()
	digest = bytes.Clone(digest) // the token may read it after we gave up
	return within(ctx, k.token, func(s *session) ([]byte, error) {
		found, err := s.find(k.id, k.pub)
		if err != nil {
			return nil, err
		}
		return found.Sign(r, digest, opts)
	})
}

// within does f on the open token, and waits for it until ctx ends.
func within[T any](ctx context.Context, t *Token, f func(*session) (T, error)) (T, error) {
	var none T
	select {
	case t.busy <- struct{}{}:
	case <-ctx.Done():
		return none, ErrToken.With(ctx.Err())
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-t.busy }()
		var r result
		r.err = t.with(func(s *session) (err error) {
			r.value, err = f(s)
			return err
		})
		done <- r
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ErrToken.With(ctx.Err())
	}
}

// with does f on the open token. When that fails it is opened anew and f done
// once more: it may have been pulled and put back.
func (t *Token) with(f func(*session) error) error {
	for try := 0; ; try++ {
		s, err := t.open()
		if err != nil {
			return err
		}
		if err = f(s); err == nil || errors.Is(err, ErrKind) || errors.Is(err, ErrRefused) {
			return err
		}
		t.drop(s)
		if try > 0 {
			if fault.Of(err) != nil {
				return err
			}
			return ErrToken.With(err)
		}
	}
}

func (t *Token) open() (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session != nil {
		return t.session, nil
	}
	pin, err := t.PIN()
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	if t.refused == sha256.Sum256(pin.Reveal()) {
		return nil, ErrPIN
	}
	c, err := crypto11.Configure(&crypto11.Config{Path: t.Module, TokenLabel: t.Label, TokenSerial: t.Serial, Pin: pin.RevealString()})
	if code, ok := errors.AsType[pkcs11.Error](err); ok && refuses(code) {
		t.refused = sha256.Sum256(pin.Reveal())
		return nil, ErrPIN.With(err)
	}
	if err != nil {
		return nil, ErrToken.With(fmt.Errorf("opening the token: %w", err))
	}
	t.session = &session{Context: c, keys: map[string]crypto.Signer{}}
	return t.session, nil
}

// refuses tells whether a login failed for the PIN itself.
func refuses(code pkcs11.Error) bool {
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED:
		return true
	}
	return false
}

// drop closes a session that failed, unless somebody did already.
func (t *Token) drop(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session == s {
		t.session = nil
		s.Close()
	}
}

// find gives a key of the token and makes sure that it is ours.
func (s *session) find(id string, pub crypto.PublicKey) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[id]; k != nil {
		return k, nil
	}
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) == 0 {
		return nil, ErrKeyMissing
	}
	found, err := s.FindKeyPairs(raw, nil)
	if err != nil {
		return nil, err
	}
	for _, k := range found {
		if cert.SameKey(k.Public(), pub) {
			s.keys[id] = k
			return k, nil
		}
	}
	return nil, ErrKeyMissing
}

func (s *session) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}
