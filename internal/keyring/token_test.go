package keyring_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
)

// token is one that is made of paper; hsm has the real ones.
type token struct {
	t    *testing.T
	keys map[string]crypto.Signer
	away error
}

func (k *token) Make(label, kind string) (crypto.Signer, string, error) {
	if k.away != nil || label != "signet root" || kind != "ecdsa-p384" {
		return nil, "", errors.Join(k.away, errors.New("asked for "+label+", "+kind))
	}
	key := ecKey(k.t)
	k.keys["0a"] = key
	return key, "0a", nil
}

func (k *token) Key(id string, pub crypto.PublicKey) crypto.Signer { return k.keys[id] }

func (k *token) Check(_ context.Context, id string, _ crypto.PublicKey) error {
	if k.keys[id] == nil {
		return errors.New("no such key")
	}
	return k.away
}

func TestKeyOnToken(t *testing.T) {
	_, dir, unlock := create(t)
	paper := &token{t: t, keys: map[string]crypto.Signer{}}
	r, err := keyring.Open(dir, unlock, keyring.OnToken(paper))
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.MakeOnToken("root", "ecdsa-p384")
	if err != nil {
		t.Fatal(err)
	}
	root := selfSigned(t, key)
	if err := r.Add("root", key, []*x509.Certificate{root}); err != nil {
		t.Fatal(err)
	}
	if err := r.Add("root", ecKey(t), nil); !errors.Is(err, keyring.ErrKeyExists) {
		t.Errorf("another in its place: got %v", err)
	}
	if err := r.Add("device", ecKey(t), nil); err != nil {
		t.Fatal(err)
	}
	again, err := keyring.Open(dir, unlock, keyring.OnToken(paper))
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*keyring.Ring{r, again} {
		if got := ring.TokenKeys(); !slices.Equal(got, []string{"root"}) {
			t.Errorf("on the token: got %v", got)
		}
		if err := ring.CheckToken(t.Context()); err != nil {
			t.Error(err)
		}
		s, err := ring.Signer("root")
		if err != nil || !root.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(s.Public()) {
			t.Errorf("signer: %v", err)
		}
		if _, err := ring.Decrypter("root"); !errors.Is(err, keyring.ErrKeyUse) {
			t.Errorf("decrypter: got %v", err)
		}
	}
	if files, err := again.Files(); err != nil || files["root.pkcs11.json"] == nil || files["root.key.age"] != nil {
		t.Errorf("files: %v", err)
	}
	paper.away = errors.New("pulled")
	if err := again.CheckToken(t.Context()); !errors.Is(err, paper.away) {
		t.Errorf("pulled: got %v", err)
	}
}

// Without the token all else works, and nothing takes its place.
func TestTokenUnset(t *testing.T) {
	_, dir, unlock := create(t)
	paper := &token{t: t, keys: map[string]crypto.Signer{}}
	r, err := keyring.Open(dir, unlock, keyring.OnToken(paper))
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.MakeOnToken("root", "ecdsa-p384")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add("root", key, nil); err != nil {
		t.Fatal(err)
	}
	without, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	s, err := without.Signer("root")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, keyring.ErrTokenUnset) {
		t.Errorf("sign: got %v", err)
	}
	if err := without.CheckToken(t.Context()); !errors.Is(err, keyring.ErrTokenUnset) {
		t.Errorf("check: got %v", err)
	}
	if _, err := without.MakeOnToken("more", "ecdsa-p256"); !errors.Is(err, keyring.ErrTokenUnset) {
		t.Errorf("make: got %v", err)
	}
	reference := filepath.Join(dir, "root.pkcs11.json")
	// Nobody puts a key file beside it that would be used instead.
	if err := os.WriteFile(filepath.Join(dir, "root.key.age"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir, unlock); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("two of a name: got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "root.key.age")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", `{"id":"0a","label":"x","public":"AAAA"}`, `{"id":"0a","label":"x","public":"","more":1}`} {
		if err := os.WriteFile(reference, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Open(dir, unlock); !errors.Is(err, keyring.ErrDamaged) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
