package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/disk"
)

func TestWholeOrNotAtAll(t *testing.T) {
	for name, c := range map[string]struct {
		write func(string, []byte, fs.FileMode) error
		there bool
		want  string
		err   error
	}{
		"create":          {disk.Create, false, "new", nil},
		"create again":    {disk.Create, true, "old", fs.ErrExist},
		"replace nothing": {disk.Replace, false, "new", nil},
		"replace":         {disk.Replace, true, "new", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if c.there {
				if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.write(path, []byte("new"), 0o400); !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if got, err := os.ReadFile(path); string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if info, err := os.Stat(path); c.err == nil && (err != nil || info.Mode().Perm() != 0o400) {
				t.Errorf("got %v, %v, want mode 0400", info, err)
			}
			if left, err := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("got %v, %v, want the file alone", left, err)
			}
		})
	}
	if err := disk.Replace(filepath.Join(t.TempDir(), "none", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: got %v", err)
	}
}

func TestStream(t *testing.T) {
	dir := t.TempDir()
	path, broken := filepath.Join(dir, "f"), errors.New("broken off")
	halfway := func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	}
	if err := disk.Stream(path, halfway, 0o600); !errors.Is(err, broken) {
		t.Errorf("got %v, want what filled it to fail", err)
	}
	if left, err := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
	whole := func(w io.Writer) error {
		_, err := io.WriteString(w, "whole")
		return err
	}
	if err := disk.Stream(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.Stream(path, halfway, 0o600); err == nil {
		t.Error("a second one was taken")
	}
	if err := disk.Stream(path, whole, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: got %v, want ErrExist", err)
	}
	if got, err := os.ReadFile(path); string(got) != "whole" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestErase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := path + ".kept" // shows what became of the file itself
	if err := os.Link(path, kept); err != nil {
		t.Fatal(err)
	}
	if err := disk.Erase(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if got, err := os.ReadFile(kept); err != nil || string(got) != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("its bytes: got %q, %v", got, err)
	}
	if err := disk.Erase(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("again: got %v", err)
	}
}
