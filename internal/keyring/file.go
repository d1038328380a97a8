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
		return ErrExposed.With(fmt.Errorf("%s has mode %v, want 0700", dir, info.Mode()))
	}
	return nil
}

// read gives the contents of a regular file.
func read(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, ErrDamaged.With(fmt.Errorf("%s is no regular file of at most %d bytes", path, maxFile))
	}
	return os.ReadFile(path)
}

// write puts a whole new file in place, or replaces one; never a part of it,
// even when the machine stops.
func write(path string, data []byte, mode fs.FileMode, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		os.Remove(f.Name()) // already gone after a rename
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// create is write for a file that must not be there yet.
func create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, os.Link)
}

// replace is write for a file that may be there.
func replace(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, os.Rename)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// encrypt writes plain to a new file of the ring and wipes it.
func (r *Ring) encrypt(name string, plain seal.Secret) error {
	defer plain.Wipe()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r.unlock.Recipient())
	if err == nil {
		_, err = w.Write(plain.Reveal())
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = create(filepath.Join(r.dir, name), out.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// decrypt reads what encrypt wrote.
func (r *Ring) decrypt(name string) (seal.Secret, error) {
	data, err := read(filepath.Join(r.dir, name))
	if err != nil {
		return seal.Secret{}, ErrDamaged.With(err)
	}
	plain, err := age.Decrypt(bytes.NewReader(data), r.unlock)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return seal.Secret{}, ErrUnlockWrong.With(fmt.Errorf("opening %s: %w", name, err))
	}
	if err != nil {
		return seal.Secret{}, ErrDamaged.With(fmt.Errorf("opening %s: %w", name, err))
	}
	secret := make([]byte, 0, len(data))
	buf := bytes.NewBuffer(secret)
	if _, err := io.Copy(buf, plain); err != nil {
		return seal.Secret{}, ErrDamaged.With(fmt.Errorf("opening %s: %w", name, err))
	}
	return seal.NewSecret(buf.Bytes()), nil
}
