package manifest

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/signet-mdm/signet/internal/seal"
)

// entry is one file in JSON; its names are the columns of the CSV list.
type entry struct {
	File            string `json:"file"`
	User            string `json:"user"`
	Password        string `json:"password"`
	PasswordFile    string `json:"password_file"`
	PasswordCommand string `json:"password_command"`
	Purpose         string `json:"purpose"`
	Note            string `json:"note"`
}

// ReadJSON reads a list that is an array of objects with the names of the
// columns. It promises what [Read] does.
func ReadJSON(r io.Reader) ([]Row, error) {
	data, err := text(r)
	if err != nil {
		return nil, err
	}
	defer clear(data) // passwords
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, ErrUnreadable
	}
	list, lines := []Row{}, lineCount{data: data, line: 1}
	for d.More() {
		var e entry
		err := d.Decode(&e)
		line := lines.at(d.InputOffset())
		if err != nil {
			return nil, at(ErrUnreadable, line)
		}
		row, ok := e.row(line)
		if !ok {
			return nil, at(ErrRow, line)
		}
		list = append(list, row)
	}
	if _, err := d.Token(); err != nil {
		return nil, ErrUnreadable
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ErrUnreadable // something follows
	}
	return list, nil
}

func (e entry) row(line int) (Row, bool) {
	for _, cell := range []string{e.File, e.User, e.Password, e.PasswordFile, e.PasswordCommand, e.Purpose, e.Note} {
		if len(cell) > maxField || strings.ContainsRune(cell, 0) {
			return Row{}, false
		}
	}
	row := Row{Line: line, File: e.File, User: strings.TrimSpace(e.User), Purpose: strings.TrimSpace(e.Purpose),
		Password: seal.SecretString(e.Password), PasswordFile: e.PasswordFile, PasswordCommand: strings.TrimSpace(e.PasswordCommand)}
	return row, row.usable()
}

// lineCount tells in which line an offset is, when asked in ascending order.
type lineCount struct {
	data []byte
	done int64
	line int
}

func (l *lineCount) at(offset int64) int {
	l.line += bytes.Count(l.data[l.done:offset], []byte("\n"))
	l.done = offset
	return l.line
}
