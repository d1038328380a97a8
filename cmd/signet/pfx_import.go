package main

import (
	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
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
	passwordFile    string
	passwordCommand string
	runCommands     bool   // of lists
	resume          string // file of what is finished
	upload          bool   // let the server open the files
	escrowKey       string // fingerprint of whom keys are sealed to
}

func (a *app) pfxImport() *cobra.Command {
	var in importFlags
	c := &cobra.Command{
		Use:   "import PATH...",
		Short: "Import PKCS#12 and PEM files into escrow",
		Long: `Imports PKCS#12 and PEM files: all .pfx, .p12, .pem and .key files below a
directory, all .pfx and .p12 files in a .zip archive, or those in a list. They
are opened and each private key is sealed on this machine: the server gets the
certificates and what is sealed, never a file, a password or a key. With
--upload it gets the files and passwords, over TLS or the socket, opens them and
seals at once. Either way, who imports cannot read back. Importing the
same file again changes nothing, so a run that was interrupted is simply
started again. With --resume FILE it writes down which files are finished,
without secrets, and the next run with that FILE does not send them again.

Whom keys are sealed to is confirmed once: on the server's own machine by its
data directory, else with --escrow-key. It is kept for that server.

A .key file is read together with the .crt, .cer or .pem file of the same name
beside it; any other PEM file must hold both key and certificate.

A list is a .csv file whose first line names the columns, or a .json file with
an array of objects: file, and any of user, password, password_file,
password_command, purpose and note. File names are relative to the list. A line
without a password or user of its own has those of the command line.

A password command is a program with its arguments, divided by spaces and run
without a shell; the first line that it prints is the password. Those in a list
are run only with --run-commands, and find the name of the file in SIGNET_FILE.

A file that cannot be read or used is refused and the rest goes on; the exit
status is then 3. A key whose user is not known is sealed and set aside, which
gives 3 as well: signet pfx quarantine list shows it. With -o json one object is
printed a file.

With --dry-run nothing is changed, and a report follows: whose the keys are, what
is there twice, what is refused, the times that no encryption certificate of a
user covers, and to whom nobody could encrypt afterwards. With -o json it is the
last object, "report".`,
		Example: `  signet pfx import --password-file pw.txt --user alice@example.com old.p12
  signet pfx import --password-file pw.txt --dry-run ./escrow
  signet pfx import --password-command 'pass show escrow' escrow.zip
  signet pfx import escrow.csv`,
		Args: takes("PATH..."),
		RunE: func(c *cobra.Command, args []string) error { return a.importPaths(c, in, args) },
	}
	f := c.Flags()
	f.StringVar(&in.User, "user", "", "`USER` whose they are, by address, UPN or id (default: whom the certificate names)")
	f.StringVar(&in.passwordFile, "password-file", "", "`FILE` with the password of all files; - for standard input")
	f.StringVar(&in.passwordCommand, "password-command", "", "`COMMAND` that prints the password of all files")
	f.BoolVar(&in.runCommands, "run-commands", false, "run the password commands that a list names; only for lists of your own")
	c.MarkFlagsMutuallyExclusive("password-file", "password-command")
	f.StringVar(&in.Purpose, "purpose", "", "`PURPOSE` instead of what the certificate says: signing, encryption or both")
	f.BoolVar(&in.AllowSigningEscrow, "allow-signing-escrow", false, "take keys that are for signing only")
	f.BoolVar(&in.AllowWeak, "allow-weak", false, "take RSA keys that protect nothing any more")
	f.BoolVar(&in.AllowNoMAC, "allow-no-mac", false, "take files without an integrity check")
	f.BoolVar(&in.NoQuarantine, "no-quarantine", false, "refuse keys whose users are not known, instead of setting them aside")
	f.BoolVar(&in.DryRun, "dry-run", false, "look, but change nothing")
	f.StringVar(&in.resume, "resume", "", "`FILE` of what is finished, which is skipped; made when it is not there")
	c.MarkFlagsMutuallyExclusive("resume", "dry-run")
	f.BoolVar(&in.upload, "upload", false, "send files and passwords to the server, which opens and seals them")
	f.StringVar(&in.escrowKey, "escrow-key", "", "`FINGERPRINT` of whom keys are sealed to, as signet keys escrow fingerprint shows it on the server")
	c.MarkFlagsMutuallyExclusive("upload", "escrow-key")
	return c
}
