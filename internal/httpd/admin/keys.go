package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Keys takes encryption keys into escrow. Nobody reads them back.
type Keys interface {
	Quarantine
	// Import takes one PKCS#12 file; what is wrong with it is in the report.
	Import(ctx context.Context, by journal.Actor, f pfxconnector.File) (pfxconnector.FileReport, error)
	// List gives a user's imported certificates, newest first; never nil.
	List(ctx context.Context, u subject.User) ([]pfxconnector.Item, error)
	// Publications tells, for each of the users, what may be published.
	Publications(ctx context.Context, users []subject.User) ([]pfxconnector.Publication, error)
	// Coverages tells, for each of the users, when he had encryption
	// certificates.
	Coverages(ctx context.Context, users []subject.User) ([]pfxconnector.Coverage, error)
	// Repurpose says what a user's imported certificate is for, by the rules of
	// an import, and gives that.
	Repurpose(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint, d pfxconnector.Decision) (cert.Use, error)
	// Pin makes a certificate the user's current one while it is valid.
	Pin(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint) error
	// Unpin leaves the choice of the user's current certificate to the rules.
	Unpin(ctx context.Context, by journal.Actor, u subject.User) error
	// Remove destroys a user's imported key for ever.
	Remove(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint) error
}

// NewImport is one PKCS#12 file with its password.
type NewImport struct {
	File     string `json:"file" maxLength:"4096" doc:"Its name, for the report"`
	Data     []byte `json:"data,omitempty" doc:"The file, base64"`
	Password string `json:"password,omitempty" maxLength:"1024" doc:"Of the file; not kept"`
	User     string `json:"user,omitempty" maxLength:"320" doc:"Whose it is; whom the certificate names when left out"`
	Purpose  string `json:"purpose,omitempty" enum:"signing,encryption,both" doc:"Overrides what the certificate says"`

	AllowSigningEscrow bool `json:"allowSigningEscrow,omitempty" doc:"Take keys that are for signing only"`
	AllowWeak          bool `json:"allowWeak,omitempty" doc:"Take RSA keys that protect nothing any more"`
	AllowNoMAC         bool `json:"allowNoMac,omitempty" doc:"Take a file without an integrity check"`
	NoQuarantine       bool `json:"noQuarantine,omitempty" doc:"Refuse a key whose user is not known, instead of setting it aside"`
	DryRun             bool `json:"dryRun,omitempty" doc:"Look, but change nothing"`
}

func (a *API) keys() {
	// Base64 is a third longer; the rest is names and the password.
	limit := a.MaxFile/3*4 + small
	register(a, operation{id: "import", tag: "keys", method: http.MethodPost, path: "/imports", summary: "Import a PKCS#12 file into escrow",
		permission: access.KeyImport, maxBody: limit,
		faults: []*fault.Error{directory.ErrUserUnknown}}, a.importKeys)
	register(a, operation{id: "listKeys", tag: "keys", method: http.MethodGet, path: "/users/{user}/keys",
		summary: "List the imported certificates of a user", permission: access.KeyRead,
		faults: []*fault.Error{directory.ErrUserUnknown, ErrCursor}}, a.listKeys)
	register(a, operation{id: "removeKey", tag: "keys", method: http.MethodDelete, path: "/users/{user}/keys/{cert}",
		summary: "Destroy an imported key for ever", permission: access.KeyImport,
		faults: []*fault.Error{directory.ErrUserUnknown, pfxconnector.ErrKeyUnknown}}, a.removeKey)
	a.decisions()
	a.quarantine()
}

func (a *API) importKeys(ctx context.Context, by journal.Actor, in *body[NewImport]) (*body[pfxconnector.FileReport], error) {
	n := in.Body
	f := pfxconnector.File{Name: n.File, Data: n.Data, Password: seal.SecretString(n.Password),
		AllowSigning: n.AllowSigningEscrow, AllowWeak: n.AllowWeak, AllowNoMAC: n.AllowNoMAC,
		NoQuarantine: n.NoQuarantine, DryRun: n.DryRun}
	defer f.Password.Wipe()
	defer clear(f.Data)
	if n.Purpose != "" {
		use, err := cert.ParseUse(n.Purpose)
		if err != nil {
			return nil, ErrRequest.With(err)
		}
		f.Purpose = use
	}
	if n.User != "" {
		u, err := a.Users.User(ctx, n.User)
		if err != nil {
			return nil, err
		}
		f.User = &u
	}
	report, err := a.Keys.Import(ctx, by, f)
	return &body[pfxconnector.FileReport]{report}, err
}

// listKeys cuts the list of one user, which is as long as his history: where
// each key stands depends on all of them.
func (a *API) listKeys(ctx context.Context, _ journal.Actor, in *struct {
	Part
	User string `path:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
}) (*body[list[pfxconnector.Item]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	u, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	items, err := a.Keys.List(ctx, u)
	if err != nil {
		return nil, err
	}
	if after != "" {
		i := slices.IndexFunc(items, func(k pfxconnector.Item) bool { return k.Cert == after })
		if i < 0 {
			return nil, ErrCursor // or it was removed meanwhile
		}
		items = items[i+1:]
	}
	same := func(k pfxconnector.Item) pfxconnector.Item { return k }
	return partOf(items, in.Limit, same, func(k pfxconnector.Item) string { return placeText(k.Cert) }), nil
}

func (a *API) removeKey(ctx context.Context, by journal.Actor, in *KeyName) (*struct{}, error) {
	u, f, err := a.keyNamed(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.Keys.Remove(ctx, by, u, f)
}
