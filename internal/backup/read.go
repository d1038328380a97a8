package backup

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
	"maps"
	"path"
	"strings"

	"filippo.io/age"
)

// Target takes what is in an archive, in the order of its methods. It keeps
// nothing when [Read] fails.
type Target interface {
	// Begin is told what the archive is. An error ends the reading.
	Begin(ctx context.Context, h Header) error
	// Config takes signet.toml.
	Config(text []byte) error
	// Key takes a file of the keyring. The name is that of a file, not a path.
	Key(name string, data []byte) error
	// Rows takes rows of a table.
	Rows(ctx context.Context, table string, columns []string, rows [][]any) error
}

// Read reads an archive that one of the identities opens, and gives what the
// manifest says, which was found to be true. [ErrIdentity], [ErrDamaged],
// [ErrNewer], and what to fails with.
func Read(ctx context.Context, in io.Reader, to Target, identities ...age.Identity) (Manifest, error) {
	plain, err := age.Decrypt(in, identities...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return Manifest{}, ErrIdentity.With(err)
	}
	if err != nil {
		return Manifest{}, ErrDamaged.With(err)
	}
	return read(ctx, plain, to)
}

// read reads what was inside the age file.
func read(ctx context.Context, plain io.Reader, to Target) (Manifest, error) {
	r := reader{to: to, tar: tar.NewReader(plain), found: Manifest{Files: map[string]string{}, Rows: map[string]int64{}}}
	for !r.done {
		if err := r.entry(ctx); err != nil {
			return Manifest{}, err
		}
	}
	if _, err := r.tar.Next(); err != io.EOF {
		return Manifest{}, ErrDamaged.With(errors.New("something behind the manifest"))
	}
	if _, err := io.Copy(io.Discard, plain); err != nil { // the end is authenticated too
		return Manifest{}, ErrDamaged.With(err)
	}
	return r.found, nil
}

// reader reads one entry after the other.
type reader struct {
	to    Target
	tar   *tar.Reader
	found Manifest
	begun bool
	done  bool
	keys  int
}

func (r *reader) entry(ctx context.Context) error {
	h, err := r.tar.Next()
	if err != nil { // the end, too, comes too early
		return ErrDamaged.With(fmt.Errorf("before the manifest: %w", err))
	}
	if h.Typeflag != tar.TypeReg || h.Size < 0 || h.Size > limit(h.Name) {
		return ErrDamaged.With(fmt.Errorf("an entry of kind %q with %d bytes", h.Typeflag, h.Size))
	}
	if _, twice := r.found.Files[h.Name]; twice {
		return ErrDamaged.With(errors.New("an entry twice"))
	}
	data, err := io.ReadAll(io.LimitReader(r.tar, h.Size))
	if err != nil {
		return ErrDamaged.With(err)
	}
	if h.Name == manifestName {
		return r.compare(data)
	}
	sum := sha256.Sum256(data)
	r.found.Files[h.Name] = hex.EncodeToString(sum[:])
	return r.take(ctx, h.Name, data)
}

// limit is how large an entry may be; 0 for one of no known name.
func limit(name string) int64 {
	switch dir, file := path.Split(name); {
	case name == headerName, name == configName:
		return maxFile
	case name == manifestName:
		return maxList
	case dir == keysDir+"/" && keyForm.MatchString(file) && file != "unlock.key":
		return maxFile
	case dir == rowsDir+"/":
		return maxPart
	}
	return 0
}

// take hands an entry on.
func (r *reader) take(ctx context.Context, name string, data []byte) error {
	if name == headerName {
		return r.begin(ctx, data)
	}
	dir, file := path.Split(name)
	switch {
	case !r.begun:
		return ErrDamaged.With(errors.New("no header"))
	case name == configName:
		return r.to.Config(data)
	case dir == rowsDir+"/":
		return r.rows(ctx, name, data)
	case dir == keysDir+"/" && limit(name) > 0:
		if r.keys++; r.keys > maxKeys {
			return ErrDamaged.With(errors.New("too many keys"))
		}
		return r.to.Key(file, data)
	}
	return ErrDamaged.With(errors.New("an entry of no known name"))
}

func (r *reader) begin(ctx context.Context, data []byte) error {
	var h Header
	if err := json.Unmarshal(data, &h); err != nil {
		return ErrDamaged.With(err)
	}
	if h.Format > format {
		return ErrNewer
	}
	if h.Format != format || r.begun {
		return ErrDamaged.With(fmt.Errorf("format %d", h.Format))
	}
	r.begun = true
	return r.to.Begin(ctx, h)
}

// rows reads a part of a table.
func (r *reader) rows(ctx context.Context, name string, data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	var p part
	if err := d.Decode(&p); err != nil {
		return ErrDamaged.With(err)
	}
	if !tableForm.MatchString(p.Table) || !strings.HasPrefix(name, path.Join(rowsDir, p.Table)+".") || !columnsFit(p.Columns) {
		return ErrDamaged.With(errors.New("a part of no table"))
	}
	var rows [][]any
	for d.More() {
		var raw []json.RawMessage
		if err := d.Decode(&raw); err != nil || len(raw) != len(p.Columns) {
			return ErrDamaged.With(errors.Join(err, errors.New("a row that does not fit")))
		}
		row := make([]any, len(raw))
		for i, v := range raw {
			var err error
			if row[i], err = unbox(v); err != nil {
				return ErrDamaged.With(err)
			}
		}
		rows = append(rows, row)
	}
	r.found.Rows[p.Table] += int64(len(rows))
	if len(r.found.Rows) > maxTables {
		return ErrDamaged.With(errors.New("too many tables"))
	}
	return r.to.Rows(ctx, p.Table, p.Columns, rows)
}

func columnsFit(names []string) bool {
	for _, n := range names {
		if !tableForm.MatchString(n) {
			return false
		}
	}
	return len(names) > 0
}

// compare holds what was found against the manifest.
func (r *reader) compare(data []byte) error {
	var want Manifest
	if err := json.Unmarshal(data, &want); err != nil {
		return ErrDamaged.With(err)
	}
	if !r.begun || !maps.Equal(want.Files, r.found.Files) || !maps.Equal(want.Rows, r.found.Rows) {
		return ErrDamaged.With(errors.New("it is not what its manifest says"))
	}
	r.done = true
	return nil
}
