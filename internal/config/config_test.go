package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update writes it):\n%s", file, diff)
	}
}

func none(string) string { return "" }

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "signet.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPrecedence(t *testing.T) {
	file := write(t, "organization = 'file'\nlisten = 'file'\ndata = 'file'\n[enroll]\nsign_profile = false\n")
	env := map[string]string{"SIGNET_ORGANIZATION": "env", "SIGNET_LISTEN": "env", "SIGNET_HTTP_LISTEN": "", "SIGNET_LIMITS_IMPORT_FILE_KIB": "7"}
	c, err := config.Load(file, func(k string) string { return env[k] }, map[string]string{"organization": "flag", "scep.allow_legacy_algorithms": "true"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Organization, want.Listen, want.Data = "flag", "env", "file"
	want.Enroll.SignProfile, want.SCEP.AllowLegacyAlgorithms, want.Limits.ImportFileKiB = false, true, 7
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestNoFileIsTheDefault(t *testing.T) {
	c, err := config.Load(filepath.Join(t.TempDir(), "none.toml"), none, nil)
	if diff := cmp.Diff(config.Default(), c); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// What describe writes is the reference, kept here so that a change is seen;
// and reading it gives the same settings again.
func TestDescribe(t *testing.T) {
	c := config.Default()
	c.URL, c.Organization, c.Enroll.Auth = "https://mdm.example.org", `The "Example" \ Co`, "lab"
	var out strings.Builder
	if err := config.Describe(&out, c); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "signet.toml"), out.String())
	got := config.Default()
	if err := config.Parse([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	for _, f := range config.Fields() {
		if f.Doc == "" || f.Key == "" || strings.HasSuffix(f.Key, ".") {
			t.Errorf("field %q has no name or no doc", f.Key)
		}
	}
	if f := config.Fields()[1]; f.Env() != "SIGNET_LISTEN" || f.Flag() != "listen" {
		t.Errorf("got %s and %s", f.Env(), f.Flag())
	}
}

// Each file below testdata/refused gives the message beside it.
func TestRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.toml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		_, err := config.Load(file, none, nil)
		if err == nil {
			t.Errorf("%s was taken", file)
			continue
		}
		golden(t, strings.TrimSuffix(file, ".toml")+".txt", err.Error()+"\n")
	}
	for name, value := range map[string]string{"SIGNET_SCEP_ALLOW_LEGACY_ALGORITHMS": "maybe", "SIGNET_ENROLL_INVITATION_DAYS": "7d"} {
		_, err := config.Load("", func(k string) string { return map[string]string{name: value}[k] }, nil)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s=%s: got %v, want an error that names both", name, value, err)
		}
	}
	if _, err := config.Load("", none, map[string]string{"enroll.invitation_days": "x"}); err == nil || !strings.Contains(err.Error(), "--enroll-invitation-days") {
		t.Errorf("flag: got %v, want an error that names it", err)
	}
}

