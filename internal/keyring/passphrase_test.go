package keyring_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
)

func TestMain(m *testing.M) {
	keyring.WorkFactor(10)
	os.Exit(m.Run())
}

const passphrase = "correct horse battery"

// says gives that passphrase to whoever asks.
func says(text string) keyring.Option {
	return keyring.Passphrase(func() (seal.Secret, error) { return seal.SecretString(text), nil })
}

// locked is a ring whose unlock key has a passphrase.
func locked(t *testing.T) (dir, unlock string) {
	t.Helper()
	_, dir, unlock = create(t)
	if err := keyring.SetPassphrase(unlock, seal.SecretString(passphrase)); err != nil {
		t.Fatal(err)
	}
	return dir, unlock
}

func TestPassphrase(t *testing.T) {
	dir, unlock := locked(t)
	text, err := os.ReadFile(unlock)
	if err != nil || bytes.Contains(text, []byte("AGE-SECRET-KEY")) {
		t.Fatalf("the key is in clear: %v", err)
	}
	if info, err := os.Stat(unlock); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("got %v, %v, want mode 0400", info.Mode(), err)
	}
	asked := 0
	r, err := keyring.Open(dir, unlock, keyring.Passphrase(func() (seal.Secret, error) {
		asked++
		return seal.SecretString(passphrase), nil
	}))
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	if err := r.SelfTest(); err != nil {
		t.Error(err)
	}
	if is, err := keyring.Encrypted(unlock); !is || err != nil {
		t.Errorf("Encrypted: got %v, %v", is, err)
	}
}

func TestPassphraseRefused(t *testing.T) {
	away := errors.New("nobody is there")
	for name, c := range map[string]struct {
		options []keyring.Option
		want    error
	}{
		"none":       {nil, keyring.ErrPassphraseMissing},
		"wrong":      {[]keyring.Option{says("correct horse batterz")}, keyring.ErrPassphraseWrong},
		"empty":      {[]keyring.Option{says("")}, keyring.ErrPassphraseWrong},
		"not to ask": {[]keyring.Option{keyring.Passphrase(func() (seal.Secret, error) { return seal.Secret{}, away })}, away},
	} {
		t.Run(name, func(t *testing.T) {
			dir, unlock := locked(t)
			before := snapshot(t, dir, unlock)
			for what, do := range map[string]func() error{
				"open": func() error { _, err := keyring.Open(dir, unlock, c.options...); return err },
				"read": func() error { _, err := keyring.UnlockKey(unlock, c.options...); return err },
				"change": func() error {
					return keyring.SetPassphrase(unlock, seal.SecretString("another passphrase"), c.options...)
				},
				"remove": func() error { return keyring.RemovePassphrase(unlock, c.options...) },
			} {
				if err := do(); !errors.Is(err, c.want) {
					t.Errorf("%s: got %v, want %v", what, err, c.want)
				}
			}
			if after := snapshot(t, dir, unlock); after != before {
				t.Errorf("something was written:\n%s\n%s", before, after)
			}
		})
	}
}

// snapshot is every file with what is in it.
func snapshot(t *testing.T, dir, unlock string) string {
	t.Helper()
	var all bytes.Buffer
	for _, d := range []string{dir, filepath.Dir(unlock)} {
		entries, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(d, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(e.Name())
			all.Write(data)
		}
	}
	return all.String()
}

func TestPassphraseChanges(t *testing.T) {
	dir, unlock := locked(t)
	if err := keyring.SetPassphrase(unlock, seal.SecretString("another passphrase"), says(passphrase)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir, unlock, says(passphrase)); !errors.Is(err, keyring.ErrPassphraseWrong) {
		t.Errorf("the old one: got %v", err)
	}
	if err := keyring.RemovePassphrase(unlock, says("another passphrase")); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir, unlock); err != nil {
		t.Error(err)
	}
	if err := keyring.SetPassphrase(unlock, seal.SecretString("short")); !errors.Is(err, keyring.ErrPassphraseShort) {
		t.Errorf("a short one: got %v", err)
	}
}

func TestPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "signet-passphrase")
	if err := os.WriteFile(file, []byte(passphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := keyring.ReadPassphrase(file); err != nil || s.RevealString() != passphrase {
		t.Errorf("got %d bytes, %v", len(s.Reveal()), err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.ReadPassphrase(file); !errors.Is(err, keyring.ErrPassphraseExposed) {
		t.Errorf("for others to read: got %v", err)
	}
	if _, err := keyring.ReadPassphrase(filepath.Join(dir, "none")); !errors.Is(err, keyring.ErrPassphraseMissing) {
		t.Errorf("no file: got %v", err)
	}
	credentials := func(string) string { return dir }
	if got := keyring.FindPassphrase("", credentials); got != file {
		t.Errorf("credential: got %q", got)
	}
	if got := keyring.FindPassphrase("/x", credentials); got != "/x" {
		t.Errorf("configured: got %q", got)
	}
	if got := keyring.FindPassphrase("", func(string) string { return "" }); got != "" {
		t.Errorf("none: got %q", got)
	}
}

// The age program opens what we encrypt, and we open what it does.
func TestPassphraseOfAge(t *testing.T) {
	judge.Need(t, "age", "script")
	dir, unlock := locked(t)
	plain := filepath.Join(t.TempDir(), "plain")
	judge.Run(t, []byte(passphrase+"\n"), "script", "-qec", "age -d -o "+plain+" "+unlock, "/dev/null")
	text, err := os.ReadFile(plain)
	if err != nil || !bytes.Contains(text, []byte("\nAGE-SECRET-KEY-1")) {
		t.Fatalf("age decrypted %d bytes: %v", len(text), err)
	}
	for name, flag := range map[string]string{"binary": "", "armored": " -a"} {
		theirs := filepath.Join(t.TempDir(), name)
		judge.Run(t, []byte("four words of theirs\nfour words of theirs\n"), "script", "-qec", "age -p"+flag+" -o "+theirs+" "+plain, "/dev/null")
		if err := os.Chmod(theirs, 0o400); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Open(dir, theirs, says("four words of theirs")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
