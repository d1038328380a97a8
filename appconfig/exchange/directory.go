package exchange

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/signet-mdm/signet/internal/subject"
)

// Bounds of what is read of an export: one line with its continuations, and
// all entries.
const (
	maxLine    = 1 << 20
	maxEntries = 1_000_000
)

// ErrExport is returned for a file that is no LDIF export.
var ErrExport = errors.New("this is no LDIF export of a directory")

// Directory is the entries of an export, by address.
type Directory struct {
	entries []Entry
	byName  map[string][]int // normalised address or user principal name
}

// ReadDirectory reads what ldapsearch and ldifde -f write of a directory. Of
// each entry it takes the name, mail, userPrincipalName, proxyAddresses and
// the certificates.
//
// Spec: RFC 2849
func ReadDirectory(r io.Reader) (*Directory, error) {
	d := &Directory{byName: map[string][]int{}}
	lines := &unfolder{in: bufio.NewReaderSize(r, 4096)}
	var at record
	for {
		line, err := lines.next()
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("line %d: %w", lines.number, err)
		}
		if line == "" { // ends an entry, as the end of the file does
			if at.entry.DN != "" {
				if len(d.entries) == maxEntries {
					return nil, fmt.Errorf("more than %d entries", maxEntries)
				}
				d.add(at)
			}
			at = record{}
		} else if fault := at.take(line); fault != nil {
			return nil, fmt.Errorf("line %d: %w", lines.number, fault)
		}
		if err == io.EOF {
			return d, nil
		}
	}
}

// Find implements [Finder].
func (d *Directory) Find(u subject.User) (Entry, string) {
	for _, name := range []string{u.Mail, u.UPN} {
		switch at := d.byName[name]; len(at) {
		case 0:
		case 1:
			return d.entries[at[0]], ""
		default:
			return Entry{}, "Several entries of the directory have the address " + name + "."
		}
	}
	return Entry{}, "No entry of the directory has this address."
}

func (d *Directory) add(r record) {
	at := len(d.entries)
	d.entries = append(d.entries, r.entry)
	for _, name := range r.names {
		n, err := subject.NormalizeMail(name)
		if list := d.byName[n]; err == nil && (len(list) == 0 || list[len(list)-1] != at) {
			d.byName[n] = append(list, at)
		}
	}
}

// record is an entry that is being read.
type record struct {
	entry Entry
	names []string
}

// take reads one line.
func (r *record) take(line string) error {
	name, rest, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return ErrExport
	}
	value, err := valueOf(rest)
	if err != nil {
		return err
	}
	switch name, _, _ := strings.Cut(strings.ToLower(name), ";"); name { // without ;binary
	case "dn":
		r.entry.DN = value
	case "changetype":
		if value != "add" { // ldifde writes it
			return fmt.Errorf("%w: it holds changes", ErrExport)
		}
	case "mail", "userprincipalname":
		r.names = append(r.names, value)
	case "proxyaddresses":
		if kind, address, _ := strings.Cut(value, ":"); strings.EqualFold(kind, "smtp") {
			r.names = append(r.names, address)
		}
	case "usercertificate":
		r.entry.Certificates = append(r.entry.Certificates, []byte(value))
	case "usersmimecertificate":
		r.entry.Shadowed = true
	}
	return nil
}

// valueOf reads what stands behind the first colon.
func valueOf(s string) (string, error) {
	switch {
	case strings.HasPrefix(s, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimLeft(s[1:], " "))
		if err != nil {
			return "", fmt.Errorf("%w: bad base64", ErrExport)
		}
		return string(b), nil
	case strings.HasPrefix(s, "<"):
		return "", nil // an address; nothing is fetched
	}
	return strings.TrimLeft(s, " "), nil
}

// unfolder gives lines without their folding and without comments.
type unfolder struct {
	in     *bufio.Reader
	number int // of the line read last
}

// next gives a line, "" for an empty one. [io.EOF] comes with the last.
func (u *unfolder) next() (string, error) {
	for {
		line, err := u.joined()
		if !strings.HasPrefix(line, "#") {
			return line, err
		}
		if err != nil {
			return "", err
		}
	}
}

// joined gives a line with those that go on with a space.
func (u *unfolder) joined() (string, error) {
	var line strings.Builder
	part, err := u.physical(maxLine)
	for line.WriteString(part); err == nil && line.Len() > 0; line.WriteString(part[1:]) {
		if ahead, end := u.in.Peek(1); end != nil || ahead[0] != ' ' {
			break
		}
		if part, err = u.physical(maxLine - line.Len()); err != nil && err != io.EOF {
			return "", err
		}
	}
	return line.String(), err
}

// physical gives one line without its end.
func (u *unfolder) physical(most int) (string, error) {
	u.number++
	var out strings.Builder
	for {
		part, err := u.in.ReadSlice('\n')
		if out.Len()+len(part) > most {
			return "", fmt.Errorf("%w: a line is longer than %d bytes", ErrExport, maxLine)
		}
		out.Write(part)
		if err != bufio.ErrBufferFull {
			return strings.TrimRight(out.String(), "\r\n"), err
		}
	}
}
