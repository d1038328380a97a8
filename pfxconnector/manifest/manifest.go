// Package manifest reads the list that says which PKCS#12 file belongs to whom
// and where its password is, as a CSV file. It reads bytes only: it opens no
// file that a list names. Start at [Read].
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
		"The list is no CSV file in UTF-8.", "Save it as CSV UTF-8, with commas or semicolons between the cells.")
	ErrHeading = fault.New(fault.Invalid, "manifest_heading_invalid",
		"The first line must name the columns.", "There must be a column file; user, password or password_file, purpose and note may follow.")
	ErrRow = fault.New(fault.Invalid, "manifest_row_invalid",
		"A line of the list cannot be used.", "Each needs a file, and either a password or a password_file.")
	ErrTooLarge = fault.New(fault.TooLarge, "manifest_too_large",
		"The list is larger than 64 MiB.", "Split it.")
)

// Row is one file to import.
type Row struct {
	Line         int    // in the list, from 1
	File         string // as written
	User         string // address, UPN or id; empty: whom the certificate names
	Purpose      string // as of the command line; empty: what the certificate says
	Password     seal.Secret
	PasswordFile string // instead of Password; both empty: as of the command line
}

// columns are the names of the heading.
var columns = []string{"file", "user", "password", "password_file", "purpose", "note"}

// Read reads a list. Rows come in its order; the note is for people only. One
// bad line refuses the whole list, before anything was done.
func Read(r io.Reader) ([]Row, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	defer clear(data) // passwords
	if len(data) > MaxBytes {
		return nil, ErrTooLarge
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Excel writes one
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, ErrUnreadable
	}
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma, c.TrimLeadingSpace, c.ReuseRecord = separator(data), true, true
	head, err := heading(c)
	if err != nil {
		return nil, err
	}
	return rows(c, head)
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
		}
	}
	return row, row.File != "" && (row.Password.Empty() || row.PasswordFile == "")
}
