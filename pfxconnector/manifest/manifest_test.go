package manifest_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/manifest"
)

func TestRead(t *testing.T) {
	for name, list := range map[string]string{
		"commas":            "file,user,password,note\nold.p12,alice@example.com,\"a,\"\"b\",first\nnew.p12,,c;d,\n",
		"semicolons":        "file;user;password;note\r\nold.p12;alice@example.com;\"a,\"\"b\";first\r\nnew.p12;;\"c;d\";\r\n",
		"byte order mark":   "\ufefffile,user,password,note\nold.p12,alice@example.com,\"a,\"\"b\",first\nnew.p12,,c;d,\n",
		"other order, case": "Note, Password ,USER,File\nfirst,\"a,\"\"b\", alice@example.com ,old.p12\n,c;d,,new.p12",
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := manifest.Read(strings.NewReader(list))
			if err != nil || len(rows) != 2 {
				t.Fatalf("got %d rows, %v", len(rows), err)
			}
			if r := rows[0]; r.Line != 2 || r.File != "old.p12" || r.User != "alice@example.com" || r.Password.RevealString() != `a,"b` {
				t.Errorf("got %+v", r)
			}
			if r := rows[1]; r.Line != 3 || r.File != "new.p12" || r.User != "" || r.Password.RevealString() != "c;d" {
				t.Errorf("got %+v", r)
			}
		})
	}
	rows, err := manifest.Read(strings.NewReader("file,password_file,purpose\na.p12,a.txt,both\n"))
	if err != nil || len(rows) != 1 || rows[0].PasswordFile != "a.txt" || rows[0].Purpose != "both" {
		t.Errorf("got %+v, %v", rows, err)
	}
	if rows, err := manifest.Read(strings.NewReader("file\n")); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("got %v, %v, want no rows", rows, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		want *fault.Error
		says string
	}{
		"nothing":           {"", manifest.ErrHeading, ""},
		"no heading":        {"old.p12,alice@example.com\n", manifest.ErrHeading, ""},
		"unknown column":    {"file,colour\n", manifest.ErrHeading, ""},
		"column twice":      {"file,user,file\n", manifest.ErrHeading, ""},
		"no file column":    {"user,password\n", manifest.ErrHeading, ""},
		"Latin-1":           {"file,user\nJ\xfcrgen.p12,\n", manifest.ErrUnreadable, ""},
		"NUL":               {"file\na\x00.p12\n", manifest.ErrUnreadable, ""},
		"UTF-16":            {"\xff\xfef\x00i\x00", manifest.ErrUnreadable, ""},
		"no file":           {"file,user\na.p12,\n,alice@example.com\n", manifest.ErrRow, "line 3"},
		"two passwords":     {"file,password,password_file\na.p12,x,y\n", manifest.ErrRow, "line 2"},
		"file and command":  {"file,password_file,password_command\na.p12,x,y\n", manifest.ErrRow, "line 2"},
		"cell too long":     {"file\n" + strings.Repeat("a", 4097) + "\n", manifest.ErrRow, "line 2"},
		"one cell too many": {"file,user\na.p12,b,c\n", manifest.ErrUnreadable, "line 2"},
		"open quote":        {"file\n\"a.p12\n", manifest.ErrUnreadable, "line"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := manifest.Read(strings.NewReader(c.list))
			if !errors.Is(err, c.want) || len(rows) != 0 || !strings.Contains(fault.Of(err).Msg, c.says) {
				t.Errorf("got %d rows and %v, want %v", len(rows), err, c.want)
			}
		})
	}
	if _, err := manifest.Read(io.MultiReader(strings.NewReader("file\n"), endless{})); !errors.Is(err, manifest.ErrTooLarge) {
		t.Errorf("a list without end: got %v", err)
	}
}

// endless gives lines for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("a\n"), len(p)/2+1)), nil
}

