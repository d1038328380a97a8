package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// Exit statuses.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRejects = 3 // done, but not with everything
)

// errRejects ends a command that did what it could and has said what it could
// not.
var errRejects = errors.New("done with rejects")

// usageError is a command line that makes no sense.
type usageError struct{ error }

// usagef makes one.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// app is one run of the command line.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer

	// Flags of every command.
	data, server, tokenFile, ca, output string

	started bool // a command runs; what fails before is wrong usage
}

// run does what args say and gives the exit status. Data goes to stdout,
// everything else to stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	return a.status(c, err)
}

// commands lists the sub-commands; each has a file of its name.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.initCommand(), a.serveCommand(), a.userCommand(), a.groupCommand(), a.inviteCommand(), a.pfxCommand(), a.graphCommand(), a.connectorCommand(), a.intuneCommand(), a.encryptionCommand(),
		a.deviceCommand(), a.statusCommand(), a.applyCommand(), a.explainCommand(), a.scepCommand(), a.mailCommand(), a.caCommand(), a.keysCommand(), a.exchangeCommand(), a.tokenCommand(), a.approvalCommand(), a.approverCommand(), a.recoveryCommand(), a.pushCommand(), a.auditCommand(), a.jobCommand(),
		a.configCommand(), a.databaseCommand(), a.versionCommand(),
		a.backupCommand(), a.restoreCommand(),
		a.doctorCommand(), a.licensesCommand(), a.manCommand(),
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "signet",
		Short:         "Deliver S/MIME certificates to iPhone and iPad",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       newBuild().Version,
		Args:          cobra.ArbitraryArgs, // needsCommand judges them
		RunE:          needsCommand,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.data, "data", "", "data `DIR`; SIGNET_DATA (default "+cmp.Or(packagedData, "./signet-data")+")")
	f.StringVar(&a.server, "server", "", "speak to the server at `URL` instead of the local socket; SIGNET_SERVER")
	f.StringVar(&a.tokenFile, "token-file", "", "`FILE` with the API token for --server; SIGNET_TOKEN_FILE")
	f.StringVar(&a.ca, "ca", "", "PEM `FILE` of the CA certificates to trust for --server; SIGNET_CA")
	f.StringVarP(&a.output, "output", "o", "table", "`FORMAT` of what is shown: table, json, or csv for lists")
	root.AddCommand(a.commands()...)
	a.wrap(root)
	return root
}

// wrap notes when a command starts, below c.
func (a *app) wrap(c *cobra.Command) {
	if start := c.RunE; start != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			a.started = true
			switch {
			case a.output == "table" || a.output == "json" || a.output == "csv" && c.Name() == "list":
			case a.output == "csv":
				return usagef("-o csv is for lists")
			default:
				return usagef("there is no output format %q: it is table, json, or csv for lists", a.output)
			}
			return start(c, args)
		}
	}
	for _, sub := range c.Commands() {
		a.wrap(sub)
	}
}

// group is a command that only has others below it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: needsCommand}
	c.AddCommand(commands...)
	return c
}

// takes is for commands whose arguments have these names. One in brackets may
// be left out; the last may stand for several, as its dots say.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for _, name := range names[min(len(args), len(names)):] {
			if !strings.HasPrefix(name, "[") {
				return usagef("%s is missing", strings.TrimSuffix(name, "..."))
			}
		}
		many := len(names) > 0 && strings.Contains(names[len(names)-1], "...")
		if len(args) > len(names) && !many {
			return usagef("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// needsCommand says that c does nothing by itself, and what may have been meant.
func needsCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("a command is missing")
	}
	c.SuggestionsMinimumDistance = 2 // letters that are wrong
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		return usagef("there is no command %q; did you mean %s?", args[0], strings.Join(like, " or "))
	}
	return usagef("there is no command %q", args[0])
}

// status says what went wrong with c and gives the exit status.
func (a *app) status(c *cobra.Command, err error) int {
	_, wrongUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errRejects):
		return exitRejects
	case wrongUsage || !a.started:
		fmt.Fprintf(a.stderr, "signet: %s\n  %s --help explains it.\n", plain(err.Error()), c.CommandPath())
		return exitUsage
	}
	sentence, hint := explain(err)
	fmt.Fprintf(a.stderr, "signet: %s\n", told(sentence))
	if hint != "" {
		fmt.Fprintf(a.stderr, "  %s\n", told(hint))
	}
	return exitFailed
}

// explain gives a sentence and what to do about it.
func explain(err error) (sentence, hint string) {
	if f, ok := errors.AsType[*admin.Failure](err); ok {
		return refused(f)
	}
	if f := fault.Of(err); f != nil {
		return fmt.Sprintf("%s (%s)", f.Msg, f.Code), strings.TrimSpace(reason(f) + f.Hint)
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted", ""
	}
	if errors.Is(err, fs.ErrPermission) {
		hint = "Run it as the user to whom these files belong."
	}
	return err.Error(), hint
}

// refused says what the server did not take. Its list of errors names parts of
// a request that people have not seen; only the last name means something.
func refused(f *admin.Failure) (sentence, hint string) {
	if f.Code != admin.ErrRequest.Code || len(f.Errors) == 0 {
		return f.Error(), f.Hint
	}
	parts := make([]string, len(f.Errors))
	for i, e := range f.Errors {
		parts[i] = strings.TrimPrefix(e.Location[strings.LastIndex(e.Location, ".")+1:]+": "+e.Message, ": ")
	}
	return fmt.Sprintf("The server refuses what it was asked: %s. (%s)", strings.Join(parts, "; "), f.Code), ""
}

// reason gives what the system says of an address that cannot be had, or of a
// server that cannot be reached.
func reason(f *fault.Error) string {
	if way, ok := errors.AsType[*url.Error](f); ok && f.Code == admin.ErrUnreachable.Code {
		return fmt.Sprintf("The system says: %v. ", way.Err)
	}
	op, ok := errors.AsType[*net.OpError](f)
	if !ok || op.Op != "listen" {
		return ""
	}
	return fmt.Sprintf("The system says: %v. ", op.Err)
}
