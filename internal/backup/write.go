package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"

	"filippo.io/age"
)

// Writer writes an archive. Its methods are called in the order of their
// listing here; an archive without [Writer.Close] does not read.
type Writer struct {
	sealed   io.WriteCloser
	tar      *tar.Writer
	header   Header
	manifest Manifest

	table   string
	columns []string
	part    int
	lines   bytes.Buffer
}

// NewWriter begins an archive that opens with any identity of to.
func NewWriter(out io.Writer, h Header, to ...age.Recipient) (*Writer, error) {
	sealed, err := age.Encrypt(out, to...)
	if err != nil {
		return nil, ErrRecipient.With(err)
	}
	h.Format = format
	w := &Writer{sealed: sealed, tar: tar.NewWriter(sealed), header: h,
		manifest: Manifest{Files: map[string]string{}, Rows: map[string]int64{}}}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	return w, w.file(headerName, text)
}

// Config adds signet.toml.
func (w *Writer) Config(text []byte) error {
	return w.file(configName, text)
}

// Key adds a file of the keyring.
func (w *Writer) Key(name string, data []byte) error {
	return w.file(path.Join(keysDir, name), data)
}

// Table begins a table. Its rows follow.
func (w *Writer) Table(name string, columns []string) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.table, w.columns, w.part = name, columns, 0
	w.manifest.Rows[name] = 0
	return w.begin()
}

// Row adds a row of the table: a nil, int64, string or []byte for each column.
func (w *Writer) Row(values []any) error {
	list := make([]any, len(values))
	for i, v := range values {
		var err error
		if list[i], err = box(v); err != nil {
			return fmt.Errorf("column %s of %s: %w", w.columns[i], w.table, err)
		}
	}
	if err := w.line(list); err != nil {
		return err
	}
	w.manifest.Rows[w.table]++
	if w.lines.Len() < partSize {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.begin()
}

// Close ends the archive. It does not close what it was written to.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	text, err := json.Marshal(w.manifest)
	if err != nil {
		return fmt.Errorf("encoding the manifest: %w", err)
	}
	if err := w.file(manifestName, text); err != nil {
		return err
	}
	if err := w.tar.Close(); err != nil {
		return fmt.Errorf("ending the backup: %w", err)
	}
	return w.sealed.Close()
}

// part is the first line of a part of a table.
type part struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

func (w *Writer) begin() error { return w.line(part{w.table, w.columns}) }

func (w *Writer) line(v any) error {
	e := json.NewEncoder(&w.lines)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// flush writes the part that was begun, also one without rows.
func (w *Writer) flush() error {
	if w.lines.Len() == 0 {
		return nil
	}
	defer w.lines.Reset()
	if w.lines.Len() > maxPart {
		return fmt.Errorf("a row of %s is too large to be read again: %d bytes", w.table, w.lines.Len())
	}
	w.part++
	return w.file(partName(w.table, w.part), w.lines.Bytes())
}

func (w *Writer) file(name string, data []byte) error {
	sum := sha256.Sum256(data)
	if name != manifestName {
		w.manifest.Files[name] = hex.EncodeToString(sum[:])
	}
	err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o600, ModTime: w.header.Created})
	if err == nil {
		_, err = w.tar.Write(data)
	}
	if err != nil {
		return fmt.Errorf("writing %s of the backup: %w", name, err)
	}
	return nil
}
