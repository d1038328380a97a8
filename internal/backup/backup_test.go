package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/judge"
)

// content is what an archive holds. It implements [backup.Target].
type content struct {
	Header backup.Header
	Conf   string
	Keys   map[string]string
	Cols   map[string][]string
	Table  map[string][][]any
	fail   error
}

func newContent() *content {
	return &content{Keys: map[string]string{}, Cols: map[string][]string{}, Table: map[string][][]any{}}
}

func (c *content) Begin(_ context.Context, h backup.Header) error { c.Header = h; return c.fail }
func (c *content) Config(text []byte) error                       { c.Conf = string(text); return nil }
func (c *content) Key(name string, data []byte) error {
	if filepath.Base(name) != name || name == "unlock.key" {
		return errors.New("a path")
	}
	c.Keys[name] = string(data)
	return nil
}
func (c *content) Rows(_ context.Context, table string, columns []string, rows [][]any) error {
	c.Cols[table] = columns
	c.Table[table] = append(c.Table[table], rows...)
	return nil
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var made = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// sample is an archive and what went into it, some large rows among it.
func sample(t testing.TB, large int, to ...age.Recipient) ([]byte, *content) {
	t.Helper()
	want := newContent()
	want.Header = backup.Header{Format: 1, Program: "test", Schema: 7, Created: made, URL: "https://mdm.example.org"}
	want.Conf = "url = \"x\"\n"
	want.Keys = map[string]string{"escrow.json": "[]", "root.key.age": "sealed\x00", "root.pem": "PEM"}
	want.Cols = map[string][]string{"users": {"id", "n"}, "empty": {"a"}, "large": {"b"}}
	want.Table["users"] = [][]any{{"Bärbel \u2028 <&>", int64(-1 << 63)}, {nil, int64(1<<63 - 1)}, {"", int64(0)},
		{"\xff\xfe not UTF-8", []byte{0, 0xff}}, {"null", []byte{}}, {`{"b":"eA=="}`, int64(1)}}
	want.Table["empty"] = nil
	for range large {
		want.Table["large"] = append(want.Table["large"], []any{bytes.Repeat([]byte("x"), 600<<10)})
	}
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, want.Header, to...)
	must(t, err)
	must(t, w.Config([]byte(want.Conf)))
	for name, data := range want.Keys {
		must(t, w.Key(name, []byte(data)))
	}
	for _, table := range []string{"users", "empty", "large"} {
		must(t, w.Table(table, want.Cols[table]))
		for _, row := range want.Table[table] {
			must(t, w.Row(row))
		}
	}
	must(t, w.Close())
	return out.Bytes(), want
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	one, two := identity(t), identity(t)
	data, want := sample(t, 5, one.Recipient(), two.Recipient())
	for name, ids := range map[string][]age.Identity{"one": {one}, "two": {two}, "among others": {identity(t), two}} {
		got := newContent()
		m, err := backup.Read(t.Context(), bytes.NewReader(data), got, ids...)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(content{}), cmp.Comparer(bytes.Equal)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if m.Rows["users"] != 6 || m.Rows["empty"] != 0 || m.Rows["large"] != 5 || len(m.Files) != 1+1+3+1+1+3 {
			t.Errorf("%s: manifest %v", name, m)
		}
	}
}

func TestWrongIdentity(t *testing.T) {
	data, _ := sample(t, 1, identity(t).Recipient())
	if _, err := backup.Read(t.Context(), bytes.NewReader(data), newContent(), identity(t)); !errors.Is(err, backup.ErrIdentity) {
		t.Errorf("got %v, want ErrIdentity", err)
	}
}

// Whatever happened to the file, nothing of it counts.
func TestDamage(t *testing.T) {
	id := identity(t)
	data, _ := sample(t, 1, id.Recipient())
	read := func(b []byte) error {
		_, err := backup.Read(t.Context(), bytes.NewReader(b), newContent(), id)
		return err
	}
	step := max(1, len(data)/23)
	for at := 0; at < len(data); at += step {
		flipped := bytes.Clone(data)
		flipped[at] ^= 1
		for what, b := range map[string][]byte{"cut off": data[:at], "flipped": flipped} {
			if err := read(b); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrIdentity) {
				t.Fatalf("%s at %d of %d: got %v, want ErrDamaged", what, at, len(data), err)
			}
		}
	}
	for what, b := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "more behind it": append(bytes.Clone(data), 0)} {
		if err := read(b); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", what, err)
		}
	}
}

