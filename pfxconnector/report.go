package pfxconnector

import (
	"strings"
	"unicode"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Status is the outcome for a file or an identity. An identity that is refused
// has its code, without "pfx_", as status.
type Status string

// The outcomes that are no refusal, and what a file says when nothing in it
// could be used. A file is imported when at least one identity is.
const (
	Imported    Status = "imported"
	WouldImport Status = "would_import" // a dry run
	Unchanged   Status = "unchanged"    // the user has it already
	Quarantined Status = "quarantined"  // sealed, and nobody's until somebody says whose
	Refused     Status = "refused"

	WouldQuarantine Status = "would_quarantine" // a dry run
)

// FileReport says what became of a file.
type FileReport struct {
	File       string           `json:"file" doc:"Its name, as far as it can be shown"`
	Status     Status           `json:"status" doc:"What became of it"`
	Code       *string          `json:"code" doc:"Of the refusal, else null"`
	Message    string           `json:"message,omitempty" doc:"Of the refusal"`
	Hint       string           `json:"hint,omitempty" doc:"What to do"`
	Identities []IdentityReport `json:"identities" nullable:"false" doc:"One a key"`
	Notes      []pfx.Note       `json:"notes,omitempty" doc:"Oddities that did no harm"`
}

// IdentityReport says what became of one key with its certificate, or of the
// half of it that was there.
type IdentityReport struct {
	Status     Status   `json:"status" doc:"What became of it"`
	Code       *string  `json:"code" doc:"Of the refusal, else null"`
	SPKI       string   `json:"spkiSha256" doc:"SHA-256 of the public key, hex; empty for what could not be read"`
	Cert       string   `json:"certSha256" doc:"SHA-256 of the certificate, hex"`
	Purpose    string   `json:"purpose" doc:"signing, encryption or both"`
	User       string   `json:"user" doc:"Address of its user; empty when nobody was found"`
	UserID     string   `json:"userId,omitempty" doc:"Our id of its user"`
	Reason     string   `json:"reason,omitempty" doc:"Of the refusal"`
	Hint       string   `json:"hint,omitempty" doc:"What to do"`
	Warnings   []string `json:"warnings,omitempty" doc:"What is odd about it"`
	Quarantine *Aside   `json:"quarantine,omitempty" doc:"Of a key whose user is not known: where it is set aside, and why"`
	Outlook    *Outlook `json:"outlook,omitempty" doc:"Of a dry run: what it would be to its user"`
	Notices    []Notice `json:"notices,omitempty" doc:"What is worth knowing and no fault of it, such as that it has expired"`
}

// Aside says where a key was set aside, and why.
type Aside struct {
	ID      string   `json:"id" doc:"Of its place in quarantine; empty for a dry run, and when another import of the same was faster"`
	Code    string   `json:"code" doc:"Why it is there"`
	Message string   `json:"message" doc:"That, for people"`
	Hint    string   `json:"hint" doc:"What to do"`
	Named   []string `json:"named" nullable:"false" doc:"Addresses of the users whom the certificate names, if there are several"`
}

func newAside(to place, dry bool) *Aside {
	a := &Aside{ID: string(to.user.ID), Code: to.why.Code, Message: to.why.Msg, Hint: to.why.Hint, Named: []string{}}
	if dry && !to.has {
		a.ID = ""
	}
	for _, u := range to.named {
		a.Named = append(a.Named, u.Mail)
	}
	return a
}

// missed forgets the place that was meant for what was set aside already.
func (i *IdentityReport) missed() {
	if i.Quarantine != nil {
		i.Quarantine.ID = ""
	}
}

// Aside counts the identities that were set aside.
func (r FileReport) Aside() int {
	n := 0
	for _, i := range r.Identities {
		if i.Quarantine != nil {
			n++
		}
	}
	return n
}

// Rejects counts what was not taken: the identities refused, or the file.
func (r FileReport) Rejects() int {
	n := 0
	for _, i := range r.Identities {
		if i.Code != nil {
			n++
		}
	}
	if n == 0 && r.Code != nil {
		return 1
	}
	return n
}

func newReport(name string) FileReport {
	return FileReport{File: printable(name), Identities: []IdentityReport{}}
}

// refuse says that the whole file is of no use.
func (r *FileReport) refuse(f *fault.Error) {
	r.Status, r.Code, r.Message, r.Hint = Refused, &f.Code, f.Msg, f.Hint
}

// conclude sums the identities up.
func (r *FileReport) conclude(nothing *fault.Error) {
	for _, s := range []Status{Imported, WouldImport, Unchanged, Quarantined, WouldQuarantine} {
		for _, i := range r.Identities {
			if i.Status == s {
				r.Status = s
				return
			}
		}
	}
	if len(r.Identities) == 0 {
		r.refuse(nothing)
		return
	}
	first := r.Identities[0]
	r.Status, r.Code, r.Message, r.Hint = Refused, first.Code, first.Reason, first.Hint
}

func (i *IdentityReport) refuse(f *fault.Error) {
	i.Code, i.Status = &f.Code, Status(strings.TrimPrefix(f.Code, "pfx_"))
	i.Reason, i.Hint = f.Msg, f.Hint
}

func (i *IdentityReport) warn(sentences ...string) {
	for _, s := range sentences {
		if s != "" {
			i.Warnings = append(i.Warnings, s)
		}
	}
}

func newIdentityReport(c cert.Record) IdentityReport {
	return IdentityReport{SPKI: c.SPKI.String(), Cert: c.Fingerprint.String(), Purpose: c.Use.String()}
}

// printable makes foreign text fit to be shown: short, on one line, in one
// direction.
func printable(s string) string {
	out := []rune(strings.ToValidUTF8(s, "?"))
	for i, c := range out {
		if subject.Unshowable(c) || unicode.Is(unicode.Cf, c) {
			out[i] = '?'
		}
	}
	return string(out[:min(len(out), 255)])
}
