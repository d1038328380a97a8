package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
	"github.com/signet-mdm/signet/testdata"
)

// cli is a command line beside a server that runs on its data directory.
type cli struct {
	t   *testing.T
	dir string // data directory; also a place for files
	tls *httptest.Server

	heard  *tape          // what came over TLS
	sealer *escrow.Sealer // of the server
}

// tape writes down what a server gets.
type tape struct {
	http.Handler
	mu  sync.Mutex
	all bytes.Buffer
}

func (t *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	t.mu.Lock()
	fmt.Fprintln(&t.all, r.URL, r.Header)
	t.all.Write(body)
	t.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	t.Handler.ServeHTTP(w, r)
}

// newCLI starts the admin API, over real services, on the socket of a new data
// directory and on TLS.
func newCLI(t *testing.T) cli {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet") // short: the path of a socket is at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	db, err := store.OpenSQLite(t.Context(), filepath.Join(dir, "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tokens := access.New(db.Access(), time.Now)
	sealer := cliSealer(t, filepath.Join(dir, "keys"))
	api := admin.New(apiConfig(t, db, tokens, sealer))
	log := slog.New(slog.DiscardHandler)
	heard := &tape{Handler: httpd.NewSite(log, nil, api.Area(httpd.Bearer(tokens)))}
	tls := httptest.NewUnstartedServer(heard)
	tls.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	l, err := httpd.ListenUnix("socket", filepath.Join(dir, "signet.sock"), httpd.NewSite(log, nil, api.Area(httpd.Local)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpd.Serve(ctx, log, l) }()
	t.Cleanup(func() { stop(); <-done })
	return cli{t, dir, tls, heard, sealer}
}

// cliSealer makes an escrow key in a directory of its own.
func cliSealer(t *testing.T, keys string) *escrow.Sealer {
	t.Helper()
	if _, err := keyring.Create(keys, filepath.Join(keys, "unlock.key")); err != nil {
		t.Fatal(err)
	}
	to, err := keyring.Recipient(keys)
	if err != nil {
		t.Fatal(err)
	}
	return escrow.NewSealer(to)
}

func apiConfig(t *testing.T, db *store.DB, tokens *access.Service, sealer *escrow.Sealer) admin.Config {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "test")
	if err != nil {
		t.Fatal(err)
	}
	users := directory.New(db.Directory(), time.Now)
	service, authorities := issuing(t, db)
	keys := filepath.Join(t.TempDir(), "keys")
	ring, err := keyring.Create(keys, filepath.Join(keys, "unlock.key"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	push := notify.NewCertificates(notify.CertificatesConfig{Store: db.Push(box), Keys: ring, Log: log, Now: time.Now})
	jobs := job.New(db.Jobs(), map[job.Kind]job.Worker{job.RefreshDevices: nil}, slog.New(slog.DiscardHandler), time.Now) // nobody works here
	imports := pfxconnector.New(pfxconnector.Config{Store: db.PFX(), Users: users, Sealer: sealer, Now: time.Now})
	return admin.Config{
		Users: users, Tokens: tokens, Consents: tokens.Consents(box, 2), Recoveries: recoveries{}, Approvers: approvers{}, Journal: db.Journal(), Audit: audit.NewVerifier(db.Audit(), box), Push: push, Jobs: jobs, Now: time.Now, MaxFile: 1 << 20,
		Backups: backups{},
		Issuing: service, Authorities: func() []admin.Authority { return authorities },
		Overview:  figures{},
		Rollovers: rollover.New(rollover.Config{Store: db.Rollover(), Lines: keyLines(config.Config{}), Log: log, Now: time.Now}), PlainURL: "http://mdm.example.org",
		Policies: appconfig.New(db.AppConfig(), users, time.Now),
		Deliveries: deliveries{delivery.New(delivery.Config{Store: db.Delivery(), Policies: db.AppConfig(), Identifier: "org.example.mdm",
			Log: log, Now: time.Now})},
		Devices:   mdm.New(mdm.Config{Store: db.MDM(box), BaseURL: "https://mdm.example.org", Topic: push.Topic, Now: time.Now}),
		Transport: transport.New(db.Transport(box), time.Now), Connectors: connectors{}, Tenant: tenant.New(tenant.Config{Store: db.Tenant(), Box: box, Log: log, Now: time.Now}),
		Keys: imports, Deposits: imports,
	}
}

// issuing gives SCEP for mail certificates and its CAs, the root first.
func issuing(t *testing.T, db *store.DB) (*scep.Service, []admin.Authority) {
	t.Helper()
	root := issuer(t, rootKey, nil, p384, func(_ *ca.Issuer, key crypto.Signer) (*x509.Certificate, error) {
		return ca.NewRoot(key, ca.Names{CommonName: "Example Root CA"}, time.Now())
	})
	mail := issuer(t, mailKey, root, p256, func(root *ca.Issuer, key crypto.Signer) (*x509.Certificate, error) {
		return ca.NewMailCA(root, key.Public(), ca.Names{CommonName: "Example S/MIME CA"}, time.Now())
	})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ra, err := ca.NewRA(mail, key.Public(), ca.Names{CommonName: "Example S/MIME RA"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	profiles, log := scep.Fixed(scep.Shipped(deviceKey, mailKey)[1:]), slog.New(slog.DiscardHandler)
	keeper := scep.NewCertifier(scep.CertifierConfig{Store: db.SCEP(), Seats: []scep.Seat{{Issuer: root}, {Issuer: mail}}, Profiles: profiles, Log: log, Now: time.Now})
	s, err := scep.New(scep.Config{Store: db.SCEP(), Keeper: keeper, Profiles: profiles, URL: "https://mdm.example.org/scep", Log: log, Now: time.Now,
		Authorities: []scep.Authority{{Issuer: mail.Public, RA: scep.RA{Certificate: ra, Signer: key, Decrypter: key}}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, []admin.Authority{{Name: rootKey, Certificate: root.Certificate()}, {Name: mailKey, Certificate: mail.Certificate()}}
}

func issuer(t *testing.T, name string, above *ca.Issuer, makeKey func() (crypto.Signer, error), certify func(*ca.Issuer, crypto.Signer) (*x509.Certificate, error)) *ca.Issuer {
	t.Helper()
	key, err := makeKey()
	if err != nil {
		t.Fatal(err)
	}
	c, err := certify(above, key)
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{c}
	if above != nil {
		chain = append(chain, above.Chain()...)
	}
	i, err := ca.NewIssuer(name, key, chain, ca.URLsBelow("http://mdm.example.org", name))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// run runs a command line on the data directory.
func (c cli) run(args ...string) (status int, stdout, stderr string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{"SIGNET_DATA": c.dir, "HOME": c.dir}
	status = run(c.t.Context(), args, func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// ok runs a command line that must succeed and gives what it printed.
func (c cli) ok(args ...string) string {
	c.t.Helper()
	status, out, errs := c.run(args...)
	if status != exitDone {
		c.t.Fatalf("signet %s: status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// json runs a command line with -o json that must succeed and reads into v.
func (c cli) json(v any, args ...string) {
	c.t.Helper()
	out := c.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		c.t.Fatalf("signet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// file writes a file into the data directory and gives its name.
func (c cli) file(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func TestStatusOfUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args   string
		status int
		stderr string // part of it
	}{
		"nothing":            {"", exitUsage, "a command is missing"},
		"help":               {"--help", exitDone, ""},
		"unknown command":    {"usr", exitUsage, `no command "usr"; did you mean push or user?`},
		"unknown below":      {"user lst", exitUsage, `no command "lst"; did you mean list?`},
		"nothing like it":    {"user xyzzy", exitUsage, "no command \"xyzzy\"\n"},
		"only the group":     {"user", exitUsage, "signet user --help"},
		"unknown flag":       {"user list --nme x", exitUsage, "--nme"},
		"missing argument":   {"user add", exitUsage, "ADDRESS is missing\n  signet user add --help"},
		"surplus argument":   {"invite a@example.com b@example.com", exitUsage, `"b@example.com" is one argument too many`},
		"surplus anything":   {"user list all", exitUsage, `"all" is one argument too many`},
		"some of several":    {"pfx import", exitUsage, "PATH is missing"},
		"version flag":       {"--version", exitDone, ""},
		"unknown role":       {"token create --name x --role root", exitUsage, "root"},
		"long name":          {"token create --role admin --name " + strings.Repeat("x", 101), exitUsage, "--name"},
		"no length of time":  {"token create --name x --role admin --expires 5x", exitUsage, "such as 30d"},
		"no limit":           {"audit list --limit 0", exitUsage, "from 1 on"},
		"silence":            {"device list --silent always", exitUsage, "such as 7d"},
		"state":              {"device list --state lost", exitUsage, "invited, enrolling"},
		"CSV of no list":     {"device show x -o csv", exitUsage, "for lists"},
		"no fingerprint":     {"pfx remove --user x --yes zz", exitUsage, "zz"},
		"half a fingerprint": {"ca revoke 0000000", exitUsage, "64 digits"},
		"unknown format":     {"user list -o xml", exitUsage, "xml"},
		"plain HTTP":         {"user list --server http://x --token-file x", exitUsage, "https://"},
		"no token":           {"user list --server https://x", exitUsage, "--token-file"},
		"no token role":      {"token create --name x", exitUsage, "--role"},
		"bad expiry":         {"token create --name x --role admin --expires 2y", exitUsage, "2y is more than a year"},
		"list of whom":       {"pfx list", exitUsage, "--user"},
		"remove unsure":      {"pfx remove --user x 00", exitUsage, "--yes"},
		"no server":          {"user list", exitFailed, "signet serve"},
		"no password":        {"pfx import none.p12", exitUsage, "--password-file"},
		"missing token":      {"user list --server https://x --token-file none", exitFailed, "none"},
		"config not set":     {"config check", exitFailed, "url: "},
		"config good":        {"config check --url https://mdm.example.org", exitDone, ""},
		"config not a bool":  {"config check --url https://mdm.example.org --enroll-sign-profile=maybe", exitFailed, "--enroll-sign-profile"},
		"version":            {"version", exitDone, ""},
	} {
		var out, errs bytes.Buffer
		empty := t.TempDir()
		env := map[string]string{"SIGNET_DATA": empty}
		status := run(t.Context(), strings.Fields(c.args), func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
		if status != c.status || !strings.Contains(errs.String(), c.stderr) {
			t.Errorf("%s: status %d, want %d; stderr lacks %q:\n%s", name, status, c.status, c.stderr, &errs)
		}
		if status != exitDone && out.Len() > 0 {
			t.Errorf("%s: stdout has %q", name, &out)
		}
	}
}

func TestUsersAndDevices(t *testing.T) {
	c := newCLI(t)
	if out := c.ok("user", "list", "-o", "json"); out != "[]\n" {
		t.Errorf("no users: got %q, want []", out)
	}
	var alice admin.User
	c.json(&alice, "user", "add", "Alice@example.com", "--name", "Alice Example", "--alias", "a@example.com", "--alias", "al@example.com")
	if alice.Mail != "alice@example.com" || len(alice.Aliases) != 2 {
		t.Errorf("got %+v", alice)
	}
	if status, _, errs := c.run("user", "add", "a@example.com"); status != exitFailed || !strings.Contains(errs, "(user_exists)") {
		t.Errorf("a taken address: status %d\n%s", status, errs)
	}
	list := c.ok("user", "list")
	want := "MAIL               NAME           ID\nalice@example.com  Alice Example  " + alice.ID + "\n"
	if list != want {
		t.Errorf("got\n%swant\n%s", list, want)
	}
	if out := c.ok("group", "set", "Finance", "al@example.com"); out != "group Finance has 1 member\n" {
		t.Errorf("got %q", out)
	}
	if out := c.ok("user", "change", "al@example.com", "--given-name", "Alice", "--alias", "a@example.com", "--alias", "al@example.com"); !strings.HasPrefix(out, "changed alice@example.com") {
		t.Errorf("got %q", out)
	}
	if status, _, errs := c.run("user", "change", "al@example.com"); status != exitUsage || !strings.Contains(errs, "what is to change") {
		t.Errorf("no change: status %d\n%s", status, errs)
	}
	if out := c.ok("group", "list"); !strings.HasPrefix(out, "NAME     MEMBERS  ID") || !strings.Contains(out, "Finance  1") {
		t.Errorf("got\n%s", out)
	}
	if out := c.ok("user", "show", "al@example.com"); !strings.Contains(out, "a@example.com, al@example.com") || !strings.Contains(out, "Finance") {
		t.Errorf("got\n%s", out)
	}

	var inv admin.Invitation
	c.json(&inv, "invite", "alice@example.com")
	if !strings.HasPrefix(inv.Link, "https://mdm.example.org/enroll/") || inv.Code == "" {
		t.Errorf("got %+v", inv)
	}
	if out := c.ok("invite", "alice@example.com"); !strings.Contains(out, "another way") {
		t.Errorf("got\n%s", out)
	}
	if status, _, errs := c.run("invite", "nobody@example.com"); status != exitFailed || !strings.Contains(errs, "(user_unknown)") {
		t.Errorf("unknown user: status %d\n%s", status, errs)
	}
	var devices []admin.Device
	if c.json(&devices, "device", "list", "--user", "alice@example.com"); len(devices) != 2 || devices[0].State != "invited" {
		t.Errorf("got %+v", devices)
	}
	if out := c.ok("device", "show", inv.Device); !strings.Contains(out, inv.Device) || !strings.Contains(out, "invited") {
		t.Errorf("got\n%s", out)
	}
	if out := c.ok("status", "alice@example.com"); !strings.Contains(out, "no device is enrolled") {
		t.Errorf("got\n%s", out)
	}
	var s admin.Status
	if c.json(&s, "status", "alice@example.com"); s.User.ID != alice.ID || s.Devices == nil {
		t.Errorf("got %+v", s)
	}
	c.ok("device", "remove", inv.Device)
	if out := c.ok("audit", "list", "--limit", "1"); !strings.Contains(out, "device.removed") || !strings.Contains(out, "local:socket") {
		t.Errorf("got\n%s", out)
	}
}

func TestTokenOverTLS(t *testing.T) {
	c := newCLI(t)
	token := c.file("token", []byte(c.ok("token", "create", "--name", "ci", "--role", "auditor", "--expires", "30d")))
	ca := c.file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.tls.Certificate().Raw}))
	remote := []string{"--server", c.tls.URL, "--token-file", token, "--ca", ca}

	if out := c.ok(append(remote, "user", "list", "-o", "json")...); out != "[]\n" {
		t.Errorf("got %q", out)
	}
	if status, _, errs := c.run(append(remote, "user", "add", "a@example.com")...); status != exitFailed || !strings.Contains(errs, "(denied)") {
		t.Errorf("an auditor adds: status %d\n%s", status, errs)
	}
	if status, _, errs := c.run("--server", c.tls.URL, "--token-file", token, "user", "list"); status != exitFailed || !strings.Contains(errs, "--ca") || !strings.Contains(errs, "unknown authority") {
		t.Errorf("without --ca: status %d\n%s", status, errs)
	}
	var tokens []admin.Token
	c.json(&tokens, "token", "list")
	if len(tokens) != 1 || tokens[0].Used == nil {
		t.Fatalf("got %+v", tokens)
	}
	c.ok("token", "revoke", tokens[0].ID)
	if status, _, errs := c.run(append(remote, "user", "list")...); status != exitFailed || !strings.Contains(errs, "(unauthenticated)") {
		t.Errorf("revoked: status %d\n%s", status, errs)
	}
}

// reports reads one object a file.
func reports(t *testing.T, out string) []pfxconnector.FileReport {
	t.Helper()
	list := []pfxconnector.FileReport{}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var r pfxconnector.FileReport
		if err := d.Decode(&r); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		list = append(list, r)
	}
}

func TestImport(t *testing.T) {
	c := newCLI(t)
	c.ok("user", "add", testdata.Owner)
	sample := testdata.History()[6]
	password := c.file("pw", []byte(sample.Password+"\n"))
	good := c.file("in/"+sample.Name, sample.Data)

	status, out, errs := c.run("pfx", "import", "--password-file", password, "--dry-run", good)
	if status != exitDone || !strings.Contains(out, "Nothing was changed.") {
		t.Errorf("dry run: status %d\n%s%s", status, out, errs)
	}
	for _, want := range []pfxconnector.Status{pfxconnector.Imported, pfxconnector.Unchanged} {
		status, out, errs := c.run("pfx", "import", "--password-file", password, "--user", testdata.Owner, "-o", "json", good)
		list := reports(t, out)
		if status != exitDone || len(list) != 1 || list[0].Status != want || list[0].Code != nil || list[0].File != good ||
			len(list[0].Identities) != 1 || list[0].Identities[0].User != testdata.Owner || len(list[0].Identities[0].Cert) != 64 {
			t.Fatalf("status %d, want 0 and one file %s:\n%s%s", status, want, out, errs)
		}
	}
	var items []pfxconnector.Item
	if c.json(&items, "pfx", "list", "--user", testdata.Owner); len(items) != 1 || items[0].Place != "current" {
		t.Errorf("got %+v", items)
	}
	if out := c.ok("pfx", "list", "--user", testdata.Owner); !strings.Contains(out, items[0].Cert[:16]) || !strings.Contains(out, items[0].Reason) ||
		!strings.Contains(out, items[0].Addresses[0]) {
		t.Errorf("got\n%s", out)
	}

	// A directory with what is good, what is not and what is none of our business.
	c.file("in/sub/broken.PFX", []byte("nothing"))
	c.file("in/empty.p12", nil)
	c.file("in/readme.txt", []byte("hello"))
	status, out, errs = c.run("pfx", "import", "--password-file", password, "-o", "json", filepath.Join(c.dir, "in"))
	list := reports(t, out)
	if status != exitRejects || len(list) != 3 {
		t.Fatalf("status %d, want 3 and three files:\n%s%s", status, out, errs)
	}
	for i, refused := range []bool{false, true, true} {
		if (list[i].Code != nil) != refused {
			t.Errorf("%s: got %s", list[i].File, list[i].Status)
		}
	}
	wrong := c.file("wrong", []byte("canary-wrong"))
	status, out, errs = c.run("pfx", "import", "--password-file", wrong, good)
	if status != exitRejects || !strings.Contains(out, "1 file: 0 identities imported, 0 unchanged, 1 refused") || strings.Contains(out+errs, "canary") {
		t.Errorf("wrong password: status %d\n%s%s", status, out, errs)
	}
	if status, _, errs := c.run("pfx", "import", "--password-file", password, "--user", "nobody@example.com", good); status != exitFailed || !strings.Contains(errs, "(user_unknown)") {
		t.Errorf("unknown user: status %d\n%s", status, errs)
	}
	status, out, errs = c.run("pfx", "import", "--password-file", password, filepath.Join(c.dir, "none.p12"), good)
	if status != exitRejects || !strings.Contains(out, "none.p12: refused (pfx_file_unreadable)") ||
		!strings.Contains(out, "2 files: 0 identities imported, 1 unchanged, 1 refused") {
		t.Errorf("a file that is not there: status %d\n%s%s", status, out, errs)
	}
	c.ok("user", "add", "bob@example.com")
	out = c.ok("pfx", "import", "--password-file", password, "--user", "bob@example.com", good)
	if !strings.Contains(out, "\n  warning: The certificate does not name this user.\n") || !strings.HasSuffix(out, "0 refused, 1 with warnings\n") {
		t.Errorf("for somebody else: got\n%s", out)
	}
	if status, _, errs := c.run("pfx", "remove", "--user", testdata.Owner, "--yes", "00000000"); status != exitFailed || !strings.Contains(errs, "(pfx_unknown)") {
		t.Errorf("a prefix of none: status %d\n%s", status, errs)
	}
	c.ok("pfx", "remove", "--user", testdata.Owner, "--yes", strings.ToUpper(items[0].Cert[:16]))
	if out := c.ok("pfx", "list", "--user", testdata.Owner, "-o", "json"); out != "[]\n" {
		t.Errorf("after the removal: %q", out)
	}
}

func TestOutputIsInert(t *testing.T) {
	c := newCLI(t)
	var out bytes.Buffer
	writeTable(&out, []string{"name"}, [][]string{{"a\x1b[2Jb\u202ec"}, {""}})
	if got := out.String(); got != "NAME\na?[2Jb?c\n-\n" {
		t.Errorf("got %q", got)
	}
	if status, _, errs := c.run("user", "show", "x\x1b]0;y"); status != exitFailed || strings.Contains(errs, "\x1b") {
		t.Errorf("status %d, %q", status, errs)
	}
}

func TestChallengeAndAuthorities(t *testing.T) {
	c := newCLI(t)
	c.ok("user", "add", "alice@example.com")
	var got map[string]string
	c.json(&got, "scep", "challenge", "--profile", "smime-signing", "--user", "alice@example.com")
	for key, want := range map[string]string{"url": "https://mdm.example.org/scep/smime-signing",
		"http_url": "http://mdm.example.org/scep/smime-signing", "user": "alice@example.com"} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if len(got["challenge"]) < 26 {
		t.Errorf("a challenge of %d characters", len(got["challenge"]))
	}
	if _, err := time.Parse(time.RFC3339, got["expires"]); err != nil {
		t.Error(err)
	}
	if out := c.ok("ca", "show"); !strings.Contains(out, "CN=Example Root CA") {
		t.Errorf("got\n%s", out)
	}
	block, _ := pem.Decode([]byte(c.ok("ca", "export", "root")))
	if block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("got %v, want a certificate", block)
	}
	for args, want := range map[string]string{
		"scep challenge --profile none --user alice@example.com": scep.ErrProfileUnknown.Code,
		"ca revoke " + strings.Repeat("0", 64):                   scep.ErrCertificateUnknown.Code,
	} {
		if status, _, errs := c.run(strings.Fields(args)...); status != exitFailed || !strings.Contains(errs, "("+want+")") {
			t.Errorf("%s: status %d, want 1 and %s\n%s", args, status, want, errs)
		}
	}
	if status, _, errs := c.run("ca", "export", "none"); status != exitFailed || !strings.Contains(errs, "signet ca show") {
		t.Errorf("status %d\n%s", status, errs)
	}
}

func TestApply(t *testing.T) {
	c := newCLI(t)
	c.ok("user", "add", "alice@example.com")
	good := c.file("good.yaml", []byte("kind: Policy\nname: mail\nassign: {users: [alice@example.com]}\nsigning: {source: scep}\n"))
	bad := c.file("bad.yaml", []byte("x: y\n"))
	if out := c.ok("apply", "-f", good, "--dry-run"); !strings.Contains(out, "+ policy mail\n") || !strings.Contains(out, "Nothing was changed.") {
		t.Errorf("got\n%s", out)
	}
	if out := c.ok("apply", "-f", good); !strings.HasPrefix(out, "+ policy mail\n") {
		t.Errorf("got\n%s", out)
	}
	if out := c.ok("apply", good); out != "  policy mail\nNothing had to be changed.\n" {
		t.Errorf("the same again: got\n%s", out)
	}
	idle := c.file("idle.yaml", []byte("kind: Policy\nname: idle\nmail: {apple: {account: imap}}\n"))
	_, _, errs := c.run("apply", "-f", idle, "--dry-run")
	for _, want := range []string{"warning: policy idle is for nobody", "warning: policy idle alone: mail.apple.account: an IMAP account needs"} {
		if !strings.Contains(errs, want) {
			t.Errorf("lacks %q:\n%s", want, errs)
		}
	}
	var diff appconfig.Diff
	if c.json(&diff, "apply", "-f", good); len(diff.Items) != 1 || diff.Items[0].Action != appconfig.Unchanged {
		t.Errorf("a second time: got %+v", diff)
	}
	if out := c.ok("explain", "policy", "alice@example.com"); !strings.Contains(out, "signing.source") {
		t.Errorf("got\n%s", out)
	}
	for args, want := range map[string]int{"apply": exitUsage, "apply a -f b": exitUsage, "apply -f " + bad: exitFailed, "apply -f none.yaml": exitFailed, "apply -f -": exitFailed} {
		if status, _, errs := c.run(strings.Fields(args)...); status != want || errs == "" {
			t.Errorf("%s: status %d, want %d\n%s", args, status, want, errs)
		}
	}
}

func TestConfigDescribe(t *testing.T) {
	c := newCLI(t)
	c.file("signet.toml", []byte("organization = 'Example'\n"))
	out := c.ok("config", "describe", "--listen", ":1")
	for _, line := range []string{"\norganization = \"Example\"\n", "\nlisten = \":1\"\n", "\n#http_listen = \"\"\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("lacks %q:\n%s", line, out)
		}
	}
	c.file("signet.toml", []byte("organisation = 'Example'\n"))
	if status, _, errs := c.run("config", "check"); status != exitFailed || !strings.Contains(errs, `did you mean "organization"`) {
		t.Errorf("status %d\n%s", status, errs)
	}
	var list []described
	c.file("signet.toml", nil)
	if c.json(&list, "config", "describe"); len(list) < 15 || list[1].Env != "SIGNET_LISTEN" {
		t.Errorf("got %+v", list)
	}
}

func TestInOrder(t *testing.T) {
	names := []string{"c", "a", "b", "e", "d"}
	got := ""
	err := inOrder(t.Context(), slices.Values(names), func(_ context.Context, n string) (string, error) { return n, nil },
		func(s string) error { got += s; return nil })
	if err != nil || got != "cabed" {
		t.Errorf("got %q, %v", got, err)
	}
	err = inOrder(t.Context(), slices.Values(names), func(_ context.Context, n string) (string, error) {
		if n == "b" {
			return "", io.ErrUnexpectedEOF
		}
		return n, nil
	}, func(string) error { return nil })
	if err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want the error of b", err)
	}
}
