package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// errFinished is returned for a file that cannot be gone on from.
var errFinished = fault.New(fault.Invalid, "resume_file_invalid",
	"This is no file of an interrupted import to this server.", "Give another name with --resume, and all files are sent again.")

// errFinishedBusy is returned for the file of a run that has not ended.
var errFinishedBusy = fault.New(fault.Conflict, "resume_file_busy",
	"Another import writes into this file.", "Wait for its end, or give another name with --resume.")

// mark is the SHA-256 of a file with what the importer says about it, without
// the password.
type mark [sha256.Size]byte

func markOf(in admin.NewImport) mark {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %t %t %t %x", in.User, in.Purpose, in.AllowSigningEscrow, in.AllowWeak, in.AllowNoMAC, sha256.Sum256(in.Data))
	return mark(h.Sum(nil))
}

// finished writes down which files the server has acknowledged: a line with
// which server it is, then one a file with mark and name. A line that a kill cut
// off does not count, so what is written here is never more than what is there.
type finished struct {
	file   *os.File
	before map[mark]bool // when the run began
	synced time.Time
}

const finishedHead = "signet import 1 "

// openFinished reads the file, or makes it.
func openFinished(name, server string) (_ *finished, err error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, errFinishedBusy
	}
	f := &finished{file: file, before: map[mark]bool{}}
	if err := f.load(finishedHead + strconv.Quote(server)); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

// load reads the whole lines and leaves the file where the next one goes.
func (f *finished) load(head string) error {
	lines, end := bufio.NewReaderSize(f.file, 64<<10), int64(0)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && (end > 0 || strings.HasPrefix(head, string(line))) {
			break // what has no end was cut off
		}
		if err != nil || !f.line(bytes.TrimSuffix(line, []byte("\n")), end == 0, head) {
			return errFinished
		}
		end += int64(len(line))
	}
	if err := f.file.Truncate(end); err != nil {
		return fmt.Errorf("cutting off the last line: %w", err)
	}
	if _, err := f.file.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("going to the end: %w", err)
	}
	if end > 0 {
		return nil
	}
	_, err := fmt.Fprintln(f.file, head)
	return err
}

// line takes a line in, and tells whether it is one of ours.
func (f *finished) line(line []byte, first bool, head string) bool {
	if first {
		return string(line) == head
	}
	var m mark
	text, _, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(text) != 2*len(m) {
		return false
	}
	_, err := hex.Decode(m[:], text)
	f.before[m] = err == nil
	return err == nil
}

// has tells whether an earlier run has finished it. It may be called by several
// at a time, and of nil.
func (f *finished) has(m mark) bool { return f != nil && f.before[m] }

// synchronous is how old what is written may become before it is on the disk.
const synchronous = time.Second

// add writes a file down.
func (f *finished) add(name string, m mark) error {
	if f == nil {
		return nil
	}
	if _, err := fmt.Fprintf(f.file, "%x %q\n", m, name); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(f.synced) > synchronous {
		f.synced = now
		return f.file.Sync()
	}
	return nil
}

// Close makes what is written last.
func (f *finished) Close() error { return errors.Join(f.file.Sync(), f.file.Close()) }

// place names the server that the command line means.
func (a *app) place() string {
	if server := a.serverAddress(); server != "" {
		return server
	}
	dir, err := filepath.Abs(a.dataDir())
	if err != nil {
		return a.dataDir()
	}
	return dir
}
