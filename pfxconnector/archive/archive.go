// Package archive reads PKCS#12 files out of a ZIP archive, in memory and within
// limits: it writes no file, follows no link, and believes no size that the
// archive claims. Start at [Open].
package archive

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
)

// The limits.
const (
	MaxEntries   = 200_000  // of all kinds
	MaxDirectory = 32 << 20 // bytes that the list of entries takes
	MaxFile      = 64 << 20 // bytes of one file, unpacked
	MaxName      = 1024     // bytes of the name of a file
	MaxRatio     = 200      // unpacked to packed, from freeSize on
)

// freeSize is what a file may have whatever its ratio.
const freeSize = 1 << 20

// What is wrong with an archive, or with a file in it.
var (
	ErrArchive = fault.New(fault.Invalid, "archive_unreadable",
		"The file is no ZIP archive that can be read.", "Pack it again, without parts and without encryption.")
	ErrTooMany = fault.New(fault.TooLarge, "archive_too_many",
		"The archive lists too many files.", "Split it, or unpack it and import the folder.")
	ErrEntry = fault.New(fault.Invalid, "archive_entry_refused",
		"This entry of the archive is no ordinary file.", "Links, encrypted files and names that lead out of the archive are not read.")
	ErrEntrySize = fault.New(fault.TooLarge, "archive_entry_too_large",
		"This entry of the archive is too large, or packed too tightly, to be a key file.", "Unpack it and look at it.")
)

// Archive is an open archive. It may be read from several goroutines.
type Archive struct {
	file    *os.File
	entries []*zip.File
}

// Open opens an archive; ErrArchive or ErrTooMany when it is none of ours.
func Open(name string) (*Archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a, err := read(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// Close closes it.
func (a *Archive) Close() error { return a.file.Close() }

func read(f *os.File) (*Archive, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the archive: %w", err)
	}
	meter := &meter{ReaderAt: f, left: MaxDirectory}
	z, err := zip.NewReader(meter, info.Size())
	switch {
	case errors.Is(err, ErrTooMany):
		return nil, ErrTooMany
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // which entries are we see ourselves
		return nil, ErrArchive.With(err)
	case len(z.File) > MaxEntries:
		return nil, ErrTooMany
	}
	meter.left = -1
	return &Archive{f, z.File}, nil
}

// meter bounds what is read while the list of entries is; after that left is
// negative and it bounds nothing.
type meter struct {
	io.ReaderAt
	left int64
}

// ReadAt implements [io.ReaderAt].
func (m *meter) ReadAt(p []byte, at int64) (int, error) {
	if m.left < 0 {
		return m.ReaderAt.ReadAt(p, at)
	}
	n, err := m.ReaderAt.ReadAt(p, at)
	if m.left -= int64(n); m.left < 0 {
		m.left = 0
		return 0, ErrTooMany
	}
	return n, err
}

// Entry is one PKCS#12 file in the archive.
type Entry struct {
	Name string // in it, as written
	file *zip.File
}

// Entries gives the .pfx and .p12 files, in the order of the archive.
func (a *Archive) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, f := range a.entries {
			ext := strings.ToLower(path.Ext(f.Name))
			if (ext == ".pfx" || ext == ".p12") && !yield(Entry{f.Name, f}) {
				return
			}
		}
	}
}

// Read unpacks the file; the caller clears it. ErrEntry or ErrEntrySize when it
// is none to be read, ErrArchive when it is damaged.
func (e Entry) Read() ([]byte, error) {
	f := e.file
	switch {
	case !plain(f):
		return nil, ErrEntry
	case f.UncompressedSize64 > MaxFile,
		f.UncompressedSize64 > freeSize && f.UncompressedSize64/MaxRatio > f.CompressedSize64:
		return nil, ErrEntrySize
	}
	r, err := f.Open()
	if err != nil {
		return nil, ErrArchive.With(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, int64(f.UncompressedSize64)+1)) // it may lie
	if err != nil || uint64(len(data)) != f.UncompressedSize64 {
		clear(data)
		return nil, ErrArchive.With(err)
	}
	return data, nil
}

// encrypted is the bit for it in the flags of an entry.
const encrypted = 1

// plain tells whether the entry is an ordinary file inside the archive.
//
// Spec: APPNOTE.TXT section 4.4.17
func plain(f *zip.File) bool {
	return f.Flags&encrypted == 0 && f.Mode().IsRegular() && len(f.Name) <= MaxName && fs.ValidPath(f.Name) && !strings.ContainsAny(f.Name, "\\:\x00")
}
