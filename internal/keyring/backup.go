package keyring

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"
)

// unsealed is what stands in a file with a key that is not sealed: an age identity,
// such as the unlock key, or a PEM key that somebody put beside ours.
var unsealed = regexp.MustCompile(`AGE-SECRET-KEY-|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)

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
		if !strings.HasSuffix(e.Name(), ".age") && !strings.HasSuffix(e.Name(), certSuffix) && !strings.HasSuffix(e.Name(), referenceSuffix) {
			continue
		}
		path := filepath.Join(r.dir, e.Name())
		data, err := read(path)
		if err != nil {
			return nil, damaged(path, err)
		}
		if !unsealed.Match(data) {
			files[e.Name()] = data
		}
	}
	return files, nil
}

// Unlocker gives the recipient of what the unlock key is to open.
func (r *Ring) Unlocker() age.Recipient { return r.unlock.Recipient() }
