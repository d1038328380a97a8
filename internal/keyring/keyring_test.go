package keyring_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring"
)

// place is a directory for a ring and a file for its unlock key elsewhere.
func place(t *testing.T) (dir, unlock string) {
	return filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "safe", "unlock.key")
}

func create(t *testing.T) (r *keyring.Ring, dir, unlock string) {
	t.Helper()
	dir, unlock = place(t)
	r, err := keyring.Create(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	return r, dir, unlock
}

var rsaKey, _ = rsa.GenerateKey(rand.Reader, 2048)

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func selfSigned(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeysComeBack(t *testing.T) {
	r, dir, unlock := create(t)
	ec := ecKey(t)
	ca, root := selfSigned(t, ec), selfSigned(t, ecKey(t))
	if err := r.Add("device-ca", ec, []*x509.Certificate{ca, root}); err != nil {
		t.Fatal(err)
	}
	if err := r.Add("ra", rsaKey, nil); err != nil {
		t.Fatal(err)
	}
	again, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*keyring.Ring{"at once": r, "after opening": again} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{"device-ca", "ra"}, r.Names()); diff != "" {
				t.Error(diff)
			}
			signer, err := r.Signer("device-ca")
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte("x"))
			sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(&ec.PublicKey, sum[:], sig) {
				t.Errorf("the signature does not verify: %v", err)
			}
			certs, err := r.Certificates("device-ca")
			if err != nil || len(certs) != 2 || !certs[0].Equal(ca) || !certs[1].Equal(root) {
				t.Errorf("certificates: got %d, %v", len(certs), err)
			}
			sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &rsaKey.PublicKey, []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			d, err := r.Decrypter("ra")
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := d.Decrypt(rand.Reader, sealed, nil); err != nil || string(plain) != "hello" {
				t.Errorf("Decrypt: got %q, %v", plain, err)
			}
			if certs, err := r.Certificates("ra"); err != nil || len(certs) != 0 {
				t.Errorf("certificates of a key without: got %d, %v", len(certs), err)
			}
		})
	}
	if !r.ColumnRoot().Equal(again.ColumnRoot()) || len(r.ColumnRoot().Reveal()) < 32 {
		t.Error("the column root is another, or short")
	}
}

