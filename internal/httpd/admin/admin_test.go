package admin_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a server with a real directory, tokens and journal; the domains
// below say what they are told to.
type world struct {
	db       *store.DB
	api      *admin.API
	tokens   *access.Service
	users    *directory.Service
	jobs     *job.Service
	ending   chan struct{}
	devices  *fakeDevices
	keys     *fakeKeys
	policies *fakePolicies
	issuing  *fakeIssuing
	mails    *fakeMails
	url      string
	push     *fakePush
	log      *bytes.Buffer
}

type fakeDevices struct {
	list    []mdm.Device
	removed subject.DeviceID
	asked   mdm.Query
	renew   bool
}

func (f *fakeDevices) Refresh(_ context.Context, _ journal.Actor, _ subject.DeviceID, renew bool) error {
	f.renew = renew
	return mdm.ErrNotEnrolled
}

func (f *fakeDevices) Invite(_ context.Context, _ journal.Actor, u subject.User) (mdm.Invitation, seal.Secret, seal.Secret, error) {
	if u.Disabled {
		return mdm.Invitation{}, seal.Secret{}, seal.Secret{}, mdm.ErrUserDisabled
	}
	return mdm.Invitation{Device: subject.Device{ID: "d-1"}, ExpiresAt: at}, seal.SecretString("https://x/enroll/T"), seal.SecretString("code"), nil
}
func (f *fakeDevices) DevicePage(_ context.Context, q mdm.Query) ([]mdm.Device, error) {
	f.asked = q
	list := []mdm.Device{}
	for _, d := range f.list {
		if q.User == "" || d.User == q.User {
			list = append(list, d)
		}
	}
	return list, nil
}
func (f *fakeDevices) Device(_ context.Context, key string) (mdm.Detail, error) {
	for _, d := range f.list {
		if string(d.ID) == key {
			return mdm.Detail{Device: d}, nil
		}
	}
	return mdm.Detail{}, mdm.ErrDeviceUnknown
}
func (f *fakeDevices) Remove(_ context.Context, _ journal.Actor, id subject.DeviceID, _ bool) error {
	f.removed = id
	return nil
}

type fakeKeys struct {
	admin.Quarantine
	got     pfxconnector.File
	decided []string
}

func (f *fakeKeys) Repurpose(_ context.Context, _ journal.Actor, u subject.User, c cert.Fingerprint, d pfxconnector.Decision) (cert.Use, error) {
	f.decided = append(f.decided, fmt.Sprintf("%s %.4s %s %v", u.Mail, c, d.Purpose, d.AllowSigning))
	return cert.Both, nil
}
func (f *fakeKeys) Pin(_ context.Context, _ journal.Actor, u subject.User, c cert.Fingerprint) error {
	f.decided = append(f.decided, fmt.Sprintf("pin %s %.4s", u.Mail, c))
	return nil
}
func (f *fakeKeys) Unpin(_ context.Context, _ journal.Actor, u subject.User) error {
	f.decided = append(f.decided, "unpin "+u.Mail)
	return nil
}

func (f *fakeKeys) Recipients() (string, []string) { return "signet-escrow-x", []string{"age1x"} }

func (f *fakeKeys) Judge(context.Context, journal.Actor, []pfxconnector.Offer) (string, []pfxconnector.Judged, error) {
	return "ticket", []pfxconnector.Judged{{Identities: []pfxconnector.JudgedIdentity{{Record: "r"}}}}, nil
}

func (f *fakeKeys) Deposit(_ context.Context, _ journal.Actor, ticket string, offers []pfxconnector.Offer) ([]pfxconnector.Judged, error) {
	if ticket != "ticket" {
		return nil, pfxconnector.ErrTicket
	}
	return make([]pfxconnector.Judged, len(offers)), nil
}

func (f *fakeKeys) Import(_ context.Context, _ journal.Actor, file pfxconnector.File) (pfxconnector.FileReport, error) {
	f.got = file
	f.got.Data = bytes.Clone(file.Data)
	f.got.Password = seal.SecretString(file.Password.RevealString())
	return pfxconnector.FileReport{File: file.Name, Status: pfxconnector.Imported, Identities: []pfxconnector.IdentityReport{}}, nil
}
func (f *fakeKeys) List(context.Context, subject.User) ([]pfxconnector.Item, error) {
	return []pfxconnector.Item{}, nil
}
func (f *fakeKeys) Remove(context.Context, journal.Actor, subject.User, cert.Fingerprint) error {
	return pfxconnector.ErrKeyUnknown
}

func (f *fakeKeys) Publications(_ context.Context, users []subject.User) ([]pfxconnector.Publication, error) {
	list := make([]pfxconnector.Publication, len(users))
	for i, u := range users {
		list[i].User = u
	}
	return list, nil
}

func (f *fakeKeys) Coverages(_ context.Context, users []subject.User) ([]pfxconnector.Coverage, error) {
	list := make([]pfxconnector.Coverage, len(users))
	for i, u := range users {
		list[i] = pfxconnector.Coverage{User: u, Current: true, Spans: []pfxconnector.Span{{From: at, To: at.Add(time.Hour)}}}
	}
	return list, nil
}

type fakeIssuing struct {
	revoked cert.Fingerprint
	holder  cert.Holder
	decided scep.Decision
	asked   scep.ChallengeRequest
	issuer  string // in place of our own
}

// fakeFigures has some of each.
type fakeFigures struct{}

