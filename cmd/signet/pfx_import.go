package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
)

// maxImport bounds what is read of one file; the server's own limit is lower.
const maxImport = 64 << 20

// manyFiles is from when on a person wants to read of refusals only.
const manyFiles = 20

// errFile is the refusal of a file that does not reach the server.
var errFile = fault.New(fault.Invalid, "pfx_file_unreadable",
	"The file cannot be read.", "Check its name and who may read it.")

// importFlags is what the command line says about all files.
type importFlags struct {
	admin.NewImport
	passwordFile string
}

func (a *app) pfxImport() *cobra.Command {
	var in importFlags
	c := &cobra.Command{
		Use:   "import PATH...",
		Short: "Import PKCS#12 files into escrow",
		Long: `Imports PKCS#12 files, or all .pfx and .p12 files below a directory. Each private
key is sealed at once; who imports cannot read it back. Importing the same file
again changes nothing, so a run that was interrupted is simply started again.

A file that cannot be read or used is refused and the rest goes on; the exit
status is then 3. With -o json one object is printed a file.`,
		Example: `  signet pfx import --password-file pw.txt --user alice@example.com old.p12
  signet pfx import --password-file pw.txt --dry-run ./escrow`,
		Args: takes("PATH..."),
		RunE: func(c *cobra.Command, args []string) error { return a.importPaths(c.Context(), in, args) },
	}
	f := c.Flags()
	f.StringVar(&in.User, "user", "", "whose they are (default: whom the certificate names)")
	f.StringVar(&in.passwordFile, "password-file", "", "`FILE` with the password of all files; - for standard input")
	f.StringVar(&in.Purpose, "purpose", "", "`PURPOSE` instead of what the certificate says: signing, encryption or both")
	f.BoolVar(&in.AllowSigningEscrow, "allow-signing-escrow", false, "take keys that are for signing only")
	f.BoolVar(&in.AllowWeak, "allow-weak", false, "take RSA keys that protect nothing any more")
	f.BoolVar(&in.AllowNoMAC, "allow-no-mac", false, "take files without an integrity check")
	f.BoolVar(&in.DryRun, "dry-run", false, "look, but change nothing")
	return c
}

func (a *app) importPaths(ctx context.Context, in importFlags, paths []string) error {
	files, err := pfxFiles(paths)
	if err != nil {
		return err
	}
	password, err := a.importPassword(in.passwordFile)
	if err != nil {
		return err
	}
	defer password.Wipe()
	in.Password = password.RevealString()
	client, err := a.client()
	if err != nil {
		return err
	}
	sum := tally{files: len(files), dry: in.DryRun}
	err = inOrder(ctx, files, func(ctx context.Context, name string) (pfxconnector.FileReport, error) {
		return importFile(ctx, client, in.NewImport, name)
	}, func(r pfxconnector.FileReport) error {
		sum.add(r)
		defer a.progress(sum)
		return a.reportFile(r, len(files) > manyFiles)
	})
	a.progressDone()
	if err != nil {
		return err
	}
	if a.output != "json" {
		fmt.Fprintln(a.stdout, sum)
	}
	if sum.refused > 0 {
		return errRejects
	}
	return nil
}

// pfxFiles lists the files, and those below the directories, in order. What
// cannot be looked at is listed too: reading it says why.
func pfxFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := pfxBelow(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func pfxBelow(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type().IsRegular() && slices.Contains([]string{".pfx", ".p12"}, strings.ToLower(filepath.Ext(path))) {
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no .pfx or .p12 file below %s", dir)
	}
	return files, err
}

// importPassword reads the password from the file, or asks a person for it.
func (a *app) importPassword(file string) (seal.Secret, error) {
	if file != "" {
		return a.secretFile(file)
	}
	if !a.terminal(a.stdin) {
		return seal.Secret{}, usagef("there is nobody to ask for the password: give --password-file; an empty file is an empty password")
	}
	fmt.Fprint(a.stderr, "Password of the files: ")
	b, err := term.ReadPassword(int(a.stdin.(*os.File).Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return seal.Secret{}, fmt.Errorf("reading password: %w", err)
	}
	return seal.NewSecret(b), nil
}

// importFile sends one file. What the server refuses about the file is in the
// report; an error ends the whole run.
func importFile(ctx context.Context, client *admin.Client, in admin.NewImport, name string) (pfxconnector.FileReport, error) {
	data, err := readBounded(name)
	if err != nil {
		return refusedFile(name, errFile.Code, errFile.Msg, err.Error()), nil
	}
	defer clear(data)
	in.File, in.Data = name, data
	report, err := client.Import(ctx, in)
	if f, ok := errors.AsType[*admin.Failure](err); ok && f.Code == "body_too_large" {
		return refusedFile(name, f.Code, "The file is larger than the server takes.", "See limits.import_file_kib."), nil
	}
	return report, err
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxImport))
}

func refusedFile(name, code, msg, hint string) pfxconnector.FileReport {
	return pfxconnector.FileReport{File: name, Status: pfxconnector.Refused, Code: &code, Message: msg, Hint: hint,
		Identities: []pfxconnector.IdentityReport{}}
}
