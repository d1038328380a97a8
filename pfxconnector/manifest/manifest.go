// Package manifest reads the list that says which PKCS#12 file belongs to whom
// and where its password is, as CSV or JSON. It reads bytes only: it opens no
// file and runs no command that a list names. Start at [Read] and [ReadJSON].
package manifest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// MaxBytes bounds a list; one of 100 000 files has some ten million.
const MaxBytes = 64 << 20

// maxField bounds a cell, in bytes.
const maxField = 4096

// What is wrong with a list; [Read] says in which line.
var (
	ErrUnreadable = fault.New(fault.Invalid, "manifest_unreadable",
		"The list is no CSV or JSON in UTF-8.", "Save it as CSV UTF-8, with commas or semicolons between the cells, or as a JSON array of objects.")
	ErrHeading = fault.New(fault.Invalid, "manifest_heading_invalid",
		"The first line must name the columns.", "There must be a column file; user, password, password_file or password_command, purpose and note may follow.")
	ErrRow = fault.New(fault.Invalid, "manifest_row_invalid",
		"A line of the list cannot be used.", "Each needs a file, and at most one of password, password_file and password_command.")
	ErrTooLarge = fault.New(fault.TooLarge, "manifest_too_large",
		"The list is larger than 64 MiB.", "Split it.")
)

// Row is one file to import.
type Row struct {
	Line    int    // in the list, from 1
	File    string // as written
	User    string // address, UPN or id; empty: whom the certificate names
	Purpose string // as of the command line; empty: what the certificate says

	// Where the password is: at most one of them; none: as of the command line.
	Password        seal.Secret
	PasswordFile    string
	PasswordCommand string
}

// usable tells whether the row says what it must, and nothing twice.
func (r Row) usable() bool {
	ways := 0
	for _, given := range []bool{!r.Password.Empty(), r.PasswordFile != "", r.PasswordCommand != ""} {
		if given {
			ways++
		}
	}
	return r.File != "" && ways <= 1
}

// columns are the names of the heading.
var columns = []string{"file", "user", "password", "password_file", "password_command", "purpose", "note"}

// Read reads a list in CSV. Rows come in its order; the note is for people
// only. One bad line refuses the whole list, before anything was done.
func Read(r io.Reader) ([]Row, error) {
	data, err := text(r)
	if err != nil {
		return nil, err
	}
	defer clear(data) // passwords
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma, c.TrimLeadingSpace, c.ReuseRecord = separator(data), true, true
	head, err := heading(c)
	if err != nil {
		return nil, err
	}
	return rows(c, head)
}

// text reads a list of either kind; the caller clears it.
func text(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		err = fmt.Errorf("reading the list: %w", err)
	case len(data) > MaxBytes:
		err = ErrTooLarge
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		err = ErrUnreadable
	default:
		return bytes.TrimPrefix(data, []byte("\ufeff")), nil // Excel writes one
	}
	clear(data)
	return nil, err
}

// separator is what stands between the cells of the first line.
//
// Quirk: Excel writes semicolons where the comma divides decimals.
func separator(data []byte) rune {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	if bytes.ContainsRune(first, ';') && !bytes.ContainsRune(first, ',') {
		return ';'
	}
	return ','
}

func heading(c *csv.Reader) ([]string, error) {
	record, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, ErrHeading
	}
	if err != nil {
		return nil, ErrUnreadable.With(err)
	}
	head := make([]string, 0, len(record))
	for _, name := range record {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, name) || slices.Contains(head, name) {
			return nil, ErrHeading
		}
		head = append(head, name)
	}
	if !slices.Contains(head, "file") {
		return nil, ErrHeading
	}
	return head, nil
}

func rows(c *csv.Reader, head []string) ([]Row, error) {
	list := []Row{}
	for {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, at(ErrUnreadable, p.Line)
		}
		if err != nil {
			return nil, ErrUnreadable
		}
		line, _ := c.FieldPos(0)
		row, ok := rowOf(record, head, line)
		if !ok {
			return nil, at(ErrRow, line)
		}
		list = append(list, row)
	}
}

func at(e *fault.Error, line int) error { return e.Saying(fmt.Sprintf("%s (line %d)", e.Msg, line)) }

func rowOf(record, head []string, line int) (Row, bool) {
	row := Row{Line: line}
	for i, cell := range record {
		if len(cell) > maxField {
			return row, false
		}
		switch head[i] {
		case "file":
			row.File = strings.Clone(cell)
		case "user":
			row.User = strings.Clone(strings.TrimSpace(cell))
		case "purpose":
			row.Purpose = strings.Clone(strings.TrimSpace(cell))
		case "password":
			row.Password = seal.SecretString(cell)
		case "password_file":
			row.PasswordFile = strings.Clone(cell)
		case "password_command":
			row.PasswordCommand = strings.Clone(strings.TrimSpace(cell))
		}
	}
	return row, row.usable()
}