func TestCheck(t *testing.T) {
	good := config.Default()
	good.URL = "https://127.0.0.1:8443/"
	if p := good.Check(); p != nil {
		t.Errorf("good settings: %v", p)
	}
	if good.Host() != "127.0.0.1" || good.Base() != "https://127.0.0.1:8443" {
		t.Errorf("host %q, base %q", good.Host(), good.Base())
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"no url":        {func(c *config.Config) { c.URL = "" }, []string{"url"}},
		"http":          {func(c *config.Config) { c.URL = "http://mdm.example.org" }, []string{"url"}},
		"path":          {func(c *config.Config) { c.URL = "https://mdm.example.org/x" }, []string{"url"}},
		"user":          {func(c *config.Config) { c.URL = "https://a@mdm.example.org" }, []string{"url"}},
		"name alone":    {func(c *config.Config) { c.URL = "mdm.example.org" }, []string{"url"}},
		"opaque":        {func(c *config.Config) { c.URL = "https:mdm" }, []string{"url"}},
		"no port":       {func(c *config.Config) { c.Listen, c.OpsListen = "localhost", "x" }, []string{"listen", "ops_listen"}},
		"cert alone":    {func(c *config.Config) { c.TLS.Cert = "config.go" }, []string{"tls.cert"}},
		"missing files": {func(c *config.Config) { c.TLS.Cert, c.TLS.Key = "no.pem", "no.key" }, []string{"tls.cert", "tls.key"}},
		"choices":       {func(c *config.Config) { c.Enroll.Auth, c.Log.Level = "none", "loud" }, []string{"enroll.auth", "log.level"}},
		"a static challenge": {func(c *config.Config) {
			c.Enroll.Auth, c.SCEP.LabChallengeFile, c.SCEP.LabProfile, c.SCEP.LabUser = "lab", "lab.go", "smime-signing", "alice@example.com"
		}, []string{}},
		"outside a laboratory": {func(c *config.Config) {
			c.SCEP.LabChallengeFile, c.SCEP.LabProfile, c.SCEP.LabUser = "lab.go", "smime-signing", "alice@example.com"
		}, []string{"scep.lab_challenge_file"}},
		"in nobody's name": {func(c *config.Config) {
			c.Enroll.Auth, c.SCEP.LabChallengeFile, c.SCEP.LabProfile = "lab", "lab.go", "smime-signing"
		}, []string{"scep.lab_challenge_file"}},
		"no challenge":    {func(c *config.Config) { c.SCEP.LabUser = "alice@example.com" }, []string{"scep.lab_challenge_file"}},
		"numbers":         {func(c *config.Config) { c.Enroll.InvitationDays = 0 }, []string{"enroll.invitation_days"}},
		"push":            {func(c *config.Config) { c.Push.Gateway, c.Push.CA = "api.push.apple.com", "no.pem" }, []string{"push.ca", "push.gateway"}},
		"mail domains":    {func(c *config.Config) { c.CA.MailDomains = "example.com, alice@example.com" }, []string{"ca.mail_domains"}},
		"lists elsewhere": {func(c *config.Config) { c.CA.URL = "http://pki.example.org:8080/" }, []string{}},
		"lists in a path": {func(c *config.Config) { c.CA.URL = "http://pki.example.org/x" }, []string{"ca.url"}},
		"lists in LDAP":   {func(c *config.Config) { c.CA.URL = "ldap://pki.example.org" }, []string{"ca.url"}},
		"no data":         {func(c *config.Config) { c.Data = "" }, []string{"data"}},
		"no such port":    {func(c *config.Config) { c.Listen, c.HTTPListen = ":99999", ":x" }, []string{"http_listen", "listen"}},
		"everything zero": {func(c *config.Config) { *c = config.Config{} }, []string{"approval.people", "ca.crl_shards", "ca.device_key", "ca.key_store", "ca.root_key", "ca.smime_key", "data", "enroll.auth", "enroll.invitation_days", "keys.escrow_in", "limits.all_openings_per_hour", "limits.certificates_per_hour", "limits.import_file_kib", "limits.openings_per_hour", "listen", "log.format", "log.level", "mail.tls", "push.gateway", "roles", "url"}},
		"no transit":      {func(c *config.Config) { c.Keys.EscrowIn = "transit" }, []string{"transit.address", "transit.key"}},
		"transit": {func(c *config.Config) {
			c.Transit = config.Transit{Address: "http://bao.example.org", Mount: "../sys", Key: "a/b", RoleID: "r", TokenFile: "no.token", SecretIDFile: "no.id", CA: "no.pem", CacheSeconds: -1}
		}, []string{"transit.address", "transit.ca", "transit.cache_seconds", "transit.key", "transit.mount", "transit.role_id", "transit.secret_id_file", "transit.token_file"}},
		"transit on this machine": {func(c *config.Config) {
			c.Transit = config.Transit{Address: "http://127.0.0.1:8200", Mount: "a/b", Key: "signet", SecretIDFile: "."}
		}, []string{"transit.secret_id_file"}},
		"mail": {func(c *config.Config) {
			c.Mail = config.Mail{Server: "smtp.example.org", TLS: "none", CA: "no.pem", Username: "signet", ReplyTo: "a b", SignKey: "no.pem"}
		}, []string{"mail.ca", "mail.from", "mail.reply_to", "mail.sign_cert", "mail.sign_key", "mail.tls", "mail.username"}},
		"one approver":          {func(c *config.Config) { c.Approval.People = 1 }, []string{"approval.people"}},
		"one approver in a lab": {func(c *config.Config) { c.Approval.People, c.Enroll.Auth = 1, "lab" }, []string{}},
		"mail server": {func(c *config.Config) {
			c.Mail = config.Mail{Server: "smtp://x", TLS: "tls", From: "a@example.org"}
		}, []string{"mail.server"}},
		"mail here in clear": {func(c *config.Config) {
			c.Mail = config.Mail{Server: "[::1]:2525", TLS: "none", From: "Secure mail <a@example.org>"}
		}, []string{}},
	} {
		bad := good
		c.change(&bad)
		keys := []string{}
		for _, p := range bad.Check() {
			keys = append(keys, p.Key)
			if p.Msg == "" || p.Hint == "" {
				t.Errorf("%s: %q without message or hint", name, p.Key)
			}
		}
		if !reflect.DeepEqual(keys, c.want) {
			t.Errorf("%s: problems of %v, want %v", name, keys, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("url = 'https://mdm.example.org'\n[enroll]\nauth = 'lab'\n"))
	f.Add([]byte("[tls]\ncert = 1\n"))
	f.Add([]byte("a.b.c = [[1, {x = 2}]]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := config.Default()
		if config.Parse(data, &c) != nil {
			return
		}
		var out strings.Builder
		if err := config.Describe(&out, c); err != nil {
			t.Fatal(err)
		}
		again := config.Default()
		if err := config.Parse([]byte(out.String()), &again); err != nil || again != c {
			t.Errorf("described and read again: %+v, %v; want %+v\n%s", again, err, c, &out)
		}
	})
}

func TestMailServer(t *testing.T) {
	for server, want := range map[[2]string][2]string{
		{"smtp.example.org", "starttls"}:   {"smtp.example.org", "587"},
		{"smtp.example.org", "tls"}:        {"smtp.example.org", "465"},
		{"localhost", "none"}:              {"localhost", "25"},
		{"smtp.example.org:2525", "tls"}:   {"smtp.example.org", "2525"},
		{"[2001:db8::1]:2525", "starttls"}: {"2001:db8::1", "2525"},
		{"[2001:db8::1]", "starttls"}:      {"2001:db8::1", "587"},
		{"smtp.example.org:", "starttls"}:  {"smtp.example.org", "587"},
	} {
		c := config.Config{Mail: config.Mail{Server: server[0], TLS: server[1]}}
		if host, port := c.MailServer(); [2]string{host, port} != want {
			t.Errorf("%v: got %s and %s, want %v", server, host, port, want)
		}
	}
}

// Each value is shown with what it comes from; the strongest wins.
func TestEffective(t *testing.T) {
	file := write(t, "url = 'https://mdm.example.org'\n\n# a comment\nlisten = ':1'\n[tls]\ncert = 'x'\n[limits]\nimport_file_kib = 5\n")
	env := map[string]string{"SIGNET_LISTEN": ":2", "SIGNET_ORGANIZATION": "Example"}
	list, err := config.Effective(file, func(k string) string { return env[k] }, map[string]string{"organization": "flag"})
	if err != nil || len(list) != len(config.Fields()) {
		t.Fatalf("%d settings, %v", len(list), err)
	}
	got := map[string][2]string{}
	for _, s := range list {
		got[s.Key] = [2]string{s.Value, strings.TrimPrefix(s.Origin, filepath.Dir(file)+"/")}
	}
	for key, want := range map[string][2]string{
		"url":                    {"https://mdm.example.org", "signet.toml:1"},
		"listen":                 {":2", "SIGNET_LISTEN"},
		"tls.cert":               {"x", "signet.toml:6"},
		"limits.import_file_kib": {"5", "signet.toml:8"},
		"organization":           {"flag", "--organization"},
		"log.level":              {"info", ""},
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if _, err := config.Effective(write(t, "x = 1\n"), none, nil); err == nil {
		t.Error("a wrong file was taken")
	}
}

func TestGraphIssuer(t *testing.T) {
	good := config.Graph{Issuer: "https://sts.windows.net/t/", Audience: "https://signet.example.com/graph", Tenant: "t", Programs: "a, b", Role: "R"}
	for name, c := range map[string]struct {
		change func(*config.Graph)
		key    string // of the problem; empty: none
	}{
		"good":                {func(*config.Graph) {}, ""},
		"none":                {func(g *config.Graph) { *g = config.Graph{Role: "R"} }, ""},
		"no audience":         {func(g *config.Graph) { g.Audience = " , " }, "graph.audience"},
		"no programs":         {func(g *config.Graph) { g.Programs = "" }, "graph.programs"},
		"no role":             {func(g *config.Graph) { g.Role = "" }, "graph.role"},
		"no issuer":           {func(g *config.Graph) { g.Issuer = "" }, "graph.issuer"},
		"in clear":            {func(g *config.Graph) { g.Issuer = "http://issuer.example.com" }, "graph.issuer"},
		"Entra of all":        {func(g *config.Graph) { g.Tenant = "" }, "graph.tenant"},
		"another, no tenant":  {func(g *config.Graph) { g.Tenant, g.Issuer = "", "https://issuer.example.com/realms/x" }, ""},
		"an address, no net":  {func(g *config.Graph) { g.Networks = "10.0.0.1" }, "graph.networks"},
		"networks":            {func(g *config.Graph) { g.Networks = "10.0.0.0/8, fd00::/8" }, ""},
		"networks for nobody": {func(g *config.Graph) { *g = config.Graph{Networks: "x"} }, "graph.networks"},
	} {
		g := good
		c.change(&g)
		conf := config.Default()
		conf.URL, conf.Graph = "https://signet.example.com", g
		var got []string
		for _, p := range conf.Check() {
			got = append(got, p.Key)
		}
		if strings.Join(got, " ") != c.key {
			t.Errorf("%s: got problems with %v, want %q", name, got, c.key)
		}
	}
}

func TestTenant(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := config.Tenant{ID: "6BABCAAD-604b-40ac-a9d7-9fd97c0b779f", Groups: "Outlook, Sales", ClientID: "c", SecretFile: secret, GraphURL: "https://graph.microsoft.com/beta"}
	for name, c := range map[string]struct {
		change func(*config.Config)
		key    string // of the problem; empty: none
	}{
		"good":               {func(*config.Config) {}, ""},
		"off":                {func(c *config.Config) { c.Tenant = config.Tenant{} }, ""},
		"no id":              {func(c *config.Config) { c.Tenant.ID = "" }, "tenant.id"},
		"a domain":           {func(c *config.Config) { c.Tenant.ID = "contoso.com" }, "tenant.id"},
		"nobody":             {func(c *config.Config) { c.Tenant.Groups = " , " }, "tenant.groups"},
		"everybody":          {func(c *config.Config) { c.Tenant.Groups, c.Tenant.Everybody = "", true }, ""},
		"no client":          {func(c *config.Config) { c.Tenant.ClientID = "" }, "tenant.client_id"},
		"no secret":          {func(c *config.Config) { c.Tenant.SecretFile = "" }, "tenant.client_id"},
		"secret and cert":    {func(c *config.Config) { c.Tenant.Cert, c.Tenant.Key = secret, secret }, "tenant.client_id"},
		"a cert":             {func(c *config.Config) { c.Tenant.SecretFile, c.Tenant.Cert, c.Tenant.Key = "", secret, secret }, ""},
		"a cert without key": {func(c *config.Config) { c.Tenant.SecretFile, c.Tenant.Cert = "", secret }, "tenant.cert"},
		"in clear":           {func(c *config.Config) { c.Tenant.GraphURL = "http://graph.microsoft.com/beta" }, "tenant.graph_url"},
		"tokens in clear":    {func(c *config.Config) { c.Tenant.TokenURL = "http://login.example.com/token" }, "tenant.token_url"},
		"the keeper, id alone": {func(c *config.Config) {
			c.Roles, c.Tenant = "keeper", config.Tenant{ID: good.ID, GraphURL: good.GraphURL}
		}, ""},
	} {
		conf := config.Default()
		conf.URL, conf.Tenant = "https://signet.example.com", good
		c.change(&conf)
		var got []string
		for _, p := range conf.Check() {
			if strings.HasPrefix(p.Key, "tenant.") {
				got = append(got, p.Key)
			}
		}
		if strings.Join(got, " ") != c.key {
			t.Errorf("%s: got problems with %v, want %q", name, got, c.key)
		}
	}
	if got := good.SignIn(); got != "https://login.microsoftonline.com/"+good.ID+"/oauth2/v2.0/token" || good.Scope() != "https://graph.microsoft.com/.default" {
		t.Errorf("signs in at %s for %s", got, good.Scope())
	}
}