func TestTargetsFailureEndsIt(t *testing.T) {
	id := identity(t)
	data, _ := sample(t, 1, id.Recipient())
	to := newContent()
	to.fail = errors.New("no")
	if _, err := backup.Read(t.Context(), bytes.NewReader(data), to, id); !errors.Is(err, to.fail) || to.Conf != "" {
		t.Errorf("got %v, and %q was taken", err, to.Conf)
	}
}

// entry is one of a forged archive.
type entry struct {
	name, data string
	kind       byte
	link       string
}

const (
	header = `{"format":1,"schema":7}`
	users  = `{"table":"users","columns":["id"]}` + "\n"
)

func pack(t testing.TB, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		must(t, w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Typeflag: e.kind, Linkname: e.link, Mode: 0o600}))
		_, err := io.WriteString(w, e.data)
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// manifest is a true one for the entries.
func manifest(entries []entry, rows map[string]int64) entry {
	m := backup.Manifest{Files: map[string]string{}, Rows: rows}
	if rows == nil {
		m.Rows = map[string]int64{}
	}
	for _, e := range entries {
		sum := sha256.Sum256([]byte(e.data))
		m.Files[e.name] = hex.EncodeToString(sum[:])
	}
	text, _ := json.Marshal(m)
	return entry{name: "manifest.json", data: string(text)}
}

