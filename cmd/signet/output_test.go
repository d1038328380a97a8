package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/fault"
)

// What others wrote cannot steer the terminal, neither in a table nor in the
// line that says what went wrong.
func TestForeignTextIsPlain(t *testing.T) {
	const foreign = "a\x1b[2J\u009b\u2028\u202e\u200fb"
	const want = "a?[2J????b"
	if got := plain(foreign); got != want {
		t.Errorf("plain: got %q, want %q", got, want)
	}
	for name, c := range map[string]struct {
		started bool
		err     error
		want    string
	}{
		"plain error":   {true, errors.New(foreign), "signet: " + want + "\n"},
		"several lines": {true, errors.New("one\nsignet: two"), "signet: one\n  signet: two\n"},
		"declared":      {true, fault.New(fault.Invalid, "x", foreign, foreign), "signet: " + want + " (x)\n  " + want + "\n"},
		"wrong usage":   {false, usagef("%s", foreign), "signet: " + want + "\n"},
	} {
		var out bytes.Buffer
		a := &app{stderr: &out, started: c.started}
		a.status(&cobra.Command{Use: "signet"}, c.err)
		if !bytes.HasPrefix(out.Bytes(), []byte(c.want)) {
			t.Errorf("%s: got %q, want %q", name, &out, c.want)
		}
	}
}

// A list as comma-separated values holds no formula, whoever named the things
// in it.
func TestCSV(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out, output: "csv"}
	cells := []string{"plain", `with "quotes", and commas`, "=cmd()", "+1", "-1", "@x", "", "a\nb"}
	if err := showTable(a, cells, []string{"name"}, func(s string) []string { return []string{s, "x"} }); err != nil {
		t.Fatal(err)
	}
	want := "name\nplain,x\n\"with \"\"quotes\"\", and commas\",x\n'=cmd(),x\n'+1,x\n'-1,x\n'@x,x\n,x\na?b,x\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
