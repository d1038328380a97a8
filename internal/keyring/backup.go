package keyring

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// identityText begins every age identity, such as the unlock key.
var identityText = []byte("AGE-SECRET-KEY-")

// Files gives the files of the ring for a backup, by name. All of them are
// sealed or public. The unlock key is never among them, wherever it lies and
// whatever it is called.
func (r *Ring) Files() (map[string][]byte, error) {
	list, err := read(filepath.Join(r.dir, escrowFile)) // before the keys that it lists
	if err != nil {
		return nil, damaged(filepath.Join(r.dir, escrowFile), err)
	}
	files := map[string][]byte{escrowFile: list}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the keys: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".age") && !strings.HasSuffix(e.Name(), certSuffix) {
			continue
		}
		path := filepath.Join(r.dir, e.Name())
		data, err := read(path)
		if err != nil {
			return nil, damaged(path, err)
		}
		if !bytes.Contains(data, identityText) {
			files[e.Name()] = data
		}
	}
	return files, nil
}

// Unlocker gives the recipient of what the unlock key is to open.
func (r *Ring) Unlocker() age.Recipient { return r.unlock.Recipient() }

// UnlockKey reads the unlock key in a file, which nobody else may read.
func UnlockKey(path string) (age.Identity, error) { return readUnlock(path) }
