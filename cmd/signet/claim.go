package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
)

// demoMark lies in a data directory that a demo made and may delete.
const demoMark = "this-is-a-demo"

var errDemoRuns = fault.New(fault.Conflict, "demo_running",
	"Another demo is running in this data directory.", "End it with Ctrl-C, or name another directory with --data.")

// claim takes a data directory for as long as what it gives is open: a new one,
// or one that an earlier demo left, emptied. The mark comes first, so that a
// demo that is broken off anywhere leaves a folder that the next one may use.
func claim(cfg config.Config) (io.Closer, error) {
	entries, err := os.ReadDir(cfg.Data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking into the data directory: %w", err)
	}
	marked := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == demoMark })
	if len(entries) > 0 && !marked {
		return nil, usagef("%s is not the data directory of a demo; name another with --data", cfg.Data)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	mark, err := os.OpenFile(cfg.In(demoMark), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("marking the data directory: %w", err)
	}
	if taken(mark, cfg.Socket()) {
		mark.Close()
		return nil, errDemoRuns.Saying("Another demo is running in " + cfg.Data + ".")
	}
	for _, e := range entries {
		if e.Name() != demoMark {
			err = errors.Join(err, os.RemoveAll(cfg.In(e.Name())))
		}
	}
	if err != nil {
		mark.Close()
		return nil, fmt.Errorf("emptying the data directory: %w", err)
	}
	return mark, nil
}

// taken tells whether a demo holds the mark, or a server answers. Otherwise
// the mark is ours now.
func taken(mark *os.File, socket string) bool {
	if err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return true
	}
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err == nil
}
