package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func TestFinished(t *testing.T) {
	name := filepath.Join(t.TempDir(), "resume")
	one, two := markOf(admin.NewImport{Data: []byte("one"), Password: "canary"}), markOf(admin.NewImport{Data: []byte("two")})
	open := func() *finished {
		t.Helper()
		f, err := openFinished(name, "https://mdm.example.com")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open()
	if f.has(one) {
		t.Error("a new file has something")
	}
	if _, err := openFinished(name, "https://mdm.example.com"); !errors.Is(err, errFinishedBusy) {
		t.Errorf("two at a time: got %v", err)
	}
	for m, file := range map[mark]string{one: "a \n\"b\".p12", two: "two.p12"} {
		if err := f.add(file, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil || strings.Count(string(data), "\n") != 3 {
		t.Fatalf("got %q, %v", data, err)
	}
	// Cut off anywhere, it has the whole lines, and goes on after them.
	for end := range len(data) + 1 {
		if err := os.WriteFile(name, data[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		f := open()
		got, want := len(f.before), max(strings.Count(string(data[:end]), "\n")-1, 0)
		if got != want {
			t.Fatalf("cut off at %d: got %d, want %d", end, got, want)
		}
		if err := errors.Join(f.add("three.p12", mark{3}), f.Close()); err != nil {
			t.Fatal(err)
		}
		f = open()
		if !f.has(mark{3}) || len(f.before) != want+1 {
			t.Fatalf("after a cut at %d: got %d", end, len(f.before))
		}
		f.Close()
	}
	var none *finished
	if none.has(one) || none.add("x", one) != nil {
		t.Error("without a file: something was done")
	}
}

func TestFinishedRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"another server": "signet import 1 \"https://other.example.com\"\n",
		"another file":   "file,user\na.p12,alice@example.com\n",
		"a key":          strings.Repeat("k", 100),
		"a bad line":     "signet import 1 \"s\"\nzz a\n",
		"short":          "key",
		"long":           strings.Repeat("k", 100_000),
	} {
		name := filepath.Join(t.TempDir(), "resume")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openFinished(name, "s"); !errors.Is(err, errFinished) {
			t.Errorf("%s: got %v", what, err)
		}
		if data, err := os.ReadFile(name); err != nil || string(data) != text {
			t.Errorf("%s: the file was changed", what)
		}
	}
}

func TestMark(t *testing.T) {
	base := admin.NewImport{File: "a", Data: []byte("x"), User: "u", Purpose: "both", Password: "p"}
	other := base
	other.File, other.Password = "b", "q"
	if markOf(base) != markOf(other) {
		t.Error("name or password change the mark")
	}
	for what, change := range map[string]func(*admin.NewImport){
		"data": func(n *admin.NewImport) { n.Data = []byte("y") }, "user": func(n *admin.NewImport) { n.User = "v" },
		"purpose": func(n *admin.NewImport) { n.Purpose = "" }, "weak": func(n *admin.NewImport) { n.AllowWeak = true },
	} {
		n := base
		if change(&n); markOf(n) == markOf(base) {
			t.Errorf("%s does not change the mark", what)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for want, c := range map[string]struct {
		t    tally
		took time.Duration
	}{
		"[                        ] 0 of 100 files, 0 %":                                    {tally{files: 100}, 0},
		"[============            ] 50 of 100 files, 50 %, 5 a second, 10s left, 2 refused": {tally{files: 100, seen: 50, refused: 2}, 10 * time.Second},
		"[========================] 100 of 100 files, 100 %, 50 a second, 0s left":          {tally{files: 100, seen: 100}, 2 * time.Second},
		"[========================] 3 of 2 files, 100 %, 3 a second, 0s left":               {tally{files: 2, seen: 3}, time.Second},
	} {
		if got := progressLine(c.t, c.took); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
