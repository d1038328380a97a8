package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
)

// Where an installed package has its files; set when it is built, by
// -ldflags -X. Empty in a binary of one's own.
var packagedData, packagedConfig string

// pointer begins a signet.toml that only says where the configuration is.
const pointer = "# The configuration of this Signet is "

// placed gives a data directory that was just filled its final shape.
func placed(cfg config.Config, file string) error {
	if err := place(cfg, file); err != nil {
		return err
	}
	if err := handOver(cfg.Data); err != nil {
		return fmt.Errorf("giving the data directory to its owner: %w", err)
	}
	return nil
}

// place moves the configuration from the data directory into the file where it
// is looked for, and leaves a pointer to it. Owner and rights of a file that is
// there stay: a package says who may read it. What was set in it is kept beside
// it.
func place(cfg config.Config, file string) error {
	own := cfg.In("signet.toml")
	if file == own {
		return nil
	}
	text, err := os.ReadFile(own)
	if err == nil {
		err = overwrite(file, text)
	}
	if err == nil {
		err = disk.Replace(own, []byte(pointer+file+".\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// overwrite replaces what is in a file, and keeps it as FILE.old when it sets
// anything.
func overwrite(file string, text []byte) error {
	mode, uid, gid := fs.FileMode(0o600), -1, -1
	info, err := os.Stat(file)
	if err == nil {
		mode = info.Mode().Perm()
		uid, gid = owner(info)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old, err := os.ReadFile(file); err == nil && setsAnything(old) {
		if err := disk.Replace(file+".old", old, 0o600); err != nil {
			return err
		}
	}
	if err := disk.Replace(file, text, mode); err != nil || uid < 0 || os.Geteuid() != 0 {
		return err
	}
	return os.Chown(file, uid, gid)
}

func setsAnything(text []byte) bool {
	c := config.Default()
	return config.Parse(text, &c) != nil || c != config.Default()
}

// configText reads the configuration of a data directory, wherever it is.
func configText(cfg config.Config) ([]byte, error) {
	file := cfg.In("signet.toml")
	text, err := os.ReadFile(file)
	if rest, moved := bytes.CutPrefix(text, []byte(pointer)); moved {
		text, err = os.ReadFile(strings.TrimSuffix(string(rest), ".\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return text, nil
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
