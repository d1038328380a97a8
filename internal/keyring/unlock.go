package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/disk"
)

// credential is the name of the unlock key among systemd's credentials.
const credential = "signet-unlock"

// UnlockKey reads the unlock key in a file, which nobody else may read.
func UnlockKey(path string, options ...Option) (age.Identity, error) {
	return readUnlock(path, waysOf(options))
}

// readUnlock reads the unlock key after looking at who else may.
func readUnlock(path string, w ways) (*age.X25519Identity, error) {
	text, err := unlockText(path)
	if err != nil {
		return nil, err
	}
	return parseUnlock(path, text, w)
}

// unlockText gives what is in the file.
func unlockText(path string) ([]byte, error) {
	f, err := openUnlock(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, ErrUnlockMissing.Saying("The unlock key " + path + " is not there.").With(err)
	}
	return text, nil
}

// parseUnlock reads the key and wipes the text.
func parseUnlock(path string, text []byte, w ways) (_ *age.X25519Identity, err error) {
	defer func() { clear(text) }()
	if encrypted(text) {
		if text, err = decryptUnlock(path, text, w); err != nil {
			return nil, err
		}
	}
	list, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, invalid(path) // without the cause, which may quote the key
	}
	id, ok := list[0].(*age.X25519Identity)
	if !ok {
		return nil, invalid(path)
	}
	return id, nil
}

func invalid(path string) error {
	return ErrUnlockInvalid.Saying("The unlock key file " + path + " does not hold one age identity.")
}

func openUnlock(path string) (*os.File, error) {
	f, err := disk.OpenPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrUnlockMissing.Saying("The unlock key " + path + " is not there.").With(err)
	case errors.Is(err, disk.ErrExposed):
		return nil, exposed(path, err)
	case err != nil:
		return nil, fmt.Errorf("opening unlock key: %w", err)
	}
	return f, nil
}

// makeUnlock makes the unlock key, in a directory that need not be there.
func makeUnlock(path string) (*age.X25519Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making unlock key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making directory of unlock key: %w", err)
	}
	text := unlockFile(id)
	defer clear(text)
	if err := disk.Create(path, text, 0o400); err != nil {
		return nil, fmt.Errorf("writing unlock key: %w", err)
	}
	return id, nil
}
