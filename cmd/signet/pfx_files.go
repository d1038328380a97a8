package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/manifest"
)

// pfxFile is a file to import, and what a list says about it.
type pfxFile struct {
	name         string
	listed       bool // it comes from a list
	user         string
	purpose      string
	password     seal.Secret
	passwordFile string
}

// asks tells whether the file has no password of its own.
func (f pfxFile) asks() bool { return f.password.Empty() && f.passwordFile == "" }

// fill completes the request for the file.
func (f pfxFile) fill(in *admin.NewImport, secret func(name string) (seal.Secret, error)) error {
	in.File, in.User, in.Purpose = f.name, cmp.Or(f.user, in.User), cmp.Or(f.purpose, in.Purpose)
	if f.asks() {
		return nil
	}
	own := f.password
	if f.passwordFile != "" {
		var err error
		if own, err = secret(f.passwordFile); err != nil {
			return err
		}
	}
	in.Password = own.RevealString()
	return nil
}

// pfxFiles lists the files, those below the directories and those in the lists,
// in order. What cannot be looked at is listed too: reading it says why.
func pfxFiles(paths []string) ([]pfxFile, error) {
	var files []pfxFile
	for _, path := range paths {
		info, err := os.Stat(path)
		var found []pfxFile
		switch {
		case err == nil && info.IsDir():
			found, err = pfxBelow(path)
		case err == nil && strings.EqualFold(filepath.Ext(path), ".csv"):
			found, err = pfxListed(path)
		default:
			found, err = []pfxFile{{name: path}}, nil
		}
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func pfxBelow(dir string) (files []pfxFile, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type().IsRegular() && slices.Contains([]string{".pfx", ".p12"}, strings.ToLower(filepath.Ext(path))) {
			files = append(files, pfxFile{name: path})
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no .pfx or .p12 file below %s", dir)
	}
	return files, err
}

// pfxListed gives the files of a list. Names in it are relative to it.
func pfxListed(list string) ([]pfxFile, error) {
	in, err := os.Open(list)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	rows, err := manifest.Read(in)
	if f := fault.Of(err); f != nil {
		return nil, f.Saying(list + ": " + f.Msg)
	}
	if err != nil {
		return nil, err
	}
	var files []pfxFile
	for _, r := range rows {
		files = append(files, pfxFile{name: beside(list, r.File), listed: true, user: r.User, purpose: r.Purpose,
			password: r.Password, passwordFile: beside(list, r.PasswordFile)})
	}
	return files, nil
}

func beside(list, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(list), name)
}
