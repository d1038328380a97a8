package disk

import (
	"fmt"
	"syscall"
)

// Space gives the bytes that are free for us where path is, and how many there
// are in all.
func Space(path string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("looking for space at %s: %w", path, err)
	}
	unit := uint64(s.Bsize)
	return uint64(s.Bavail) * unit, s.Blocks * unit, nil
}