func (fakeFigures) Counts(context.Context) (admin.Counts, error) {
	return admin.Counts{Users: 2, Keys: 3, Devices: map[string]int{"enrolled": 1}, Requests: 4, Failed: 5, MailsFailed: 6, Overdue: 7,
		SealWaits: at.Add(-time.Hour), BackedUp: at.Add(-time.Hour),
		Ends: map[string]time.Time{"push": at.Add(20 * 24 * time.Hour), "tls": at.Add(20 * 24 * time.Hour),
			"smime": at.Add(80 * 24 * time.Hour), "root": at.Add(1000 * 24 * time.Hour), "ocsp smime": at.Add(time.Hour)}}, nil
}

var waiting = scep.Request{ID: "r-1", State: scep.RequestOpen, Created: at, Expires: at.Add(time.Hour), Transaction: "T",
	Grant: scep.Grant{Profile: "p", Names: ca.Names{CommonName: "Alice"}}}

func (*fakeIssuing) CertificateProfiles(context.Context) ([]scep.Profile, error) {
	return scep.Shipped("device", "smime"), nil
}

func (*fakeIssuing) Requests(_ context.Context, q scep.RequestQuery) ([]scep.Request, error) {
	if q.State == scep.RequestDenied {
		return []scep.Request{}, nil
	}
	return []scep.Request{waiting}, nil
}

func (*fakeIssuing) Request(_ context.Context, id string) (scep.Request, error) {
	if id != waiting.ID {
		return scep.Request{}, scep.ErrRequestUnknown
	}
	return waiting, nil
}

func (f *fakeIssuing) Approve(ctx context.Context, by journal.Actor, person subject.UserID, id string) error {
	f.decided = scep.Decision{ID: id, State: scep.RequestApproved, Person: person, By: by}
	_, err := f.Request(ctx, id)
	return err
}

func (f *fakeIssuing) Deny(ctx context.Context, by journal.Actor, person subject.UserID, id, reason string) error {
	f.decided = scep.Decision{ID: id, State: scep.RequestDenied, Person: person, By: by, Reason: reason}
	_, err := f.Request(ctx, id)
	return err
}

func (f *fakeIssuing) Revoke(_ context.Context, _ journal.Actor, c cert.Fingerprint, reason string) error {
	if reason != "keyCompromise" {
		return scep.ErrReason
	}
	f.revoked = c
	return nil
}

// issued is all that was issued.
var issued = scep.Issued{Issuer: "smime", Current: true, Record: selfSigned()}

func selfSigned() cert.Record {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	root, err := ca.NewRoot(key, ca.Names{CommonName: "Alice"}, time.Now())
	if err != nil {
		panic(err)
	}
	r := cert.RecordOf(root, at)
	r.Source, r.Use, r.Profile, r.Holder = cert.Issued, cert.Signing, "smime-signing", cert.Holder{User: "u", Device: "elsewhere"}
	return r
}

func (*fakeIssuing) Certificates(_ context.Context, q scep.IssuedQuery) ([]cert.Record, error) {
	if q.Device != "" && q.Device != issued.Record.Holder.Device || q.State != "" && q.State != scep.Good {
		return []cert.Record{}, nil
	}
	return []cert.Record{issued.Record, issued.Record}[:min(q.Limit, 2)], nil
}

func (f *fakeIssuing) Certificate(_ context.Context, key string) (scep.Issued, error) {
	if r := issued.Record; key != r.Fingerprint.String() && key != string(r.Serial) {
		return scep.Issued{}, scep.ErrCertificateUnknown
	}
	i := issued
	i.Issuer = cmp.Or(f.issuer, i.Issuer)
	return i, nil
}

func (f *fakeIssuing) RevokeAll(_ context.Context, _ journal.Actor, h cert.Holder, _ string) ([]cert.Fingerprint, error) {
	f.holder = h
	return []cert.Fingerprint{issued.Record.Fingerprint}, nil
}

func (*fakeIssuing) Use(_ context.Context, profile string) (cert.Use, error) {
	use, known := map[string]cert.Use{scep.MailSigning: cert.Signing, "laptops": cert.Signing, "phones": cert.Identity}[profile]
	if !known {
		return use, scep.ErrProfileUnknown
	}
	return use, nil
}

func (f *fakeIssuing) Challenge(_ context.Context, _ journal.Actor, r scep.ChallengeRequest) (scep.Challenge, error) {
	f.asked = r
	switch {
	case r.Profile == "laptops" && r.Device.ID == "":
		return scep.Challenge{}, scep.ErrDeviceNeeded
	case r.Device.ID == "":
		r.Device.ID = "own"
	}
	return scep.Challenge{Secret: seal.SecretString("C"), URL: "https://x/scep/" + r.Profile, Expires: at, Device: r.Device.ID}, nil
}

type fakePolicies struct {
	docs string
	dry  bool
}

func (f *fakePolicies) ApplyTo(_ context.Context, _ journal.Actor, revision string, docs []byte, dry bool) (appconfig.Diff, error) {
	f.docs, f.dry = string(docs), dry
	if revision != "" && revision != "r-1" {
		return appconfig.Diff{}, appconfig.ErrChanged
	}
	if f.docs == "" {
		return appconfig.Diff{}, appconfig.ErrDocument
	}
	return appconfig.Diff{Revision: "r-1", Items: []appconfig.Item{{Kind: "Policy", Name: "mail", Action: appconfig.Added, Changes: []appconfig.Change{}}}}, nil
}

func (f *fakePolicies) Explain(_ context.Context, user string) (appconfig.Explanation, error) {
	return appconfig.Explanation{User: user}, nil
}

type fakePush struct{ got notify.Upload }

