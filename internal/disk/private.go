package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrExposed is returned for a file that others than its owner can get at.
var ErrExposed = errors.New("not private")

// OpenPrivate opens a regular file that only its owner can get at.
func OpenPrivate(path string) (*os.File, error) {
	info, err := os.Lstat(path) // before opening, which waits on a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: no regular file", ErrExposed)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	switch {
	case err != nil:
	case !os.SameFile(info, opened):
		err = fmt.Errorf("%w: it changes while it is read", ErrExposed)
	case opened.Mode().Perm()&forbidden(path) != 0:
		err = fmt.Errorf("%w: it has mode %v, want 0400", ErrExposed, opened.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// forbidden gives the rights that nobody else may have.
//
// Quirk: systemd gives the service its credentials by an access control list,
// whose mask shows as rights of the group although the group has none.
func forbidden(path string) fs.FileMode {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		return 0o037
	}
	return 0o077
}
