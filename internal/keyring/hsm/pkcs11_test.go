//go:build pkcs11

package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring/hsm"
	"github.com/signet-mdm/signet/internal/seal"
)

// module finds the library of SoftHSM.
func module(t testing.TB) string {
	judge.Need(t, "softhsm2-util")
	for _, file := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Fatal("softhsm2-util is here and its library is not")
	return ""
}

// drawer is a machine with one token, which can be pulled.
type drawer struct {
	t   *testing.T
	dir string
	pin string // that is typed
	hsm.Config
}

const pin = "73914628"

func newDrawer(t *testing.T) *drawer {
	t.Helper()
	d := &drawer{t: t, dir: t.TempDir(), pin: pin}
	conf := filepath.Join(d.dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(d.dir, "tokens"))
	if err := errors.Join(os.Mkdir(filepath.Join(d.dir, "tokens"), 0o700), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	d.Config = hsm.Config{Module: module(t), Label: "signet", PIN: func() (seal.Secret, error) { return seal.SecretString(d.pin), nil }}
	judge.Run(t, nil, "softhsm2-util", "--init-token", "--free", "--label", "signet", "--so-pin", "12345678", "--pin", pin)
	return d
}

func (d *drawer) rename(from, to string) {
	d.t.Helper()
	if err := os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drawer) pull()    { d.rename("tokens", "pulled") }
func (d *drawer) putBack() { d.rename("pulled", "tokens") }

// open gives the token, and closes it when the test ends.
func (d *drawer) open() *hsm.Token {
	token := hsm.New(d.Config)
	d.t.Cleanup(token.Drop)
	return token
}

func sign(k crypto.Signer) error {
	sum := sha256.Sum256([]byte("to be signed"))
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return err
	}
	switch pub := k.Public().(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, sum[:], sig) {
			return errors.New("the signature does not verify")
		}
		return nil
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig)
	}
	return fmt.Errorf("a key %T", k.Public())
}

func TestKindsOfKeys(t *testing.T) {
	token := newDrawer(t).open()
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "rsa-3072"} { // rsa-4096 takes long to make
		k, id, err := token.Make("signet "+kind, kind)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := sign(k); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := token.Check(t.Context(), id, k.Public()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := sign(token.Key(id, k.Public())); err != nil {
			t.Errorf("%s, found again: %v", kind, err)
		}
		if _, ok := k.(crypto.Decrypter); ok {
			t.Errorf("%s decrypts", kind)
		}
	}
	if _, _, err := token.Make("x", "dsa-1024"); !errors.Is(err, hsm.ErrKind) {
		t.Errorf("got %v", err)
	}
}