func (*fakePush) Request(context.Context, journal.Actor) ([]byte, error) { return []byte("CSR"), nil }
func (f *fakePush) Import(_ context.Context, _ journal.Actor, u notify.Upload) (notify.Imported, error) {
	f.got = u
	f.got.Key = seal.SecretString(u.Key.RevealString())
	if !u.Replace {
		return notify.Imported{}, notify.ErrTopic
	}
	return notify.Imported{Certificate: pushCertificate(u.Account), Others: 2, Stranded: 1}, nil
}
func (*fakePush) List(context.Context) ([]notify.Certificate, error) {
	return []notify.Certificate{pushCertificate("it@example.com")}, nil
}
func (*fakePush) Device(context.Context, subject.DeviceID) (notify.PushState, error) {
	return notify.PushState{Topic: "t", TriedAt: at, Reason: "Unregistered", RefusedAt: at}, nil
}

func pushCertificate(account string) notify.Certificate {
	return notify.Certificate{Topic: "t", Account: account, Enrolls: true, DaysLeft: 7, ImportedAt: at,
		Certificate: &x509.Certificate{SerialNumber: big.NewInt(10), NotAfter: at}, Devices: notify.Devices{Enrolled: 3, Reachable: 2}}
}

type fakeApprovers struct{ *access.Consents }

func (fakeApprovers) Add(context.Context, access.Caller, subject.User, string) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverMail
}

func (fakeApprovers) Remove(context.Context, access.Caller, subject.User, string) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverUnknown
}

func (fakeApprovers) Send(context.Context, access.Caller, subject.User) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverUnknown
}

type fakeRecoveries struct{}

func (fakeRecoveries) Ask(context.Context, access.Caller, subject.User, admin.NewRecovery) (access.Consent, error) {
	return access.Consent{}, recovery.ErrRecipient
}

func (fakeRecoveries) Take(context.Context, access.Caller, string) ([]byte, error) {
	return nil, access.ErrConsentOver
}

type fakeDeliveries struct{}

func (fakeDeliveries) Status(context.Context, subject.UserID) ([]admin.DeviceStatus, error) {
	return []admin.DeviceStatus{{ID: "d-1", Installed: 1, Notes: []string{}, Parcels: []admin.ParcelLine{{Words: "To sign your mail", State: "installed"}}}}, nil
}

const maxFile = 300

const tenantID = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"

// newWorld is a server without mail.
func newWorld(t *testing.T) *world { return newWorldWith(t, nil) }

