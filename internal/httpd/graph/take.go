package graph

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Why an object is not taken, besides what is wrong with its file.
var (
	ErrDuplicate = fault.New(fault.Conflict, "duplicate",
		"The user has this certificate already.", "Nothing was changed.")
	ErrPurpose = fault.New(fault.Invalid, "purpose_refused",
		"Certificates are taken for mail only.", "Import it for smimeEncryption, or unassigned to go by the certificate.")
	ErrOwnerFixed = fault.New(fault.Conflict, "owner_fixed",
		"An update does not change whose a certificate is.", "Import it for the other user; remove it here if it is not this one's.")
)

// create takes a certificate in.
func (a api) create(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	o, err := readObject(r.Body)
	if err != nil {
		return err
	}
	u, err := a.Users.User(r.Context(), o.User)
	if err != nil {
		return err
	}
	status, err := a.take(r.Context(), by, u, o)
	if err != nil {
		return err
	}
	if status == pfxconnector.Unchanged {
		return ErrDuplicate
	}
	c, err := a.held(r.Context(), u, strings.ToLower(o.Thumbprint))
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, newAnswered(u, c))
}

// update says what a certificate is for, as it is sent; unassigned goes by the
// certificate. The certificate, its key and whose they are never change; a file
// that does not fit is refused all the same.
func (a api) update(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	u, c, err := a.one(r)
	if err != nil {
		return err
	}
	o, err := readObject(r.Body)
	if err != nil {
		return err
	}
	use, mail := o.Purpose.use()
	switch {
	case !mail:
		return ErrPurpose
	case o.Thumbprint != "" && !strings.EqualFold(o.Thumbprint, thumbprintOf(c)):
		return pfxconnector.ErrThumbprint
	}
	if o.User != "" {
		if to, err := a.Users.User(r.Context(), o.User); err != nil {
			return err
		} else if to.ID != u.ID {
			return ErrOwnerFixed
		}
	}
	if len(o.Blob) > 0 {
		o.Thumbprint = thumbprintOf(c)
		if _, err := a.take(r.Context(), by, u, o); err != nil {
			return err
		}
	}
	if o.Purpose != nil {
		if c.Use, err = a.Keys.Repurpose(r.Context(), by.Actor, u, c.Fingerprint, pfxconnector.Decision{Purpose: use}); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, newAnswered(u, c))
}

// take opens, checks and seals what an object has in it.
func (a api) take(ctx context.Context, by httpd.Caller, u subject.User, o object) (pfxconnector.Status, error) {
	use, mail := o.Purpose.use()
	if !mail {
		return "", ErrPurpose
	}
	if !thumbprintForm.MatchString(o.Thumbprint) {
		return "", pfxconnector.ErrThumbprint
	}
	password, err := a.Passwords.Open(ctx, o.Provider, o.Key, o.Padding.Padding, o.Password)
	if err != nil {
		return "", err
	}
	defer password.Wipe()
	defer clear(o.Blob)
	f := pfxconnector.File{Name: strings.ToLower(o.Thumbprint), Data: o.Blob, User: &u, Thumbprint: o.Thumbprint, Purpose: use}
	var report pfxconnector.FileReport
	for _, p := range readings(password) {
		f.Password = p
		defer p.Wipe()
		if report, err = a.Keys.Import(ctx, by.Actor, f); err != nil {
			return "", err
		}
		if report.Code == nil || *report.Code != pfx.ErrPassword.Code {
			break
		}
	}
	if report.Code != nil {
		return "", &fault.Error{Kind: fault.Invalid, Code: *report.Code, Msg: report.Message, Hint: report.Hint}
	}
	return report.Status, nil
}

// readings are what the bytes of a password may mean: UTF-8 as our own tools
// send it, or Latin-1.
//
// Quirk: Intune's module keeps the low byte of each UTF-16 unit only.
func readings(password seal.Secret) []seal.Secret {
	b := password.Reveal()
	latin := make([]byte, 0, 2*len(b))
	for _, c := range b {
		latin = utf8.AppendRune(latin, rune(c))
	}
	switch {
	case len(latin) == len(b): // ASCII
		return []seal.Secret{password}
	case utf8.Valid(b):
		return []seal.Secret{password, seal.NewSecret(latin)}
	}
	return []seal.Secret{seal.NewSecret(latin)}
}
