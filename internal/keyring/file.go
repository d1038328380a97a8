package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/seal"
)

// maxFile bounds what is read of one file.
const maxFile = 1 << 20

// private refuses a directory that others may look into or change.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at key directory: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return exposed(dir, fmt.Errorf("it has mode %v, want 0700", info.Mode()))
	}
	return nil
}

// exposed names what others can get at.
func exposed(path string, why error) error {
	return ErrExposed.Saying("Others than the service can get at " + path + ".").With(why)
}

// damaged names the file that is, unless it only may not be read.
func damaged(path string, why error) error {
	if errors.Is(why, fs.ErrPermission) {
		return fmt.Errorf("reading the keys: %w", why)
	}
	return ErrDamaged.Saying("The file " + path + " of the keyring is damaged or missing.").With(why)
}

// read gives the contents of a regular file.
func read(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, damaged(path, fmt.Errorf("no regular file of at most %d bytes", maxFile))
	}
	return os.ReadFile(path)
}

// encrypt writes plain to a new file of the ring and wipes it.
func (r *Ring) encrypt(name string, plain seal.Secret) error {
	defer plain.Wipe()
	data, err := r.sealed(plain)
	if err == nil {
		err = disk.Create(filepath.Join(r.dir, name), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// sealed encrypts plain to the unlock key.
func (r *Ring) sealed(plain seal.Secret) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r.unlock.Recipient())
	if err == nil {
		_, err = w.Write(plain.Reveal())
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// decrypt reads what encrypt wrote.
func (r *Ring) decrypt(name string) (seal.Secret, error) {
	path := filepath.Join(r.dir, name)
	data, err := read(path)
	if err != nil {
		return seal.Secret{}, damaged(path, err)
	}
	plain, err := age.Decrypt(bytes.NewReader(data), r.unlock)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return seal.Secret{}, ErrUnlockWrong.Saying("The unlock key does not open " + path + ".").With(err)
	}
	if err != nil {
		return seal.Secret{}, damaged(path, err)
	}
	// Room for all of it: a buffer that grows leaves copies that nobody wipes.
	buf := bytes.NewBuffer(make([]byte, 0, len(data)+bytes.MinRead))
	if _, err := buf.ReadFrom(plain); err != nil {
		return seal.Secret{}, damaged(path, err)
	}
	return seal.NewSecret(buf.Bytes()), nil
}
