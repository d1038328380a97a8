package tenant_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph/msgraphtest"
	"github.com/signet-mdm/signet/testdata"
)

var by = journal.Actor{Kind: journal.Local, ID: "test"}

// world is an installation with Alice, who has two keys, and a tenant in which
// she has an account.
type world struct {
	*tenant.Service
	t        *testing.T
	cloud    *msgraphtest.Server
	db       *store.DB
	path     string
	people   *directory.Service
	pfx      *pfxconnector.Service
	consents *access.Consents
	alice    subject.User
	keys     []cert.Fingerprint
	callers  map[string]access.Caller
	box      *seal.Box
	opener   *opener.Opener
	log      bytes.Buffer
	later    time.Duration
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return time.Now().Add(w.later) }

func newWorld(t *testing.T, change ...func(*tenant.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, cloud: msgraphtest.Start(), path: filepath.Join(dir, "signet.db"), callers: map[string]access.Caller{}}
	t.Cleanup(w.cloud.Close)
	sqlitetest.Put(t, w.path)
	var err error
	w.db, err = store.OpenSQLite(t.Context(), w.path)
	w.must(err)
	t.Cleanup(func() { w.db.Close() })
	ring, err := keyring.Create(filepath.Join(dir, "keys"), filepath.Join(dir, "unlock.key"))
	w.must(err)
	to, err := keyring.Recipient(filepath.Join(dir, "keys"))
	w.must(err)
	w.people = directory.New(w.db.Directory(), w.now)
	w.pfx = pfxconnector.New(pfxconnector.Config{Store: w.db.PFX(), Users: w.people, Sealer: escrow.NewSealer(to), Now: w.now})
	w.alice, err = w.people.Add(t.Context(), by, subject.User{Mail: testdata.Owner, UPN: "alice.upn@example.com"})
	w.must(err)
	w.keys = []cert.Fingerprint{w.load(0, w.alice), w.load(6, w.alice)}
	w.cloud.Add("alice.upn@example.com", "other@example.com", "smtp:"+testdata.Owner)
	w.wireConsents(ring)
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.opener = opener.New(opener.Config{Issuers: func() []*x509.Certificate { return nil }, Identities: w.db.Certificates(), Deposits: w.db.PFX(),
		Journal: w.db.Journal(), Keys: ring, Signer: nobody{}, Log: log, Now: w.now})
	w.box, err = seal.NewBox(ring.ColumnRoot(), "tenant")
	w.must(err)
	c := tenant.Config{ID: msgraphtest.Tenant, Want: tenant.Want{All: true}, Store: w.db.Tenant(), Box: w.box, Graph: w.graph(), Log: log, Now: w.now}
	for _, f := range change {
		f(&c)
	}
	w.Service = tenant.New(c)
	w.Sealer = w.opener.ForTenant(w.Service)
	return w
}

// nobody signs profiles.
type nobody struct{ opener.Signer }

func (w *world) graph() *msgraph.Client {
	pool := x509.NewCertPool()
	pool.AddCert(w.cloud.Certificate())
	return msgraph.New(msgraph.Config{ClientID: msgraphtest.ClientID, Secret: seal.SecretString(msgraphtest.Secret), Token: w.cloud.TokenURL(),
		Graph: w.cloud.GraphURL(), Scope: w.cloud.URL + "/.default", TLS: pool, Now: time.Now})
}