// The key stays on the token: another program is refused, with the PIN.
func TestKeyStays(t *testing.T) {
	judge.Need(t, "pkcs11-tool")
	d := newDrawer(t)
	k, id, err := d.open().Make("signet root", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(d.dir, "key")
	tool := func(args ...string) []string {
		return append([]string{"--module", d.Module, "--token-label", "signet", "--login", "--pin", pin}, args...)
	}
	list := judge.Run(t, nil, "pkcs11-tool", tool("--list-objects", "--type", "privkey")...)
	for _, want := range []string{"signet root", "sensitive, always sensitive, never extractable", "Usage:      sign\n"} {
		if !bytes.Contains(list, []byte(want)) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
	said := judge.Run(t, nil, "pkcs11-tool", tool("--read-object", "--type", "privkey", "--id", id, "--output-file", out)...) // it says why not, and ends with status 0
	if data, err := os.ReadFile(out); err == nil && len(data) > 0 {
		t.Errorf("%d bytes of the key came out: %s", len(data), said)
	}
	if err := sign(k); err != nil {
		t.Error(err)
	}
}

func TestTokenAway(t *testing.T) {
	d := newDrawer(t)
	token := d.open()
	k, id, err := token.Make("signet root", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	d.pull()
	if err := token.Check(t.Context(), id, k.Public()); !errors.Is(err, hsm.ErrToken) && !errors.Is(err, hsm.ErrKeyMissing) {
		t.Errorf("pulled: got %v", err)
	}
	if err := sign(k); fault(err) == "" {
		t.Errorf("pulled, but it signs: %v", err)
	}
	d.putBack()
	if err := sign(k); err != nil {
		t.Errorf("put back: %v", err)
	}
	if err := token.Check(t.Context(), id, k.Public()); err != nil {
		t.Errorf("put back: %v", err)
	}
}

func fault(err error) string {
	for _, f := range []error{hsm.ErrToken, hsm.ErrKeyMissing, hsm.ErrPIN} {
		if errors.Is(err, f) {
			return f.Error()
		}
	}
	return ""
}

func TestWrongPIN(t *testing.T) {
	d := newDrawer(t)
	first := d.open()
	k, id, err := first.Make("signet root", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	first.Drop() // who is logged in needs no PIN
	token := d.open()
	d.pin = "00000000"
	tried := 0
	for range 3 {
		err := token.Check(t.Context(), id, k.Public())
		if !errors.Is(err, hsm.ErrPIN) {
			t.Errorf("got %v, want ErrPIN", err)
		}
		if _, token := errors.AsType[pkcs11.Error](err); token {
			tried++
		}
	}
	if tried != 1 {
		t.Errorf("the token was asked %d times, want once", tried)
	}
	d.pin = pin // the file was put right
	if err := token.Check(t.Context(), id, k.Public()); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

func TestWrongToken(t *testing.T) {
	d := newDrawer(t)
	token := d.open()
	k, id, err := token.Make("signet root", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := token.Make("signet other", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*hsm.Config)
		id     string
		pub    crypto.PublicKey
		want   error
	}{
		"no such key":     {func(*hsm.Config) {}, "00112233", k.Public(), hsm.ErrKeyMissing},
		"no key id":       {func(*hsm.Config) {}, "xyz", k.Public(), hsm.ErrKeyMissing},
		"another's key":   {func(*hsm.Config) {}, id, other.Public(), hsm.ErrKeyMissing},
		"no such label":   {func(c *hsm.Config) { c.Label = "other" }, id, k.Public(), hsm.ErrToken},
		"no such library": {func(c *hsm.Config) { c.Module = "/nowhere.so" }, id, k.Public(), hsm.ErrToken},
		"no PKCS#11":      {func(c *hsm.Config) { c.Module = os.Args[0] }, id, k.Public(), hsm.ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := d.Config
			c.change(&cfg)
			token := hsm.New(cfg)
			t.Cleanup(token.Drop)
			if err := token.Check(t.Context(), c.id, c.pub); !errors.Is(err, c.want) {
				t.Errorf("check: got %v, want %v", err, c.want)
			}
			if err := sign(token.Key(c.id, c.pub)); !errors.Is(err, c.want) {
				t.Errorf("sign: got %v, want %v", err, c.want)
			}
		})
	}
}

// Who asks whether a token is well does not wait for one that hangs.
func TestTokenHangs(t *testing.T) {
	release := make(chan struct{})
	token := hsm.New(hsm.Config{Module: module(t), Label: "signet", PIN: func() (seal.Secret, error) {
		<-release
		return seal.Secret{}, errors.New("given up")
	}})
	t.Cleanup(func() { close(release) })
	for range 20 { // more than may wait
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		if err := token.Check(ctx, "00", nil); !errors.Is(err, hsm.ErrToken) {
			t.Errorf("got %v", err)
		}
		stop()
	}
}

// Many sign at once, while the token comes and goes.
func TestManySign(t *testing.T) {
	d := newDrawer(t)
	k, _, err := d.open().Make("signet root", "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if err := sign(k); err != nil && fault(err) == "" {
					t.Error(err)
				}
			}
		})
	}
	d.pull()
	d.putBack()
	all.Wait()
	if err := sign(k); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
