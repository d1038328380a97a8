package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// Erase overwrites a file and deletes it, for good on media that write in
// place; [fs.ErrNotExist] when it is not there.
func Erase(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	if err := errors.Join(err, f.Sync(), f.Close(), os.Remove(path)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
