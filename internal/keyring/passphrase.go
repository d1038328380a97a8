package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures of the passphrase.
var (
	ErrPassphraseMissing = fault.New(fault.Denied, "passphrase_missing",
		"The unlock key is encrypted with a passphrase, which nobody gave.",
		"Start it on a terminal, which asks for it, or give it as the systemd credential signet-passphrase or in the file of keys.passphrase_file.")
	ErrPassphraseWrong = fault.New(fault.Denied, "passphrase_wrong",
		"The passphrase does not open the unlock key.", "Nothing was changed. Try again; the age program opens that file too: age -d.")
	ErrPassphraseExposed = fault.New(fault.Denied, "passphrase_exposed",
		"Others than the service can get at the passphrase.", "Take the rights of group and others away with chmod, and give the file to the service user.")
	ErrPassphraseShort = fault.New(fault.Invalid, "passphrase_short",
		"The passphrase is too short.", "Take 12 characters or more; several words are easier to type.")
)

// minPassphrase is the least length in bytes that is taken for a new one.
const minPassphrase = 12

// passphraseCredential is its name among systemd's credentials.
const passphraseCredential = "signet-passphrase"

// workFactor is the logarithm of scrypt's cost, age's own: a second or two.
var workFactor = 18

// FindPassphrase tells which file has the passphrase: the one of the
// configuration, else systemd's credential; "" when there is none.
func FindPassphrase(configured string, getenv func(string) string) string {
	if dir := getenv("CREDENTIALS_DIRECTORY"); configured == "" && dir != "" {
		if file := filepath.Join(dir, passphraseCredential); exists(file) {
			return file
		}
	}
	return configured
}

// ReadPassphrase reads a file that only its owner may read; a line end at the
// end does not count.
func ReadPassphrase(path string) (seal.Secret, error) {
	f, err := disk.OpenPrivate(path)
	if errors.Is(err, disk.ErrExposed) {
		return seal.Secret{}, ErrPassphraseExposed.Saying("Others than the service can get at " + path + ".").With(err)
	}
	if err != nil {
		return seal.Secret{}, ErrPassphraseMissing.Saying("The file " + path + " with the passphrase cannot be read.").With(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return seal.Secret{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	return seal.NewSecret(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))), nil
}

// Encrypted tells whether the unlock key in a file needs a passphrase.
func Encrypted(path string) (bool, error) {
	text, err := unlockText(path)
	defer clear(text)
	return err == nil && encrypted(text), err
}

const ageHeader = "age-encryption.org/v1\n-> scrypt "

// encrypted tells whether text is an age file with a passphrase.
func encrypted(text []byte) bool {
	head := make([]byte, len(ageHeader))
	n, _ := io.ReadFull(unarmored(text), head) // too short is something else
	return string(head[:n]) == ageHeader
}

// unarmored reads an age file, which may be written as text.
func unarmored(text []byte) io.Reader {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte(armor.Header)) {
		return armor.NewReader(bytes.NewReader(text))
	}
	return bytes.NewReader(text)
}

// decryptUnlock opens an unlock key with its passphrase.
func decryptUnlock(path string, text []byte, w ways) ([]byte, error) {
	if w.passphrase == nil {
		return nil, ErrPassphraseMissing
	}
	pass, err := w.passphrase()
	if err != nil {
		return nil, err
	}
	defer pass.Wipe()
	wrong := ErrPassphraseWrong.Saying("The passphrase does not open the unlock key " + path + ".")
	id, err := age.NewScryptIdentity(pass.RevealString())
	if err != nil { // an empty one
		return nil, wrong
	}
	plain, err := age.Decrypt(unarmored(text), id)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, wrong
	}
	if err != nil {
		return nil, invalid(path)
	}
	out, err := io.ReadAll(io.LimitReader(plain, maxFile))
	if err != nil {
		return nil, invalid(path)
	}
	return out, nil
}

// SetPassphrase encrypts the unlock key in a file with a passphrase, in place
// of the one it has, if any. Options give that one. The file is there whole,
// with the old or the new passphrase.
func SetPassphrase(path string, passphrase seal.Secret, options ...Option) error {
	if len(passphrase.Reveal()) < minPassphrase {
		return ErrPassphraseShort
	}
	id, err := readUnlock(path, waysOf(options))
	if err != nil {
		return err
	}
	to, err := age.NewScryptRecipient(passphrase.RevealString())
	if err != nil {
		return fmt.Errorf("encrypting the unlock key: %w", err)
	}
	to.SetWorkFactor(workFactor)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, to)
	if err == nil {
		_, err = w.Write(unlockFile(id))
	}
	if err == nil {
		err = errors.Join(w.Close(), text.Close())
	}
	if err != nil {
		return fmt.Errorf("encrypting the unlock key: %w", err)
	}
	return replaceUnlock(path, out.Bytes(), id, passphrase)
}

// RemovePassphrase writes the unlock key in clear.
func RemovePassphrase(path string, options ...Option) error {
	id, err := readUnlock(path, waysOf(options))
	if err != nil {
		return err
	}
	return replaceUnlock(path, unlockFile(id), id, seal.Secret{})
}

// replaceUnlock writes the file once it is sure that it gives the key back.
func replaceUnlock(path string, text []byte, id *age.X25519Identity, passphrase seal.Secret) error {
	again := func() (seal.Secret, error) { return seal.SecretString(passphrase.RevealString()), nil }
	back, err := parseUnlock(path, bytes.Clone(text), ways{passphrase: again})
	if err != nil {
		return fmt.Errorf("reading back the unlock key: %w", err)
	}
	if back.String() != id.String() {
		return errors.New("reading back the unlock key: it is another")
	}
	if err := disk.Replace(path, text, 0o400); err != nil {
		return fmt.Errorf("writing unlock key: %w", err)
	}
	return nil
}

// unlockFile is what is in the file of an unlock key in clear.
func unlockFile(id *age.X25519Identity) []byte {
	return []byte(strings.Join([]string{
		"# Signet unlock key: opens every private key. Keep a copy in a safe place.",
		"# public key: " + id.Recipient().String(), id.String(), ""}, "\n"))
}
