package main

import (
	"strings"
	"testing"
)

func TestQuotedTextStaysALine(t *testing.T) {
	var out strings.Builder
	quote(&out, []byte("\nred \x1b[31m\u009b2J \u202eback\r\n| second\x07\n"))
	want := "         | red ?[31m?2J ?back\n         | | second?\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