// A key that another server made in the directory is there without a restart.
func TestKeysOfAnotherServer(t *testing.T) {
	r, dir, unlock := create(t)
	other, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Signer("late"); !errors.Is(err, keyring.ErrKeyUnknown) {
		t.Errorf("before: got %v, want ErrKeyUnknown", err)
	}
	key := ecKey(t)
	if err := other.Add("late", key, nil); err != nil {
		t.Fatal(err)
	}
	got, err := r.Signer("late")
	if err != nil || !key.PublicKey.Equal(got.Public()) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, name := range []string{"../keys/late", "none"} {
		if _, err := r.Signer(name); !errors.Is(err, keyring.ErrKeyUnknown) {
			t.Errorf("%s: got %v, want ErrKeyUnknown", name, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	r, dir, unlock := create(t)
	key := ecKey(t)
	if err := r.Add("ca", key, nil); err != nil {
		t.Fatal(err)
	}
	late, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add("late", key, nil); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]struct{ err, want error }{
		"a name twice":                {r.Add("ca", ecKey(t), nil), keyring.ErrKeyExists},
		"a name of another process":   {late.Add("late", ecKey(t), nil), keyring.ErrKeyExists},
		"a path":                      {r.Add("../ca", key, nil), keyring.ErrName},
		"upper case":                  {r.Add("CA", key, nil), keyring.ErrName},
		"no name":                     {r.Add("", key, nil), keyring.ErrName},
		"another key's certificate":   {r.Add("x", key, []*x509.Certificate{selfSigned(t, ecKey(t))}), keyring.ErrCertificate},
		"an unknown name":             {second(r.Signer("x")), keyring.ErrKeyUnknown},
		"an unknown name to decrypt":  {second(r.Decrypter("x")), keyring.ErrKeyUnknown},
		"an EC key to decrypt":        {second(r.Decrypter("ca")), keyring.ErrKeyUse},
		"certificates of an unknown":  {second(r.Certificates("x")), keyring.ErrKeyUnknown},
		"a second ring on top":        {second(keyring.Create(dir, unlock)), keyring.ErrExists},
		"a ring that is not there":    {second(keyring.Open(t.TempDir(), unlock)), keyring.ErrMissing},
		"another ring's unlock key":   {second(keyring.Open(dir, otherUnlock(t))), keyring.ErrUnlockWrong},
		"a recipient that is not yet": {second(keyring.Recipient(t.TempDir())), keyring.ErrMissing},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: got %v, want %v", name, got.err, got.want)
		}
	}
	again, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca", "late"} {
		if s, err := again.Signer(name); err != nil || !key.PublicKey.Equal(s.Public()) {
			t.Errorf("%s was overwritten: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func otherUnlock(t *testing.T) string {
	_, _, unlock := create(t)
	return unlock
}

// Whoever copies the directory has nothing: no file shows a key, and only the
// unlock key, which is elsewhere, opens them.
func TestDirectoryAloneRevealsNothing(t *testing.T) {
	r, dir, unlock := create(t)
	key := ecKey(t)
	if err := r.Add("ca", key, []*x509.Certificate{selfSigned(t, key)}); err != nil {
		t.Fatal(err)
	}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := os.ReadFile(unlock)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for what, leak := range map[string][]byte{"key": secret, "PEM": []byte("PRIVATE KEY"), "column root": r.ColumnRoot().Reveal(),
			"unlock key": bytes.TrimSpace(identity[bytes.Index(identity, []byte("AGE-SECRET-KEY-")):])} {
			if bytes.Contains(data, leak) {
				t.Errorf("%s shows the %s", f.Name(), what)
			}
		}
		if info, _ := f.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode())
		}
	}
	if !slices.Contains(names, "ca.key.age") || !slices.Contains(names, "ca.pem") {
		t.Errorf("files: %v", names)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, unlock: 0o400} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// The package comment says so: age and openssl read a key without us.
func TestOpensWithAgeAndOpenSSL(t *testing.T) {
	judge.Need(t, "openssl")
	r, dir, unlock := create(t)
	key := ecKey(t)
	if err := r.Add("ca", key, nil); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(unlock)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "ca.key.age"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(bytes.NewReader(file), ids...)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(plain); err != nil {
		t.Fatal(err)
	}
	want, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got := judge.Run(t, text.Bytes(), "openssl", "pkey", "-pubout", "-outform", "DER"); !bytes.Equal(got, want) {
		t.Error("openssl reads another key")
	}
}

func TestExposedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		expose func(t *testing.T, dir, unlock string) error
		want   error
	}{
		"unlock key for the group": {func(_ *testing.T, _, u string) error { return os.Chmod(u, 0o440) }, keyring.ErrExposed},
		"unlock key for all":       {func(_ *testing.T, _, u string) error { return os.Chmod(u, 0o404) }, keyring.ErrExposed},
		"writable for the group":   {func(_ *testing.T, _, u string) error { return os.Chmod(u, 0o420) }, keyring.ErrExposed},
		"writable for the owner":   {func(_ *testing.T, _, u string) error { return os.Chmod(u, 0o600) }, nil},
		"directory for the group":  {func(_ *testing.T, d, _ string) error { return os.Chmod(d, 0o750) }, keyring.ErrExposed},
		"a link": {func(_ *testing.T, _, u string) error {
			return errors.Join(os.Rename(u, u+".real"), os.Symlink(u+".real", u))
		}, keyring.ErrExposed},
		"a pipe": {func(_ *testing.T, _, u string) error {
			return errors.Join(os.Remove(u), syscall.Mkfifo(u, 0o400))
		}, keyring.ErrExposed},
		"a directory": {func(_ *testing.T, _, u string) error { return errors.Join(os.Remove(u), os.Mkdir(u, 0o400)) }, keyring.ErrExposed},
		"missing":     {func(_ *testing.T, _, u string) error { return os.Remove(u) }, keyring.ErrUnlockMissing},
		"no key in it": {func(_ *testing.T, _, u string) error {
			return errors.Join(os.Remove(u), os.WriteFile(u, []byte("AGE-SECRET-KEY-1XXX\n"), 0o400))
		}, keyring.ErrUnlockInvalid},
		"a post-quantum key": {func(_ *testing.T, _, u string) error {
			id, err := age.GenerateHybridIdentity()
			return errors.Join(err, os.Remove(u), os.WriteFile(u, []byte(id.String()), 0o400))
		}, keyring.ErrUnlockInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir, unlock := create(t)
			if err := c.expose(t, dir, unlock); err != nil {
				t.Fatal(err)
			}
			_, err := keyring.Open(dir, unlock)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && bytes.Contains([]byte(err.Error()), []byte("SECRET-KEY")) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

// systemd's credentials are readable for the group by mode, for nobody by
// their access control list.
func TestCredential(t *testing.T) {
	_, dir, unlock := create(t)
	credentials := t.TempDir()
	text, err := os.ReadFile(unlock)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(credentials, "signet-unlock")
	if err := os.WriteFile(file, text, 0o440); err != nil {
		t.Fatal(err)
	}
	env := func(string) string { return credentials }
	if got := keyring.FindUnlock("", dir, env); got != file {
		t.Errorf("FindUnlock: got %s, want %s", got, file)
	}
	if got := keyring.FindUnlock("/elsewhere", dir, env); got != "/elsewhere" {
		t.Errorf("FindUnlock with configuration: got %s", got)
	}
	if got := keyring.FindUnlock("", dir, func(string) string { return t.TempDir() }); got != filepath.Join(dir, "unlock.key") {
		t.Errorf("FindUnlock without credential: got %s", got)
	}
	if _, err := keyring.Open(dir, file); !errors.Is(err, keyring.ErrExposed) {
		t.Errorf("outside of systemd: got %v, want ErrExposed", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	if _, err := keyring.Open(dir, file); err != nil {
		t.Errorf("as a credential: %v", err)
	}
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir, file); !errors.Is(err, keyring.ErrExposed) {
		t.Errorf("as a credential for all: got %v, want ErrExposed", err)
	}
}

// A crash at any file of Create is made good by running it again.
func TestCreateGoesOn(t *testing.T) {
	_, dir, unlock := create(t)
	root, err := os.ReadFile(filepath.Join(dir, "column.age"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "escrow.json")); err != nil { // written last
		t.Fatal(err)
	}
	r, err := keyring.Create(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "column.age")); !bytes.Equal(root, again) {
		t.Error("the column root was made anew")
	}
	if err := r.SelfTest(); err != nil || len(r.Escrow()) != 1 {
		t.Errorf("%d escrow keys, %v", len(r.Escrow()), err)
	}
}

// Every file of the ring, changed in one byte or cut short: refused, not used.
func TestDamageIsNoticed(t *testing.T) {
	_, dir, unlock := create(t)
	r, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	key := ecKey(t)
	if err := r.Add("ca", key, []*x509.Certificate{selfSigned(t, key)}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 5 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range files {
		whole, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		for what, data := range map[string][]byte{"changed": flipped, "cut": whole[:len(whole)/2], "empty": {}} {
			if err := os.WriteFile(f, data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := keyring.Open(dir, unlock)
			if err == nil {
				err = r.SelfTest()
			}
			if err == nil && !(what == "empty" && filepath.Ext(f) == ".pem") {
				t.Errorf("%s %s: nothing was noticed", filepath.Base(f), what)
			}
		}
		if err := os.WriteFile(f, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keyring.Open(dir, unlock); err != nil {
		t.Errorf("restored: %v", err)
	}
}
