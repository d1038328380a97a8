package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/pfxconnector/archive"
)

// packed writes an archive and gives its name.
func packed(t *testing.T, fill func(*zip.Writer)) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	fill(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return saved(t, b.Bytes())
}

func saved(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func add(t *testing.T, w *zip.Writer, h zip.FileHeader, data []byte) {
	t.Helper()
	h.Method = zip.Deflate
	f, err := w.CreateHeader(&h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	link := zip.FileHeader{Name: "link.p12"}
	link.SetMode(fs.ModeSymlink | 0o777)
	name := packed(t, func(w *zip.Writer) {
		add(t, w, zip.FileHeader{Name: "a/one.p12"}, []byte("one"))
		add(t, w, zip.FileHeader{Name: "readme.txt"}, []byte("no"))
		add(t, w, zip.FileHeader{Name: "TWO.PFX"}, []byte("two"))
		add(t, w, zip.FileHeader{Name: "../out.p12"}, []byte("x"))
		add(t, w, zip.FileHeader{Name: "/etc/out.p12"}, []byte("x"))
		add(t, w, zip.FileHeader{Name: `..\out.p12`}, []byte("x"))
		add(t, w, link, []byte("/etc/passwd"))
		add(t, w, zip.FileHeader{Name: "locked.p12", Flags: 1}, []byte("x"))
		add(t, w, zip.FileHeader{Name: "bomb.p12"}, make([]byte, 2<<20))
		if _, err := w.CreateRaw(&zip.FileHeader{Name: "giant.p12", UncompressedSize64: archive.MaxFile + 1, CompressedSize64: archive.MaxFile}); err != nil {
			t.Fatal(err)
		}
	})
	a, err := archive.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want := map[string]error{
		"../out.p12": archive.ErrEntry, "/etc/out.p12": archive.ErrEntry, `..\out.p12`: archive.ErrEntry, "link.p12": archive.ErrEntry,
		"locked.p12": archive.ErrEntry, "bomb.p12": archive.ErrEntrySize, "giant.p12": archive.ErrEntrySize,
	}
	var got strings.Builder
	for e := range a.Entries() {
		data, err := e.Read()
		if !errors.Is(err, want[e.Name]) {
			t.Errorf("%s: got %v, want %v", e.Name, err, want[e.Name])
		}
		delete(want, e.Name)
		got.Write(data)
	}
	if got.String() != "onetwo" || len(want) != 0 {
		t.Errorf("got %q, not seen %v", got.String(), want)
	}
}

// A size in the list that is smaller than the file does not let more through.
func TestReadLies(t *testing.T) {
	name := packed(t, func(w *zip.Writer) { add(t, w, zip.FileHeader{Name: "a.p12"}, make([]byte, 4<<20)) })
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(data[at+24:], 10)
	a, err := archive.Open(saved(t, data))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for e := range a.Entries() {
		if got, err := e.Read(); err == nil || len(got) != 0 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := archive.Open(saved(t, []byte("no archive"))); !errors.Is(err, archive.ErrArchive) {
		t.Errorf("got %v", err)
	}
	if _, err := archive.Open(saved(t, listing(archive.MaxEntries+1))); !errors.Is(err, archive.ErrTooMany) {
		t.Errorf("many entries: got %v", err)
	}
	long := packed(t, func(w *zip.Writer) {
		for i := range archive.MaxDirectory/60_000 + 2 {
			add(t, w, zip.FileHeader{Name: fmt.Sprint(i) + strings.Repeat("n", 60_000)}, nil)
		}
	})
	if _, err := archive.Open(long); !errors.Is(err, archive.ErrTooMany) {
		t.Errorf("long names: got %v", err)
	}
}

// listing is an archive that lists so many files, which are not there.
func listing(n int) []byte {
	entry := make([]byte, 46+1)
	copy(entry, "PK\x01\x02")
	entry[28], entry[46] = 1, 'a' // a name of one byte
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[10:], uint16(n)) // readers take it modulo 65536
	binary.LittleEndian.PutUint32(end[12:], uint32(n*len(entry)))
	return append(bytes.Repeat(entry, n), end...)
}

func TestListing(t *testing.T) {
	a, err := archive.Open(saved(t, listing(archive.MaxEntries)))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}

func FuzzOpen(f *testing.F) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"a.p12", "../b.pfx", "c/d.p12"} {
		e, err := w.Create(name)
		if err != nil {
			f.Fatal(err)
		}
		e.Write([]byte("content"))
	}
	w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := archive.Open(saved(t, data))
		if err != nil {
			return
		}
		defer a.Close()
		for e := range a.Entries() {
			if got, err := e.Read(); err != nil && got != nil || len(got) > archive.MaxFile {
				t.Fatalf("got %d bytes and %v", len(got), err)
			}
		}
	})
}
