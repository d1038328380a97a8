package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/spf13/cobra"
)

// maxImport bounds what is read of one file; the server's own limit is lower.
const maxImport = 64 << 20

// manyFiles is from when on a person wants to read of refusals only.
const manyFiles = 20

// errFile is the refusal of a file that does not reach the server.
var errFile = fault.New(fault.Invalid, "pfx_file_unreadable",
	"The file cannot be read.", "Check its name and who may read it.")

// errPassword is the refusal of a file whose own password cannot be had.
var errPassword = fault.New(fault.Invalid, "pfx_password_unreadable",
	"The file with the password cannot be read.", "Check the name in the list and who may read it.")

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
		Long: `Imports PKCS#12 files, all .pfx and .p12 files below a directory, or those in a
list. Each private key is sealed at once; who imports cannot read it back.
Importing the same file again changes nothing, so a run that was interrupted is
simply started again.

A list is a .csv file whose first line names the columns: file, and any of user,
password, password_file, purpose and note. File names are relative to the list.
A line without a password or user of its own has those of the command line.

A file that cannot be read or used is refused and the rest goes on; the exit
status is then 3. With -o json one object is printed a file.`,
		Example: `  signet pfx import --password-file pw.txt --user alice@example.com old.p12
  signet pfx import --password-file pw.txt --dry-run ./escrow
  signet pfx import escrow.csv`,
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
	if slices.ContainsFunc(files, pfxFile.asks) {
		password, err := a.importPassword(in.passwordFile)
		if err != nil {
			return err
		}
		defer password.Wipe()
		in.Password = password.RevealString()
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	sum := tally{files: len(files), dry: in.DryRun}
	err = inOrder(ctx, files, func(ctx context.Context, f pfxFile) (pfxconnector.FileReport, error) {
		return a.importFile(ctx, client, in.NewImport, f)
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

// importPassword reads the password from the file, or asks a person for it.
func (a *app) importPassword(file string) (seal.Secret, error) {
	if file != "" {
		return a.secretFile(file)
	}
	if !a.terminal(a.stdin) {
		return seal.Secret{}, usagef("there is nobody to ask for the password: give --password-file; an empty file is an empty password")
	}
	return a.askSecret("Password of the files: ")
}

// importFile sends one file. What the server refuses about the file is in the
// report; an error ends the whole run.
func (a *app) importFile(ctx context.Context, client *admin.Client, in admin.NewImport, file pfxFile) (pfxconnector.FileReport, error) {
	if err := file.fill(&in, a.secretFile); err != nil {
		return refusedFile(file.name, errPassword.Code, errPassword.Msg, err.Error()), nil
	}
	data, err := readBounded(file.name)
	if err != nil {
		return refusedFile(file.name, errFile.Code, errFile.Msg, err.Error()), nil
	}
	defer clear(data)
	in.Data = data
	report, err := client.Import(ctx, in)
	f, ok := errors.AsType[*admin.Failure](err)
	switch {
	case ok && f.Code == "body_too_large":
		return refusedFile(file.name, f.Code, "The file is larger than the server takes.", "See limits.import_file_kib."), nil
	case ok && file.listed && (f.Code == directory.ErrUserUnknown.Code || f.Code == admin.ErrRequest.Code):
		return refusedFile(file.name, f.Code, f.Detail, f.Hint), nil
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