// wireConsents makes people with tokens: one who asks and two who approve.
func (w *world) wireConsents(ring *keyring.Ring) {
	w.t.Helper()
	box, err := seal.NewBox(ring.ColumnRoot(), "approval")
	w.must(err)
	tokens := access.New(w.db.Access(), w.now)
	w.consents = tokens.Consents(box, 2)
	for _, name := range []string{"asks", "bob", "carol"} {
		u, err := w.people.Add(w.t.Context(), by, subject.User{Mail: name + "@example.com"})
		w.must(err)
		var secret seal.Secret
		if name == "asks" {
			_, secret, err = tokens.CreateTokenOf(w.t.Context(), by, string(u.ID), name, string(access.Admin), 30*24*time.Hour)
		} else {
			w.must(w.consents.Appoint(w.t.Context(), access.Local(), string(u.ID), u.Mail, ""))
			err = w.consents.Link(w.t.Context(), access.Local(), string(u.ID), u.Mail, func(ctx context.Context, link seal.Secret, _ time.Time) (err error) {
				_, secret, err = w.consents.TakeCredential(ctx, link.RevealString(), "")
				return err
			})
		}
		w.must(err)
		w.callers[name], err = tokens.Token(w.t.Context(), secret.RevealString(), "")
		w.must(err)
	}
}

// load imports a file of the sample history.
func (w *world) load(i int, u subject.User) cert.Fingerprint {
	w.t.Helper()
	f := testdata.History()[i]
	r, err := w.pfx.Import(w.t.Context(), by, pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password), User: &u})
	if err != nil || len(r.Identities) != 1 {
		w.t.Fatalf("importing %s: %+v, %v", f.Name, r, err)
	}
	fp, err := cert.ParseFingerprint(r.Identities[0].Cert)
	w.must(err)
	return fp
}

// ask asks for consent to the cloud's key.
func (w *world) ask() access.Consent {
	w.t.Helper()
	r, err := w.Propose(msgraphtest.Provider, msgraphtest.KeyName, "oaepSha512", w.cloud.PublicKey())
	w.must(err)
	c, err := w.consents.Ask(w.t.Context(), w.callers["asks"], access.Ask{Kind: tenant.ConsentKind, Request: r.Request(), Sentence: r.Sentence()})
	w.must(err)
	return c
}

// agree has people agree and registers the key.
func (w *world) agree() tenant.Registration {
	w.t.Helper()
	c := w.ask()
	for _, name := range []string{"bob", "carol"} {
		w.must(w.consents.Approve(w.t.Context(), w.callers[name], c.ID))
	}
	c, err := w.consents.Agreed(w.t.Context(), tenant.ConsentKind, c.ID)
	w.must(err)
	r, err := w.Register(w.t.Context(), by, c.ID, c.Digest(), c.Request)
	w.must(err)
	return r
}

// run does all the work there is, and tells how much of each kind.
func (w *world) run() (planned, sealed, sent int) {
	w.t.Helper()
	var found int
	for _, step := range []struct {
		do func(context.Context) (int, error)
		n  *int
	}{{w.Plan, &planned}, {w.Send, &found}, {w.Seal, &sealed}, {w.Send, &sent}} {
		n, err := step.do(w.t.Context())
		w.must(err)
		*step.n = n
	}
	return planned, sealed, sent
}

// states gives the copies' states and the codes of failures.
func (w *world) states() (states []tenant.State, codes []string) {
	w.t.Helper()
	list, err := w.Copies(w.t.Context(), w.alice.ID, "", 100)
	w.must(err)
	for _, c := range list {
		states, codes = append(states, c.State), append(codes, c.Code)
		if len(c.Package.Blob) > 0 != (c.State == tenant.Sealed) {
			w.t.Errorf("a copy that is %s has a package of %d bytes", c.State, len(c.Package.Blob))
		}
	}
	return states, codes
}

// entries counts the journal's entries of that action.
func (w *world) entries(a journal.Action) (n int) {
	w.t.Helper()
	all, err := w.db.Journal().Latest(w.t.Context(), 1000)
	w.must(err)
	for _, e := range all {
		if e.Action == a {
			n++
		}
	}
	return n
}

// sql changes the database behind our back.
func (w *world) sql(query string, values ...any) {
	w.t.Helper()
	raw, err := sql.Open("sqlite", w.path)
	w.must(err)
	defer raw.Close()
	_, err = raw.Exec(query, values...)
	w.must(err)
}