func newWorldWith(t *testing.T, mails *fakeMails) *world {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := func() time.Time { return at }
	w := &world{users: directory.New(db.Directory(), now), tokens: access.New(db.Access(), now), devices: &fakeDevices{list: []mdm.Device{}}, keys: &fakeKeys{}, policies: &fakePolicies{}, issuing: &fakeIssuing{}, push: &fakePush{}, log: &bytes.Buffer{}}
	w.jobs = job.New(db.Jobs(), map[job.Kind]job.Worker{job.RefreshDevices: func(context.Context, journal.Actor, string) error { return mdm.ErrNotEnrolled }},
		slog.New(slog.DiscardHandler), now)
	w.db, w.ending = db, make(chan struct{})
	box, err := seal.NewBox(seal.RandomRoot(), "transport")
	if err != nil {
		t.Fatal(err)
	}
	config := admin.Config{Users: w.users, Tokens: w.tokens, Consents: w.tokens.Consents(box, 2), Recoveries: fakeRecoveries{}, Approvers: fakeApprovers{w.tokens.Consents(box, 2)}, Now: now,
		Devices: w.devices, Keys: w.keys, Deposits: w.keys, Transport: transport.New(db.Transport(box), now), Connectors: fakeConnectors{}, Tenant: tenant.New(tenant.Config{ID: tenantID, Store: db.Tenant(), Box: box, Log: slog.New(slog.DiscardHandler), Now: now}), Issuing: w.issuing, Policies: w.policies, Deliveries: fakeDeliveries{}, Journal: db.Journal(), Audit: audit.NewVerifier(db.Audit(), box), Push: w.push, Backups: w, Jobs: w.jobs, Ending: w.ending, MaxFile: maxFile,
		Authorities: func() []admin.Authority { return nil },
		Overview:    fakeFigures{},
		Rollovers:   rollover.New(rollover.Config{Store: db.Rollover(), Lines: []rollover.Line{{Name: "root"}}, Log: slog.New(slog.DiscardHandler), Now: now}), PlainURL: "http://x:8080"}
	if w.mails = mails; mails != nil {
		config.Mails = mails
	}
	w.api = admin.New(config)
	site := httpd.NewSite(logx.New(w.log, false, slog.LevelDebug), nil, w.api.Area(httpd.Bearer(w.tokens)))
	srv := httptest.NewServer(site)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

// Backup is one that says whom it is for, and fails at the end for "half".
func (w *world) Backup(_ context.Context, _ journal.Actor, to []string) (func(context.Context, io.Writer) error, error) {
	if slices.Contains(to, "nobody") {
		return nil, backup.ErrRecipient
	}
	return func(_ context.Context, out io.Writer) error {
		fmt.Fprint(out, strings.Repeat("backup for ", 1000), to)
		if slices.Contains(to, "half") {
			return errors.New("the disk is gone")
		}
		return nil
	}, nil
}

func TestBackupIsStreamed(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	var out bytes.Buffer
	if err := c.Backup(t.Context(), []string{"age1x"}, &out); err != nil || !strings.HasSuffix(out.String(), "backup for [age1x]") {
		t.Errorf("got %d bytes, %v", out.Len(), err)
	}
	if err := c.Backup(t.Context(), []string{"half"}, io.Discard); !errors.Is(err, admin.ErrBrokenOff) {
		t.Errorf("broken off: got %v, want ErrBrokenOff", err)
	}
	if !strings.Contains(w.log.String(), "the disk is gone") {
		t.Error("the log does not say why")
	}
	for what, err := range map[string]error{
		"backup_recipient_invalid": c.Backup(t.Context(), []string{"nobody"}, io.Discard),
		"denied":                   w.as(t, access.Auditor).Backup(t.Context(), nil, io.Discard),
	} {
		if code(err) != what {
			t.Errorf("got %v, want %s", err, what)
		}
	}
	full := errors.New("no space")
	if err := c.Backup(t.Context(), nil, failing{full}); !errors.Is(err, full) {
		t.Errorf("a full disk here: got %v", err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// as gives a client with a token of that role.
func (w *world) as(t *testing.T, role access.Role) *admin.Client {
	t.Helper()
	return admin.Remote(w.url, w.token(t, role), nil)
}

func (w *world) token(t *testing.T, role access.Role) seal.Secret {
	t.Helper()
	_, secret, err := w.tokens.CreateToken(t.Context(), journal.Actor{Kind: journal.Local}, "test", string(role), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// post sends a body that no client of ours would.
func (w *world) post(t *testing.T, path, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("POST", w.url+admin.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+w.token(t, access.Admin).RevealString())
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// code is the stable code of a refusal.
func code(err error) string {
	if f, ok := errors.AsType[*admin.Failure](err); ok {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Every operation, asked by every role without doing harm: who may not, is
// told so before anything else is looked at.
func TestWhoMayCall(t *testing.T) {
	w := newWorldWith(t, &fakeMails{})
	routes := w.api.Area(httpd.Local).Routes
	if len(routes) < 15 {
		t.Fatalf("only %d routes", len(routes))
	}
	callers := map[access.Role]string{"": ""}
	for _, r := range access.TokenRoles() {
		_, secret, err := w.tokens.CreateTokenOf(t.Context(), journal.Actor{Kind: journal.Local}, "u-1", "test", string(r), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		callers[r] = secret.RevealString()
	}
	for _, rt := range routes {
		for role, token := range callers {
			r := httptest.NewRequest(rt.Method, w.url+strings.NewReplacer("{", "no-", "}", "").Replace(rt.Path), nil)
			r.RequestURI = ""
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			caller := access.Caller{Role: role}
			want := map[bool]string{true: "let in", false: "kept out"}[caller.May(rt.Permission)]
			got := "let in"
			if res.StatusCode == 401 && role == "" || res.StatusCode == 403 && role != "" {
				got = "kept out"
			}
			if got != want {
				t.Errorf("%s %s as %q: %s (%d), want %s", rt.Method, rt.Path, role, got, res.StatusCode, want)
			}
		}
	}
}

// What is served is what is committed as docs/openapi.json, and has every
// operation.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	res, err := http.Get(w.url + admin.Prefix + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	want, err := admin.Description()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("served is another description than that of internal/docs (%v)", err)
	}
	routes := w.api.Area(httpd.Local).Routes
	if n := bytes.Count(got, []byte(`"operationId"`)); n != len(routes)-1 {
		t.Errorf("%d operations are described, want %d", n, len(routes)-1)
	}
}

// What does not fit is refused with our code, says where, and is neither
// quoted back nor logged.
func TestRefusedRequests(t *testing.T) {
	w := newWorld(t)
	const secret = "hunter2-hunter2"
	for name, c := range map[string]struct {
		path, contentType, body string
		status                  int
		code, where             string
	}{
		"not JSON":       {"/users", "application/json", `{"mail": "` + secret, 400, "request_invalid", "body"},
		"no body":        {"/users", "application/json", "", 400, "request_invalid", ""},
		"not JSON type":  {"/users", "text/plain", secret, 415, "media_type_unsupported", ""},
		"unknown member": {"/users", "application/json", `{"mail": "a@example.com", "admin": "` + secret + `"}`, 422, "request_invalid", "body.admin"},
		"missing member": {"/users", "application/json", `{"name": "` + secret + `"}`, 422, "request_invalid", "body"},
		"wrong type":     {"/imports", "application/json", `{"file": "x", "password": ["` + secret + `"]}`, 422, "request_invalid", "body.password"},
		"wrong base64":   {"/imports", "application/json", `{"file": "x", "data": "` + secret + `!"}`, 422, "request_invalid", ""},
		"wrong choice":   {"/tokens", "application/json", `{"name": "x", "role": "` + secret + `"}`, 422, "request_invalid", "body.role"},
		"unknown query":  {"/users?x=" + secret, "application/json", `{"mail": "a@example.com"}`, 422, "request_invalid", "query.x"},
		"too large":      {"/users", "application/json", `{"mail": "` + strings.Repeat("x", 70<<10) + `"}`, 413, "body_too_large", ""},
		"declared":       {"/users", "application/json", `{"mail": "nobody"}`, 400, "address_invalid", ""},
	} {
		w.log.Reset()
		status, answer := w.post(t, c.path, c.contentType, c.body)
		var p struct {
			Status                  int
			Code, Detail, RequestID string
			Errors                  []struct{ Message, Location string }
		}
		if err := json.Unmarshal([]byte(answer), &p); err != nil {
			t.Errorf("%s: %v: %s", name, err, answer)
			continue
		}
		if status != c.status || p.Status != c.status || p.Code != c.code || p.Detail == "" || p.RequestID == "" {
			t.Errorf("%s: got %d %s, want %d %s", name, status, answer, c.status, c.code)
		}
		if c.where != "" && (len(p.Errors) == 0 || p.Errors[0].Location != c.where) {
			t.Errorf("%s: got %v, want an error at %s", name, p.Errors, c.where)
		}
		if strings.Contains(answer, secret) || strings.Contains(w.log.String(), secret) {
			t.Errorf("%s: the request is quoted:\n%s\n%s", name, answer, w.log)
		}
		if !strings.Contains(w.log.String(), "code="+c.code) {
			t.Errorf("%s: the log lacks the code: %s", name, w.log)
		}
	}
}

// A file of exactly the limit is taken, one over it is not.
func TestImportLimit(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	for size, want := range map[int]string{0: "", maxFile: "", maxFile + (64 << 10): "body_too_large"} {
		_, err := c.Import(t.Context(), admin.NewImport{File: "a.p12", Data: make([]byte, size)})
		if code(err) != want {
			t.Errorf("%d bytes: got %v, want %q", size, err, want)
		}
	}
}

func TestUsersAndGroups(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	if list, err := c.Users(t.Context()); err != nil || list == nil || len(list) != 0 {
		t.Errorf("no users: got %v, %v; want an empty list", list, err)
	}
	made, err := c.AddUser(t.Context(), admin.NewUser{Mail: "Alice@Example.com", Name: "Alice", Aliases: []string{"a@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if made.Mail != "alice@example.com" || !subject.ValidID(made.ID) {
		t.Errorf("got %+v", made)
	}
	if _, err := c.AddUser(t.Context(), admin.NewUser{Mail: "a@example.com"}); code(err) != "user_exists" {
		t.Errorf("a taken address: got %v", err)
	}
	g, err := c.SetGroup(t.Context(), "Finance & Law", []string{"a@example.com"})
	if err != nil || g.Members != 1 || g.Name != "Finance & Law" {
		t.Errorf("group: got %+v, %v", g, err)
	}
	if _, err := c.SetGroup(t.Context(), "Finance", []string{"nobody@example.com"}); code(err) != "user_unknown" {
		t.Errorf("unknown member: got %v", err)
	}
	got, err := c.User(t.Context(), "a@example.com")
	if err != nil || got.ID != made.ID || len(got.Groups) != 1 || got.Groups[0] != g.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	log, err := c.Journal(t.Context(), 1, made.ID, "")
	if err != nil || len(log) != 1 || log[0].Actor.Kind != "admin" || log[0].Actor.Remote != "127.0.0.1" || log[0].Action != "user.added" {
		t.Errorf("journal: got %+v, %v", log, err)
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	made, err := c.CreateToken(t.Context(), admin.NewToken{Name: "CI", Role: "auditor", Days: 1})
	if err != nil || !strings.HasPrefix(made.Secret, "signet_") || !made.Expires.Equal(at.Add(24*time.Hour)) {
		t.Fatalf("got %+v, %v", made, err)
	}
	theirs := admin.Remote(w.url, seal.SecretString(made.Secret), nil)
	if _, err := theirs.Users(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := theirs.Tokens(t.Context()); code(err) != "denied" {
		t.Errorf("an auditor's tokens: got %v", err)
	}
	if err := c.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Users(t.Context()); code(err) != "unauthenticated" {
		t.Errorf("revoked: got %v", err)
	}
	list, err := c.Tokens(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v", list, err)
	}
	for _, token := range list {
		if (token.Revoked != nil) != (token.ID == made.ID) {
			t.Errorf("token %s: revoked %v", token.Name, token.Revoked)
		}
	}
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	u, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := c.Invite(t.Context(), "alice@example.com")
	want := admin.Invitation{User: "alice@example.com", Device: "d-1", Link: "https://x/enroll/T", Code: "code", Expires: at}
	if err != nil || inv != want {
		t.Errorf("got %+v, %v; want %+v", inv, err, want)
	}
	w.devices.list = []mdm.Device{
		{Device: subject.Device{ID: "d-1", User: subject.UserID(u.ID)}, State: mdm.Enrolled, CreatedAt: at},
		{Device: subject.Device{ID: "d-2", User: "another"}, State: mdm.Invited, CreatedAt: at},
	}
	for user, n := range map[string]int{"": 2, "alice@example.com": 1} {
		if list, err := c.Devices(t.Context(), admin.DeviceFilter{User: user}); err != nil || len(list) != n {
			t.Errorf("devices of %q: got %v, %v; want %d", user, list, err, n)
		}
	}
	want2 := mdm.Query{State: mdm.Enrolled, Silent: at.UTC(), Ending: at.Add(time.Hour).UTC(), Limit: 501}
	if _, err := c.Devices(t.Context(), admin.DeviceFilter{State: "enrolled", SeenBefore: at, EndsBefore: at.Add(time.Hour)}); err != nil || w.devices.asked != want2 {
		t.Errorf("got %+v, %v; want %+v", w.devices.asked, err, want2)
	}
	if d, err := c.Device(t.Context(), "d-2"); err != nil || d.State != "invited" || d.Enrolled != nil || d.Commands == nil || d.Apps == nil {
		t.Errorf("got %+v, %v", d, err)
	}
	if err := c.RemoveDevice(t.Context(), "d-2", true); err != nil || w.devices.removed != "d-2" {
		t.Errorf("removed %q, %v", w.devices.removed, err)
	}
	if err := c.RefreshDevice(t.Context(), "d-2", true); code(err) != "device_not_enrolled" {
		t.Errorf("refresh: got %v", err)
	}
	if !w.devices.renew {
		t.Error("the wish to renew got lost")
	}
	if _, err := c.Device(t.Context(), "d-9"); code(err) != "device_unknown" {
		t.Errorf("unknown device: got %v", err)
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	if _, err := w.as(t, access.Admin).AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	c := w.as(t, access.Helpdesk)
	s, err := c.Status(t.Context(), "alice@example.com")
	if err != nil || s.User.Mail != "alice@example.com" || len(s.Devices) != 1 || s.Devices[0].Parcels[0].State != "installed" {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := c.Status(t.Context(), "bob@example.com"); code(err) != "user_unknown" {
		t.Errorf("unknown user: got %v", err)
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	if _, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	report, err := c.Import(t.Context(), admin.NewImport{File: "a.p12", Data: []byte{1, 2}, Password: "pw", User: "alice@example.com",
		Purpose: "both", AllowWeak: true, DryRun: true})
	got := w.keys.got
	if err != nil || report.Status != pfxconnector.Imported || report.Code != nil {
		t.Errorf("got %+v, %v", report, err)
	}
	if got.Name != "a.p12" || !bytes.Equal(got.Data, []byte{1, 2}) || got.Password.RevealString() != "pw" || got.User == nil ||
		got.User.Mail != "alice@example.com" || got.Purpose != cert.Both || !got.AllowWeak || !got.DryRun || got.AllowSigning || got.AllowNoMAC {
		t.Errorf("the connector got %+v", got)
	}
	if list, err := c.Keys(t.Context(), "alice@example.com"); err != nil || list == nil {
		t.Errorf("got %v, %v; want an empty list", list, err)
	}
	if err := c.RemoveKey(t.Context(), "alice@example.com", strings.Repeat("0", 64)); code(err) != "pfx_unknown" {
		t.Errorf("got %v", err)
	}
}

func TestDecisions(t *testing.T) {
	w := newWorld(t)
	c, who, key := w.as(t, access.Admin), "alice@example.com", strings.Repeat("ab", 32)
	if _, err := c.AddUser(t.Context(), admin.NewUser{Mail: who}); err != nil {
		t.Fatal(err)
	}
	if p, err := c.RepurposeKey(t.Context(), who, key, admin.NewPurpose{Purpose: "certificate"}); err != nil || p.Purpose != "both" {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := c.RepurposeKey(t.Context(), who, key, admin.NewPurpose{Purpose: "signing", AllowSigningEscrow: true}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.PinKey(t.Context(), who, key), c.UnpinKeys(t.Context(), who)); err != nil {
		t.Error(err)
	}
	want := []string{who + " abab unknown false", who + " abab signing true", "pin " + who + " abab", "unpin " + who}
	if !slices.Equal(w.keys.decided, want) {
		t.Errorf("got %q, want %q", w.keys.decided, want)
	}
	for what, err := range map[string]error{
		"identity":   second(c.RepurposeKey(t.Context(), who, key, admin.NewPurpose{Purpose: "identity"})),
		"help desk":  w.as(t, access.Helpdesk).PinKey(t.Context(), who, key),
		"an auditor": w.as(t, access.Auditor).UnpinKeys(t.Context(), who),
		"nobody's":   c.PinKey(t.Context(), "bob@example.com", key),
	} {
		if err == nil {
			t.Errorf("%s: it was done", what)
		}
	}
	if len(w.keys.decided) != len(want) {
		t.Errorf("got %q", w.keys.decided)
	}
}

func second[T any](_ T, err error) error { return err }

func TestCoverage(t *testing.T) {
	w := newWorld(t)
	if _, err := w.as(t, access.Admin).AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	list, err := w.as(t, access.Auditor).Coverage(t.Context())
	if err != nil || len(list) == 0 || list[0].User.Mail != "alice@example.com" || !list[0].Current || len(list[0].Spans) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := w.as(t, access.Helpdesk).Coverage(t.Context()); code(err) != "denied" {
		t.Errorf("help desk: got %v", err)
	}
}

func TestChallenge(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	alice, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.CreateChallenge(t.Context(), admin.NewChallenge{Profile: "smime-signing", User: "alice@example.com"})
	want := admin.Challenge{URL: "https://x/scep/smime-signing", HTTPURL: "http://x:8080/scep/smime-signing", Challenge: "C", Expires: at,
		Profile: "smime-signing", User: "alice@example.com", Device: "own"}
	if err != nil || got != want || w.issuing.asked.Life != time.Hour || string(w.issuing.asked.User.ID) != alice.ID {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := c.CreateChallenge(t.Context(), admin.NewChallenge{Profile: "x", User: "alice@example.com"}); code(err) != scep.ErrProfileUnknown.Code {
		t.Errorf("unknown profile: got %v", err)
	}
	if _, err := c.CreateChallenge(t.Context(), admin.NewChallenge{Profile: "phones", User: "alice@example.com"}); code(err) != admin.ErrIdentityChallenge.Code {
		t.Errorf("identity of a device: got %v", err)
	}
	for id, d := range map[subject.DeviceID]mdm.Device{
		"phone": {State: mdm.Enrolled}, "invited": {State: mdm.Invited}, "gone": {State: mdm.Removed}, "bobs": {State: mdm.Enrolled},
	} {
		d.Device = subject.Device{ID: id, User: subject.UserID(alice.ID)}
		if id == "bobs" {
			d.User = "bob"
		}
		w.devices.list = append(w.devices.list, d)
	}
	for name, c2 := range map[string]struct {
		profile, device, want string
	}{
		"no device":        {"laptops", "", scep.ErrDeviceNeeded.Code},
		"enrolled":         {"laptops", "phone", ""},
		"invited only":     {"laptops", "invited", scep.ErrHolder.Code},
		"removed":          {"laptops", "gone", scep.ErrHolder.Code},
		"another's":        {"laptops", "bobs", scep.ErrHolder.Code},
		"unknown":          {"laptops", "x", mdm.ErrDeviceUnknown.Code},
		"what it gets":     {"smime-signing", "phone", admin.ErrDeliveredChallenge.Code},
		"identity of it":   {"phones", "phone", admin.ErrIdentityChallenge.Code},
		"unknown identity": {"phones", "x", admin.ErrIdentityChallenge.Code},
	} {
		got, err := c.CreateChallenge(t.Context(), admin.NewChallenge{Profile: c2.profile, User: "alice@example.com", Device: c2.device, Hours: 2})
		if code(err) != c2.want || err == nil && (got.Device != c2.device || w.issuing.asked.Life != 2*time.Hour) {
			t.Errorf("%s: got %+v, %v, want %q", name, got, err, c2.want)
		}
	}
	if list, err := c.Authorities(t.Context()); err != nil || list == nil {
		t.Errorf("authorities: got %v, %v; want an empty list", list, err)
	}
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	alice, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	var phone mdm.Device
	phone.Device = subject.Device{ID: "phone", User: subject.UserID(alice.ID)}
	w.devices.list = append(w.devices.list, phone)
	sha, serial := issued.Record.Fingerprint.String(), string(issued.Record.Serial)
	for name, x := range map[string]struct {
		filter admin.CertificateFilter
		limit  int
		want   int
		code   string
	}{
		"all":                {admin.CertificateFilter{}, 1, 1, ""},
		"by user":            {admin.CertificateFilter{User: "alice@example.com", State: "good"}, 0, 2, ""},
		"by device":          {admin.CertificateFilter{Device: "phone"}, 0, 0, ""},
		"by no managed one":  {admin.CertificateFilter{Device: "elsewhere"}, 0, 2, ""},
		"revoked":            {admin.CertificateFilter{State: "revoked"}, 0, 0, ""},
		"of nobody":          {admin.CertificateFilter{User: "eve@example.com"}, 0, 0, directory.ErrUserUnknown.Code},
		"by an unknown one":  {admin.CertificateFilter{Device: "x"}, 0, 0, mdm.ErrDeviceUnknown.Code},
		"in no state at all": {admin.CertificateFilter{State: "held"}, 0, 0, admin.ErrRequest.Code},
	} {
		list, err := c.Certificates(t.Context(), x.filter, x.limit)
		if code(err) != x.code || len(list) != x.want {
			t.Errorf("%s: got %d, %v; want %d, %q", name, len(list), err, x.want, x.code)
		}
	}
	for _, key := range []string{sha, serial} {
		if got, err := c.Certificate(t.Context(), key); err != nil || got.SHA256 != sha || got.Issuer != "smime" || got.State != "good" || got.PEM == "" {
			t.Errorf("%s: got %+v, %v", key, got, err)
		}
		w.issuing.revoked = cert.Fingerprint{}
		if got, err := c.Revoke(t.Context(), key, "keyCompromise"); err != nil || got.Revoked != sha || got.Elsewhere != nil || w.issuing.revoked != issued.Record.Fingerprint {
			t.Errorf("%s: revoked %s, %v", key, w.issuing.revoked, err)
		}
	}
	if _, err := c.Revoke(t.Context(), sha, "boredom"); code(err) != scep.ErrReason.Code {
		t.Errorf("unknown reason: got %v", err)
	}
	if _, err := c.Certificate(t.Context(), strings.Repeat("0", 64)); code(err) != scep.ErrCertificateUnknown.Code {
		t.Errorf("unknown certificate: got %v", err)
	}
	for name, x := range map[string]struct {
		r    admin.Revocation
		want cert.Holder
		code string
	}{
		"a user":            {admin.Revocation{User: "alice@example.com"}, cert.Holder{User: subject.UserID(alice.ID)}, ""},
		"a device":          {admin.Revocation{Device: "phone"}, cert.Holder{Device: "phone"}, ""},
		"no managed device": {admin.Revocation{Device: "elsewhere"}, cert.Holder{Device: "elsewhere"}, ""},
		"nobody":            {admin.Revocation{}, cert.Holder{}, admin.ErrNobody.Code},
		"both":              {admin.Revocation{User: "alice@example.com", Device: "phone"}, cert.Holder{}, admin.ErrNobody.Code},
		"an unknown user":   {admin.Revocation{User: "eve@example.com"}, cert.Holder{}, directory.ErrUserUnknown.Code},
	} {
		w.issuing.holder = cert.Holder{}
		got, err := c.RevokeAll(t.Context(), x.r)
		if code(err) != x.code || w.issuing.holder != x.want || err == nil && (!slices.Equal(got.Revoked, []string{sha}) || len(got.Elsewhere) > 0) {
			t.Errorf("%s: got %v of %+v, %v", name, got, w.issuing.holder, err)
		}
	}

	// What another CA issued is to be revoked there too, and the answer says how
	// it is called there.
	w.issuing.issuer = scep.Upstream
	want := admin.Elsewhere{SHA256: sha, Serial: serial, Issuer: issued.Record.Issuer}
	if got, err := c.Certificate(t.Context(), sha); err != nil || got.Elsewhere == nil || *got.Elsewhere != want {
		t.Errorf("elsewhere: got %+v, %v", got.Elsewhere, err)
	}
	if got, err := c.Revoke(t.Context(), sha, "keyCompromise"); err != nil || got.Elsewhere == nil || *got.Elsewhere != want {
		t.Errorf("elsewhere: got %+v, %v", got, err)
	}
	if got, err := c.RevokeAll(t.Context(), admin.Revocation{Device: "phone"}); err != nil || !slices.Equal(got.Elsewhere, []admin.Elsewhere{want}) {
		t.Errorf("elsewhere: got %+v, %v", got, err)
	}
}

func TestPush(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	if got, err := c.RequestPush(t.Context()); err != nil || got.CSR != "CSR" {
		t.Errorf("got %+v, %v", got, err)
	}
	n := admin.NewPushCertificate{Certificate: []byte("cert"), Key: []byte("key"), Account: "it@example.com"}
	if _, err := c.ImportPush(t.Context(), n); code(err) != notify.ErrTopic.Code {
		t.Errorf("another topic: got %v", err)
	}
	n.ReplaceTopic = true
	got, err := c.ImportPush(t.Context(), n)
	if err != nil || got.Topic != "t" || got.Account != n.Account || got.Others != 2 || got.Stranded != 1 || got.Reachable != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if u := w.push.got; string(u.Certificate) != "cert" || u.Key.RevealString() != "key" {
		t.Errorf("arrived: %+v", u)
	}
	list, err := w.as(t, access.Auditor).PushCertificates(t.Context())
	if err != nil || len(list) != 1 || list[0].DaysLeft != 7 || list[0].Serial != "a" {
		t.Errorf("got %+v, %v", list, err)
	}
	w.devices.list = []mdm.Device{{Device: subject.Device{ID: "d-1"}, WakeAt: at}}
	d, err := c.Device(t.Context(), "d-1")
	if err != nil || d.Push.Refused == nil || d.Push.Answer != "Unregistered" || !d.Push.Wanted.Equal(at) || d.Push.Taken != nil {
		t.Errorf("got %+v, %v", d.Push, err)
	}
}

func TestApply(t *testing.T) {
	w := newWorld(t)
	c := w.as(t, access.Admin)
	for _, dry := range []bool{true, false} {
		diff, err := c.Apply(t.Context(), []byte("kind: Policy\n"), dry)
		if err != nil || diff.String() != "+ policy mail\n" || w.policies.docs != "kind: Policy\n" || w.policies.dry != dry {
			t.Errorf("dry %v: got %v, %v; the service got %+v", dry, diff, err, w.policies)
		}
	}
	if x, err := c.Explain(t.Context(), "alice@example.com"); err != nil || x.User != "alice@example.com" {
		t.Errorf("got %+v, %v", x, err)
	}
	if _, err := c.Apply(t.Context(), nil, false); err == nil {
		t.Error("nothing was applied")
	}
	if _, err := c.Apply(t.Context(), make([]byte, 2<<20), false); code(err) != "body_too_large" {
		t.Errorf("2 MiB: got %v", err)
	}
}

func TestClientFailures(t *testing.T) {
	if _, err := admin.Dial(filepath.Join(t.TempDir(), "none.sock")).Users(t.Context()); !errors.Is(err, admin.ErrNoServer) {
		t.Errorf("no socket: got %v", err)
	}
	other := httptest.NewServer(http.RedirectHandler("https://elsewhere.example", http.StatusFound))
	if _, err := admin.Remote(other.URL, seal.SecretString("t"), nil).Users(t.Context()); !errors.Is(err, admin.ErrAnswer) {
		t.Errorf("another server: got %v", err)
	}
	other.Close()
	if _, err := admin.Remote(other.URL, seal.Secret{}, nil).Users(t.Context()); !errors.Is(err, admin.ErrUnreachable) {
		t.Errorf("nobody there: got %v", err)
	}
}

func TestCertificateRequests(t *testing.T) {
	w := newWorld(t)
	alice, err := w.users.Add(t.Context(), journal.Actor{Kind: journal.Local}, subject.User{Mail: "alice@example.com", Name: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.as(t, access.Auditor).Requests(t.Context(), "alice@example.com", "open", 10)
	if err != nil || len(list) != 1 || list[0].ID != "r-1" || list[0].CommonName != "Alice" || list[0].Decided != nil {
		t.Errorf("got %+v, %v", list, err)
	}
	if list, err := w.as(t, access.Auditor).Requests(t.Context(), "", "denied", 10); err != nil || list == nil || len(list) != 0 {
		t.Errorf("denied: got %+v, %v", list, err)
	}
	made, secret, err := w.tokens.CreateTokenOf(t.Context(), journal.Worker("test"), string(alice.ID), "Alice", string(access.Approver), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := admin.Remote(w.url, secret, nil)
	if r, err := c.Request(t.Context(), "r-1"); err != nil || r.State != "open" {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := c.ApproveRequest(t.Context(), "r-1"); err != nil || w.issuing.decided.Person != alice.ID || w.issuing.decided.By.ID != made.ID {
		t.Errorf("approved: %v by %+v", err, w.issuing.decided)
	}
	if err := c.DenyRequest(t.Context(), "r-1", "no"); err != nil || w.issuing.decided.Person != alice.ID || w.issuing.decided.Reason != "no" {
		t.Errorf("denied: %v by %+v", err, w.issuing.decided)
	}
	w.issuing.decided = scep.Decision{}
	for what, got := range map[string]error{
		"scep_request_unknown": c.ApproveRequest(t.Context(), "r-2"),
		"person_needed":        w.as(t, access.Approver).ApproveRequest(t.Context(), "r-1"), // of nobody
		"user_unknown":         onlyError(w.as(t, access.Admin).CreateToken(t.Context(), admin.NewToken{Name: "x", Role: "auditor", User: "bob@example.com", Days: 1})),
		"approver_token":       onlyError(w.as(t, access.Admin).CreateToken(t.Context(), admin.NewToken{Name: "x", Role: "approver", User: "alice@example.com", Days: 1})),
	} {
		if code(got) != what {
			t.Errorf("got %v, want %s", got, what)
		}
	}
	for _, role := range []access.Role{access.Admin, access.Helpdesk, access.Auditor} {
		if err := w.as(t, role).ApproveRequest(t.Context(), "r-1"); code(err) != "person_needed" {
			t.Errorf("%s: got %v, want person_needed", role, err)
		}
	}
	if w.issuing.decided.ID == "r-1" {
		t.Error("it was decided")
	}
}

func onlyError[T any](_ T, err error) error { return err }
