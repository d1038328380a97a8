//go:build pkcs11

package hsm

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ThalesGroup/crypto11"

	"github.com/signet-mdm/signet/internal/seal"
)

const (
	escrowLabel = "signet escrow" // of the key under which escrow keys are encrypted
	namePrefix  = "pkcs11:"       // begins what was encrypted with it
	nonceBytes  = 12
)

// Wrap encrypts on the token, under a key that is made there when it has none.
//
// Spec: PKCS #11 2.40, CKM_AES_GCM
func (t *Token) Wrap(ctx context.Context, plain seal.Secret, bound []byte) (string, error) {
	text, err := within(ctx, t, func(s *session) (string, error) {
		id, k, err := s.escrowKey()
		if err != nil {
			return "", err
		}
		nonce := make([]byte, nonceBytes)
		rand.Read(nonce)
		sealed, err := k.seal(nonce, plain.Reveal(), bound)
		if err != nil {
			return "", err
		}
		return namePrefix + hex.EncodeToString(id) + ":" + base64.RawStdEncoding.EncodeToString(append(nonce, sealed...)), nil
	})
	return text, notPIN(err)
}

// Unwrap opens that, bound to the same.
func (t *Token) Unwrap(ctx context.Context, text string, bound []byte) (seal.Secret, error) {
	id, raw, ok := parse(text)
	if !ok {
		return seal.Secret{}, ErrRefused.With(errors.New("it was not encrypted on a token"))
	}
	plain, err := within(ctx, t, func(s *session) ([]byte, error) {
		k, err := s.secret(id)
		if err != nil {
			return nil, err
		}
		plain, err := k.open(raw[:nonceBytes], raw[nonceBytes:], bound)
		if err != nil && k.works() {
			return nil, ErrRefused.With(err)
		}
		return plain, err
	})
	return seal.NewSecret(plain), notPIN(err)
}

// Ready looks whether the token answers and its key encrypts.
func (t *Token) Ready(ctx context.Context) error {
	_, err := within(ctx, t, func(s *session) (none struct{}, err error) {
		found, err := s.FindKeys(nil, []byte(escrowLabel))
		switch {
		case err != nil:
			return none, err
		case len(found) == 0:
			return none, ErrKeyMissing
		case !(secret{found[0]}).works():
			return none, errors.New("the key on the token does not encrypt")
		}
		return none, nil
	})
	return notPIN(err)
}

// notPIN says of a wrong PIN that the token is away: what is encrypted is well.
func notPIN(err error) error {
	if errors.Is(err, ErrPIN) {
		return ErrToken.Saying(ErrPIN.Msg).With(err)
	}
	return err
}

// parse reads what Wrap gives.
func parse(text string) (id, raw []byte, ok bool) {
	rest, ok := strings.CutPrefix(text, namePrefix)
	name, sealed, more := strings.Cut(rest, ":")
	id, bad := hex.DecodeString(name)
	raw, worse := base64.RawStdEncoding.DecodeString(sealed)
	return id, raw, ok && more && bad == nil && worse == nil && len(id) > 0 && len(raw) > nonceBytes
}

// secret is a key for encryption on the token.
type secret struct{ *crypto11.SecretKey }

// escrowKey gives the key that encrypts, which it makes when there is none.
func (s *session) escrowKey() ([]byte, secret, error) {
	found, err := s.FindKeys(nil, []byte(escrowLabel))
	if err != nil {
		return nil, secret{}, err
	}
	if len(found) > 0 {
		id, err := s.GetAttribute(found[0], crypto11.CkaId)
		if err != nil {
			return nil, secret{}, err
		}
		return id.Value, secret{found[0]}, nil
	}
	id := make([]byte, 16)
	rand.Read(id)
	set, err := crypto11.NewAttributeSetWithIDAndLabel(id, []byte(escrowLabel))
	for what, is := range map[crypto11.AttributeType]bool{crypto11.CkaToken: true, crypto11.CkaPrivate: true, crypto11.CkaSensitive: true,
		crypto11.CkaExtractable: false, crypto11.CkaEncrypt: true, crypto11.CkaDecrypt: true, crypto11.CkaWrap: false, crypto11.CkaUnwrap: false,
		crypto11.CkaSign: false, crypto11.CkaVerify: false} {
		err = errors.Join(err, set.Set(what, is))
	}
	if err != nil {
		return nil, secret{}, err
	}
	made, err := s.GenerateSecretKeyWithAttributes(set, 256, crypto11.CipherAES)
	return id, secret{made}, err
}

// secret finds a key by its id.
func (s *session) secret(id []byte) (secret, error) {
	found, err := s.FindKey(id, []byte(escrowLabel))
	if err == nil && found == nil {
		err = ErrKeyMissing
	}
	return secret{found}, err
}

// seal encrypts on the token. The library panics with its error.
func (k secret) seal(nonce, plain, bound []byte) (sealed []byte, err error) {
	aead, err := k.NewGCM()
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			sealed, err = nil, fmt.Errorf("encrypting on the token: %v", p)
		}
	}()
	return aead.Seal(nil, nonce, plain, bound), nil
}

func (k secret) open(nonce, sealed, bound []byte) ([]byte, error) {
	aead, err := k.NewGCM()
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nonce, sealed, bound)
}

// works tells whether the key does what it should. Tokens have no error of their
// own for what does not open.
func (k secret) works() bool {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce)
	sealed, err := k.seal(nonce, []byte(escrowLabel), nil)
	if err != nil {
		return false
	}
	plain, err := k.open(nonce, sealed, nil)
	return err == nil && string(plain) == escrowLabel
}