// What is in a list never shows in what is said about it.
func TestErrorsQuoteNothing(t *testing.T) {
	_, err := manifest.Read(strings.NewReader("file,password\n,hunter2hunter2\n"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"file,user,password\na.p12,alice@example.com,x\n", "\ufefffile;password_file\r\na;b\r\n", "file\n\"a\"\"b\"\n", "file,file\n", "file\n\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := manifest.Read(bytes.NewReader(data))
		if err != nil && (fault.Of(err) == nil || len(rows) != 0) {
			t.Fatalf("got %d rows and %v", len(rows), err)
		}
		for _, r := range rows {
			if r.File == "" || r.Line < 2 || len(r.File) > 4096 || !r.Password.Empty() && r.PasswordFile != "" {
				t.Fatalf("got %+v", r)
			}
		}
	})
}

func TestReadJSON(t *testing.T) {
	rows, err := manifest.ReadJSON(strings.NewReader("\ufeff[\n" + `{"file":"old.p12","user":" alice@example.com ","password":"a,\"b","note":"first"},
{"file":"new.p12","password_file":"new.txt","purpose":"both"},
{"file":"next.p12","password_command":"pass show next"}
]
`))
	if err != nil || len(rows) != 3 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	if r := rows[0]; r.Line != 2 || r.File != "old.p12" || r.User != "alice@example.com" || r.Password.RevealString() != `a,"b` {
		t.Errorf("got %+v", r)
	}
	if r := rows[1]; r.Line != 3 || r.PasswordFile != "new.txt" || r.Purpose != "both" {
		t.Errorf("got %+v", r)
	}
	if r := rows[2]; r.Line != 4 || r.PasswordCommand != "pass show next" || !r.Password.Empty() {
		t.Errorf("got %+v", r)
	}
	if rows, err := manifest.ReadJSON(strings.NewReader("[]")); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("got %v, %v, want no rows", rows, err)
	}
}

func TestReadJSONRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		want *fault.Error
		says string
	}{
		"nothing":         {"", manifest.ErrUnreadable, ""},
		"an object":       {`{"file":"a"}`, manifest.ErrUnreadable, ""},
		"not closed":      {`[{"file":"a"}`, manifest.ErrUnreadable, ""},
		"something after": {`[] []`, manifest.ErrUnreadable, ""},
		"unknown name":    {"[\n{\"colour\":\"hunter2\"}]", manifest.ErrUnreadable, "line 2"},
		"a number":        {`[{"file":1}]`, manifest.ErrUnreadable, "line 1"},
		"deep":            {strings.Repeat("[", 20_000), manifest.ErrUnreadable, ""},
		"Latin-1":         {"[{\"file\":\"J\xfcrgen\"}]", manifest.ErrUnreadable, ""},
		"escaped NUL":     {`[{"file":"a\u0000"}]`, manifest.ErrRow, "line 1"},
		"no file":         {"[{\"file\":\"a\"},\n{\"password\":\"hunter2\"}]", manifest.ErrRow, "line 2"},
		"null":            {`[null]`, manifest.ErrRow, "line 1"},
		"two passwords":   {`[{"file":"a","password_file":"b","password_command":"c"}]`, manifest.ErrRow, "line 1"},
		"too long":        {`[{"file":"` + strings.Repeat("a", 4097) + `"}]`, manifest.ErrRow, "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := manifest.ReadJSON(strings.NewReader(c.list))
			if !errors.Is(err, c.want) || len(rows) != 0 || !strings.Contains(fault.Of(err).Msg, c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %d rows and %v, want %v", len(rows), err, c.want)
			}
		})
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		`[{"file":"a.p12","user":"alice@example.com","password":"x","note":"n"}]`, "[]", "[null]", `[{"FILE":"a"}] `, "\ufeff[\n{\"file\":\"a\",\"password_command\":\"b c\"}]", "[[", `[{"file":"\ud800"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := manifest.ReadJSON(bytes.NewReader(data))
		if err != nil && (fault.Of(err) == nil || len(rows) != 0) {
			t.Fatalf("got %d rows and %v", len(rows), err)
		}
		last := 1
		for _, r := range rows {
			if r.File == "" || r.Line < last || !r.Password.Empty() && r.PasswordFile != "" {
				t.Fatalf("got %+v after line %d", r, last)
			}
			last = r.Line
		}
	})
}
