package console

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Bounds of one upload.
const (
	maxUploads = 20 // files
	maxParts   = 40
)

// ErrUpload is returned for a form that is none of ours.
var ErrUpload = fault.New(fault.Invalid, "upload_invalid",
	"The upload cannot be read.", "Choose up to 20 files; the command line takes more: signet pfx import.")

// askImport asks for files.
func (v visit) askImport() error {
	return v.page("import", "Import", "import", map[string]any{"KiB": v.MaxFile >> 10, "Files": maxUploads})
}

// upload is what the form has. It is never on a disk, and forgotten afterwards.
type upload struct {
	files []admin.NewImport
	said  admin.NewImport // of all of them
}

// takeImport sends the files to the API, one by one, and says what became of
// each.
func (v visit) takeImport() error {
	u, err := v.readUpload()
	defer u.forget()
	if err != nil {
		return err
	}
	if u.said.User != "" { // before anything is done
		if _, err := v.api.User(v.r.Context(), u.said.User); err != nil {
			return err
		}
	}
	var reports []pfxconnector.FileReport
	for _, f := range u.files {
		n := u.said
		n.File, n.Data = f.File, f.Data
		report, err := v.api.Import(v.r.Context(), n)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	return v.page("imported", "Import", "import", map[string]any{"Reports": reports, "Dry": u.said.DryRun})
}

// readUpload reads the form.
func (v visit) readUpload() (upload, error) {
	var u upload
	form, err := v.r.MultipartReader()
	if err != nil {
		return u, ErrUpload.With(err)
	}
	for range maxParts {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && len(u.files) > 0:
			return u, nil
		case errors.Is(err, io.EOF):
			return u, ErrUpload
		case err != nil:
			return u, unreadable(err)
		}
		if err := u.add(part, v.MaxFile); err != nil {
			return u, err
		}
	}
	return u, ErrUpload
}

// unreadable keeps apart what is too large.
func unreadable(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return err
	}
	return ErrUpload.With(err)
}

// add reads one field.
func (u *upload) add(part *multipart.Part, maxFile int64) error {
	limit := int64(maxForm)
	if part.FormName() == "files" {
		limit = maxFile
	}
	data, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case err != nil:
		return unreadable(err)
	case int64(len(data)) > limit:
		return httpd.ErrTooLarge
	}
	if part.FormName() == "files" {
		return u.file(part.FileName(), data)
	}
	defer clear(data)
	switch text := string(data); part.FormName() {
	case "password":
		u.said.Password = text
	case "user":
		u.said.User = trimmed(text)
	case "purpose":
		u.said.Purpose = text
	case "signing":
		u.said.AllowSigningEscrow = true
	case "look":
		u.said.DryRun = true
	}
	return nil
}

func (u *upload) file(name string, data []byte) error {
	switch {
	case name == "" && len(data) == 0: // none was chosen
		return nil
	case len(u.files) == maxUploads:
		return ErrUpload
	}
	u.files = append(u.files, admin.NewImport{File: name, Data: data})
	return nil
}

func (u *upload) forget() {
	for _, f := range u.files {
		clear(f.Data)
	}
}
