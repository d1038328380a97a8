package main

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/archive"
	"github.com/signet-mdm/signet/pfxconnector/manifest"
)

// pfxFile is a file to import, and what a list says about it.
type pfxFile struct {
	manifest.Row
	name   string
	listed bool // it comes from a list
	packed *archive.Entry
}

// asks tells whether the file has no password of its own.
func (f pfxFile) asks() bool {
	return f.Password.Empty() && f.PasswordFile == "" && f.PasswordCommand == ""
}

// read gives what is in the file; the caller clears it.
func (f pfxFile) read() ([]byte, error) {
	if f.packed != nil {
		return f.packed.Read()
	}
	return readPFX(f.name)
}

func readBounded(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, maxImport))
}

// pfxFiles are the files below some paths. Lists and archives are opened at
// once, so that what is wrong with them is known before anything is done.
type pfxFiles struct {
	paths    []string
	lists    map[string][]manifest.Row
	archives map[string]*archive.Archive
}

func openPFXFiles(paths []string) (*pfxFiles, error) {
	f := &pfxFiles{paths, map[string][]manifest.Row{}, map[string]*archive.Archive{}}
	for _, path := range paths {
		if err := f.open(path); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (f *pfxFiles) open(path string) (err error) {
	switch info, bad := os.Stat(path); {
	case bad != nil: // reading it says why
	case info.IsDir():
		for range pfxBelow(path) {
			return nil
		}
		err = fmt.Errorf("there is no .pfx, .p12, .pem or .key file below %s", path)
	case hasExt(path, ".csv"):
		f.lists[path], err = pfxList(path, manifest.Read)
	case hasExt(path, ".json"):
		f.lists[path], err = pfxList(path, manifest.ReadJSON)
	case hasExt(path, ".zip") && f.archives[path] == nil:
		f.archives[path], err = archive.Open(path)
	}
	if bad := fault.Of(err); bad != nil {
		return bad.Saying(path + ": " + bad.Msg)
	}
	return err
}

// Close closes the archives.
func (f *pfxFiles) Close() {
	for a := range maps.Values(f.archives) {
		if a != nil {
			a.Close()
		}
	}
}

// all lists the files, those below the directories, in the archives and in the
// lists, in order. What cannot be looked at is listed too: reading it says why.
func (f *pfxFiles) all() iter.Seq[pfxFile] {
	return func(yield func(pfxFile) bool) {
		for _, path := range f.paths {
			for file := range f.of(path) {
				if !yield(file) {
					return
				}
			}
		}
	}
}

func (f *pfxFiles) of(path string) iter.Seq[pfxFile] {
	if rows, ok := f.lists[path]; ok {
		return listed(path, rows)
	}
	if a, ok := f.archives[path]; ok {
		return inside(path, a)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return pfxBelow(path)
	}
	return func(yield func(pfxFile) bool) { yield(pfxFile{name: path}) }
}

// pfxBelow gives the files to import below a directory.
func pfxBelow(dir string) iter.Seq[pfxFile] {
	return func(yield func(pfxFile) bool) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			wanted := err != nil || d.Type().IsRegular() && hasExt(path, ".pfx", ".p12", ".pem", ".key") && !goesWithKey(path)
			if wanted && !yield(pfxFile{name: path}) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// inside gives the files of an archive.
func inside(path string, a *archive.Archive) iter.Seq[pfxFile] {
	return func(yield func(pfxFile) bool) {
		for e := range a.Entries() {
			if !yield(pfxFile{name: path + ":" + e.Name, packed: &e}) {
				return
			}
		}
	}
}

// listed gives the files of a list. Names in it are relative to it.
func listed(list string, rows []manifest.Row) iter.Seq[pfxFile] {
	return func(yield func(pfxFile) bool) {
		for _, r := range rows {
			r.PasswordFile = beside(list, r.PasswordFile)
			if !yield(pfxFile{Row: r, name: beside(list, r.File), listed: true}) {
				return
			}
		}
	}
}

func pfxList(name string, read func(io.Reader) ([]manifest.Row, error)) ([]manifest.Row, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return read(in)
}

func beside(list, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(list), name)
}

func hasExt(path string, any ...string) bool {
	return slices.Contains(any, strings.ToLower(filepath.Ext(path)))
}
