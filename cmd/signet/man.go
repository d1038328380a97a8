package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-mdm/signet/internal/config"
)

// manCommand is for packagers: it writes what help and config describe say as
// manual pages, so that there is one text only.
func (a *app) manCommand() *cobra.Command {
	day := ""
	c := &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages",
		Hidden: true,
		Args:   takes("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			date, err := time.Parse(time.DateOnly, day)
			if err != nil {
				return usagef("--date takes a date such as 2026-11-25")
			}
			return writePages(c.Root(), args[0], date)
		},
	}
	c.Flags().StringVar(&day, "date", "", "`DATE` of the pages")
	return c
}

// writePages writes one page for the program, one for each of its commands,
// and one for the configuration file.
func writePages(root *cobra.Command, dir string, date time.Time) error {
	pages := map[string][]byte{"signet.toml.5": settingsPage(date)}
	for _, c := range append(root.Commands(), root) {
		if c.IsAvailableCommand() && c.Name() != "help" || c == root {
			name, section := manName(c)
			pages[name+"."+section] = commandPage(c, date)
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("writing manual page: %w", err)
		}
	}
	return nil
}

// manName gives name and section of the page of a command.
func manName(c *cobra.Command) (name, section string) {
	if c.Name() == "serve" {
		section = "8"
	}
	return strings.ReplaceAll(c.CommandPath(), " ", "-"), cmp.Or(section, "1")
}

// manPage is a page in the language of mdoc(7).
type manPage struct{ bytes.Buffer }

func (p *manPage) head(date time.Time, name, section, about string) {
	p.line(".Dd %s", date.Format("January 2, 2006"))
	p.line(".Dt %s %s", strings.ToUpper(name), section)
	p.line(".Os\n.Sh NAME\n.Nm %s", name)
	p.line(".Nd %s", roff(strings.ToLower(about[:1])+about[1:]))
}

func (p *manPage) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// text writes paragraphs, each sentence on a line of its own, as mdoc wants it.
func (p *manPage) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.line(".Pp")
		}
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			if line != "" && (strings.ContainsAny(line[len(line)-1:], ".:!?)") || len(line)+len(word) > 76) {
				p.line("%s", roff(line))
				line = ""
			}
			line = strings.TrimLeft(line+" "+word, " ")
		}
		p.line("%s", roff(line))
	}
}

// literal writes lines that stay lines.
func (p *manPage) literal(s string) {
	p.line(".Bd -literal -offset indent")
	for line := range strings.Lines(strings.TrimRight(s, "\n")) {
		p.line("%s", roff(strings.TrimPrefix(strings.TrimRight(line, "\n"), "  ")))
	}
	p.line(".Ed")
}

// roff keeps text from being taken for instructions.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "…", "...", "–", "-").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// hyphens keeps the hyphens of what people type.
func hyphens(s string) string { return strings.ReplaceAll(roff(s), "-", `\-`) }

func commandPage(c *cobra.Command, date time.Time) []byte {
	var p manPage
	name, section := manName(c)
	p.head(date, name, section, c.Short)
	p.line(".Sh SYNOPSIS")
	p.usage(c)
	p.line(".Sh DESCRIPTION")
	p.text(cmp.Or(c.Long, c.Short+"."))
	p.below(c)
	p.flags(".Sh OPTIONS", c.NonInheritedFlags())
	if c.HasParent() {
		p.flags(".Sh OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	}
	if c.Example != "" {
		p.line(".Sh EXAMPLES")
		p.literal(c.Example)
	}
	if c.HasParent() {
		p.line(".Sh SEE ALSO\n.Xr signet 1 ,\n.Xr signet.toml 5")
	} else {
		p.line(".Sh EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 done with rejects.")
		p.line(".Sh SEE ALSO\n.Xr signet.toml 5 ,\n.Xr signet-serve 8")
	}
	return p.Bytes()
}

func (p *manPage) usage(c *cobra.Command) {
	p.line(".Bd -literal")
	if c.Runnable() && !c.HasAvailableSubCommands() {
		p.line("%s", hyphens(c.UseLine()))
	} else {
		p.line("%s COMMAND [flags]", hyphens(c.CommandPath()))
	}
	p.line(".Ed")
}

// below describes the commands below c: those of the program by one line each,
// for they have pages of their own.
func (p *manPage) below(c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	p.line(".Sh COMMANDS")
	if !c.HasParent() {
		p.line(".Bl -tag -width Ds")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				p.line(".It %s", hyphens(sub.Name()))
				p.text(sub.Short + ".")
			}
		}
		p.line(".El")
		return
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		p.line(".Ss %s", hyphens(sub.Name()))
		p.line(".Bd -literal -offset indent\n%s\n.Ed", hyphens(sub.UseLine()))
		p.text(cmp.Or(sub.Long, sub.Short+"."))
		p.flags("", sub.NonInheritedFlags())
		if sub.Example != "" {
			p.line(".Pp\nExamples:")
			p.literal(sub.Example)
		}
	}
}

func (p *manPage) flags(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	if title != "" {
		p.line("%s", title)
	}
	p.line(".Bl -tag -width Ds")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, about := pflag.UnquoteUsage(f)
		tag := ".It Fl -" + f.Name
		if f.Shorthand != "" {
			tag = ".It Fl " + f.Shorthand + " , -" + f.Name
		}
		if value != "" {
			tag += " Ar " + value
		}
		p.line("%s", tag)
		p.text(about)
	})
	p.line(".El")
}

// settingsPage is signet.toml(5).
func settingsPage(date time.Time) []byte {
	var p manPage
	p.head(date, "signet.toml", "5", "configuration of the Signet server")
	p.line(".Sh DESCRIPTION")
	p.text("What differs between installations and cannot live in the database, as TOML.\n" +
		"A flag beats an environment variable, which beats this file. An unknown name is an error;\n" +
		"signet config check says what is wrong, and signet config describe writes the whole file.")
	p.line(".Sh SETTINGS\n.Bl -tag -width Ds")
	for _, f := range config.Fields() {
		p.line(".It Va %s", f.Key)
		p.text(f.Doc)
		p.line(".Pp\nFlag\n.Fl -%s ,\nenvironment\n.Ev %s .", f.Flag(), f.Env())
		if f.Default != "" {
			p.line("Default:\n.Ql %s .", f.Default)
		}
	}
	p.line(".El\n.Sh SEE ALSO\n.Xr signet 1 ,\n.Xr signet-serve 8")
	return p.Bytes()
}