// Who has an archive's recipient can make one. It gets nowhere.
func TestForgedArchives(t *testing.T) {
	h := entry{name: "header.json", data: header}
	large := strings.Repeat("x", 1<<20+1)
	for name, list := range map[string][]entry{
		"no header":           {{name: "signet.toml"}},
		"a header twice":      {h, h},
		"a path":              {h, {name: "keys/../../x", data: "x"}},
		"an absolute path":    {h, {name: "/etc/passwd", data: "x"}},
		"below a key":         {h, {name: "keys/a/b", data: "x"}},
		"a hidden file":       {h, {name: "keys/.profile", data: "x"}},
		"another file":        {h, {name: "signet.db", data: "x"}},
		"the unlock key":      {h, {name: "keys/unlock.key", data: "x"}},
		"a link":              {h, {name: "keys/a.age", kind: tar.TypeSymlink, link: "/etc/passwd"}},
		"a directory":         {h, {name: "keys/a.age", kind: tar.TypeDir}},
		"a device":            {h, {name: "keys/a.age", kind: tar.TypeChar}},
		"a key twice":         {h, {name: "keys/a.age", data: "x"}, {name: "keys/a.age", data: "x"}},
		"a large key":         {h, {name: "keys/a.age", data: large}},
		"no table":            {h, {name: "db/users.000001.jsonl", data: ""}},
		"another table":       {h, {name: "db/users.000001.jsonl", data: `{"table":"device","columns":["id"]}`}},
		"a table by SQL":      {h, {name: "db/x;.000001.jsonl", data: `{"table":"x;","columns":["id"]}`}},
		"a column by SQL":     {h, {name: "db/users.000001.jsonl", data: `{"table":"users","columns":["id) --"]}`}},
		"no columns":          {h, {name: "db/users.000001.jsonl", data: `{"table":"users","columns":[]}`}},
		"a short row":         {h, {name: "db/users.000001.jsonl", data: users + `[]`}},
		"a long row":          {h, {name: "db/users.000001.jsonl", data: users + `["a","b"]`}},
		"a row that is none":  {h, {name: "db/users.000001.jsonl", data: users + `{"id":1}`}},
		"a fraction":          {h, {name: "db/users.000001.jsonl", data: users + `[1.5]`}},
		"a large number":      {h, {name: "db/users.000001.jsonl", data: users + `[99999999999999999999]`}},
		"a list as value":     {h, {name: "db/users.000001.jsonl", data: users + `[[1]]`}},
		"true":                {h, {name: "db/users.000001.jsonl", data: users + `[true]`}},
		"bytes and text":      {h, {name: "db/users.000001.jsonl", data: users + `[{"b":"","t":""}]`}},
		"neither":             {h, {name: "db/users.000001.jsonl", data: users + `[{}]`}},
		"bad base64":          {h, {name: "db/users.000001.jsonl", data: users + `[{"b":"*"}]`}},
		"an old format":       {{name: "header.json", data: `{"format":0}`}},
		"a header of nothing": {{name: "header.json", data: ``}},
	} {
		t.Run(name, func(t *testing.T) {
			b := pack(t, append(list, manifest(list, map[string]int64{"users": 1})))
			if _, err := backup.ReadPlain(t.Context(), bytes.NewReader(b), newContent()); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
	newer := []entry{{name: "header.json", data: `{"format":2}`}}
	if _, err := backup.ReadPlain(t.Context(), bytes.NewReader(pack(t, newer)), newContent()); !errors.Is(err, backup.ErrNewer) {
		t.Errorf("a newer format: got %v, want ErrNewer", err)
	}
}

func TestManifestIsHeldAgainstIt(t *testing.T) {
	h, row := entry{name: "header.json", data: header}, entry{name: "db/users.000001.jsonl", data: users + `["a"]`}
	list := []entry{h, row}
	good := manifest(list, map[string]int64{"users": 1})
	if _, err := backup.ReadPlain(t.Context(), bytes.NewReader(pack(t, append(list, good))), newContent()); err != nil {
		t.Fatalf("a true manifest: %v", err)
	}
	for name, entries := range map[string][]entry{
		"no manifest":         list,
		"fewer rows":          append(list, manifest(list, map[string]int64{"users": 2})),
		"a table is missing":  append(list, manifest(list, map[string]int64{"users": 1, "device": 0})),
		"a file is missing":   {h, good},
		"a file more":         {h, row, {name: "signet.toml", data: "x"}, good},
		"another content":     {h, {name: row.name, data: users + `["b"]`}, good},
		"something behind it": {h, row, good, {name: "keys/a.age", data: "x"}},
		"a manifest of noise": {h, row, {name: "manifest.json", data: "x"}},
	} {
		if _, err := backup.ReadPlain(t.Context(), bytes.NewReader(pack(t, entries)), newContent()); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

// The package comment says so: age and tar open it without us.
func TestOpensWithAgeAndTar(t *testing.T) {
	judge.Need(t, "age", "tar")
	id := identity(t)
	data, want := sample(t, 1, id.Recipient())
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "unlock.key"), []byte(id.String()+"\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
	plain := judge.Run(t, data, "age", "-d", "-i", filepath.Join(dir, "unlock.key"))
	judge.Run(t, plain, "tar", "-x", "-C", filepath.Join(dir, "out"))
	for file, text := range map[string]string{"signet.toml": want.Conf, "keys/root.key.age": want.Keys["root.key.age"]} {
		if got, err := os.ReadFile(filepath.Join(dir, "out", file)); err != nil || string(got) != text {
			t.Errorf("%s: got %q, %v", file, got, err)
		}
	}
}

func TestRecipients(t *testing.T) {
	hybrid, err := age.GenerateHybridIdentity()
	must(t, err)
	for text, good := range map[string]bool{
		identity(t).Recipient().String(): true, hybrid.Recipient().String(): false, "": false, "age1": false, "ssh-ed25519 AAAA": false,
		identity(t).Recipient().String() + "\n" + identity(t).Recipient().String(): false,
	} {
		if _, err := backup.ParseRecipient(text); (err == nil) != good || err != nil && !errors.Is(err, backup.ErrRecipient) {
			t.Errorf("%.20q: got %v", text, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	h, row := entry{name: "header.json", data: header}, entry{name: "db/users.000001.jsonl", data: users + `["a",{"b":"eA=="}]`}
	list := []entry{h, {name: "signet.toml", data: "x"}, {name: "keys/a.age", data: "x"}, row}
	f.Add(pack(f, append(list, manifest(list, map[string]int64{"users": 1}))))
	f.Add(pack(f, list[:1]))
	f.Add([]byte(fmt.Sprint(h)))
	f.Fuzz(func(t *testing.T, b []byte) {
		to := newContent()
		m, err := backup.ReadPlain(context.Background(), bytes.NewReader(b), to)
		if err == nil && (len(m.Files) == 0 || to.Header.Format != 1) {
			t.Errorf("read as good: %v", m)
		}
	})
}
