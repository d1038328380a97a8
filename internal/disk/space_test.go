package disk_test

import (
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/disk"
)

func TestSpace(t *testing.T) {
	dir := t.TempDir()
	free, size, err := disk.Space(dir)
	if err != nil || free == 0 || free > size {
		t.Errorf("got %d of %d, %v", free, size, err)
	}
	if _, _, err := disk.Space(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there has space")
	}
}
