package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
)

// Where an installed package has its files; set when it is built, by
// -ldflags -X. Empty in a binary of one's own.
var packagedData, packagedConfig string

// place puts the configuration that init wrote into the file that was asked
// for, and a pointer to it into the data directory. Owner and rights of a file
// that is there stay: a package says who may read it.
func place(cfg config.Config, file string) error {
	own := cfg.In("signet.toml")
	if file == own {
		return nil
	}
	var text bytes.Buffer
	if err := config.Describe(&text, cfg); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	mode, uid, gid := fs.FileMode(0o600), -1, -1
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
		uid, gid = owner(info)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for the configuration: %w", err)
	}
	err := disk.Replace(file, text.Bytes(), mode)
	if err == nil && uid >= 0 && os.Geteuid() == 0 {
		err = os.Chown(file, uid, gid)
	}
	if err == nil {
		err = disk.Replace(own, []byte("# The configuration of this Signet is "+file+".\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// handOver gives what root made in somebody else's data directory to him: the
// service could not read it otherwise.
func handOver(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	uid, gid := owner(info)
	if uid == 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// owner gives user and group of a file; -1 where the system has none.
func owner(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}
