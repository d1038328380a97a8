// Package disk puts files in place whole or not at all, even when the machine
// stops. Start at [Create], [Replace] and [Stream].
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Create writes a file that must not be there yet; [fs.ErrExist] when it is.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, bytesOf(data), mode, os.Link)
}

// Replace writes a file that may be there.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return write(path, bytesOf(data), mode, os.Rename)
}

// Stream writes a file that must not be there yet, as fill writes it.
func Stream(path string, fill func(io.Writer) error, mode fs.FileMode) error {
	return write(path, fill, mode, os.Link)
}

func bytesOf(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func write(path string, fill func(io.Writer) error, mode fs.FileMode, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // already gone after a rename
	if err = errors.Join(fill(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
