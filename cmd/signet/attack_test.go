package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// Every route and every command stands in docs/one-administrator.md, with the
// reason why an administrator gets no other user's key by it; and nothing that
// is not there any more.
func TestEveryWayOfAnAdministratorIsJudged(t *testing.T) {
	text, err := os.ReadFile("../../docs/one-administrator.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\S.* \\|$").FindAllSubmatch(text, -1) {
		listed[string(m[1])] = false
	}
	judged := func(way string) {
		if _, ok := listed[way]; !ok {
			t.Errorf("docs/one-administrator.md does not say why %s gives an administrator no other user's key", way)
		}
		listed[way] = true
	}
	for _, at := range newAssembled(t).sites {
		at.routes(func(rt httpd.Route) {
			if rt.Permission != access.AskKeeper { // the front end's, docs/keys.md
				judged(rt.Method + " " + strings.TrimRight(rt.Path, "/"))
			}
		})
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if _, named := listed[c.CommandPath()]; named || !c.HasSubCommands() {
			judged(c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(new(app).root())
	for way, there := range listed {
		if !there {
			t.Errorf("docs/one-administrator.md speaks of %s, which is not there", way)
		}
	}
}

// mallory is an administrator with a token, a mailbox and a phone of his own,
// who wants Alice's keys.
type mallory struct {
	*assembled
	alice, self subject.User
	hers, his   subject.DeviceID
	certs       []string // of Alice's imported keys
	answers     bytes.Buffer
}

// do makes a call of the API as he can, and keeps the answer.
func (m *mallory) do(method, path, body string) (status int, answer string) {
	m.t.Helper()
	return m.send(method, path, "application/json", body)
}

func (m *mallory) send(method, path, kind, body string) (status int, answer string) {
	m.t.Helper()
	r := httptest.NewRequestWithContext(m.t.Context(), method, "https://127.0.0.1:8443"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	m.tokenAndConsole(m.token[access.Admin])(r)
	w := httptest.NewRecorder()
	m.mux["HTTPS"].ServeHTTP(w, r)
	m.answers.Write(w.Body.Bytes())
	return w.Code, w.Body.String()
}

func newMallory(t *testing.T) *mallory {
	m := &mallory{assembled: newAssembled(t)}
	var err error
	m.alice, err = m.directory.User(t.Context(), testdata.Owner)
	m.must(err)
	m.hers = m.device
	m.self, err = m.directory.Add(t.Context(), tester, subject.User{Mail: "mallory@example.com"})
	m.must(err)
	m.enroll(m.self)
	m.his = m.device
	for _, f := range testdata.History() {
		r, err := m.pfx.Import(t.Context(), tester, pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password), User: &m.alice})
		m.must(err)
		m.certs = append(m.certs, r.Identities[0].Cert)
	}
	return m
}

// deliver does all background work that is to do now.
func (m *mallory) deliver() {
	m.t.Helper()
	for range 50 {
		n := 0
		for _, step := range []func(context.Context) (int, error){m.delivery.Reconcile, m.sealer.Seal} {
			did, err := step(m.t.Context())
			m.must(err)
			n += did
		}
		if n == 0 {
			return
		}
	}
	m.t.Fatal("the work never ends")
}

// opened counts the keys that were opened for devices.
func (m *mallory) opened() map[subject.DeviceID]int {
	m.t.Helper()
	lines, err := m.db.Journal().Lines(m.t.Context(), journal.Query{Limit: 10_000})
	m.must(err)
	n := map[subject.DeviceID]int{}
	for _, l := range lines {
		if l.Action == journal.KeyOpened {
			n[l.Device]++
		}
	}
	return n
}

const everythingEncrypted = `kind: Policy
name: secure mail
priority: 10
assign: {all: true}
encryption: {source: imported}
mail:
  apple: {account: exchange, host: mail.example.com}
`

// What an administrator alone would try. Each is refused, or gives him nothing:
// no key is opened for another device than Alice's own, and no answer of any
// route has a key or the link of an invitation in it.
func TestAdministratorGetsNoKey(t *testing.T) {
	m := newMallory(t)
	if status, answer := m.send("POST", "/api/v1/apply", "application/yaml", everythingEncrypted); status != http.StatusOK {
		t.Fatalf("applying the policy: %d %s", status, answer)
	}
	m.deliver()
	if n := m.opened(); n[m.hers] == 0 || len(n) != 1 {
		t.Fatalf("opened at first: %v, want hers", n)
	}
	alice, quoted := string(m.alice.ID), func(s string) string { b, _ := json.Marshal(s); return string(b) }
	file := base64.StdEncoding.EncodeToString(testdata.History()[0].Data)
	for _, c := range []struct {
		name, method, path, body string
		want                     string // code of the refusal; empty: it is let, and gives nothing
	}{
		{"her address becomes his", "PATCH", "/api/v1/users/" + alice, `{"mail":"mallory2@example.com"}`, "user_mail_bound"},
		{"his account has her address", "PATCH", "/api/v1/users/" + string(m.self.ID), `{"aliases":["alice@example.com"]}`, "user_exists"},
		{"his account has her UPN", "PATCH", "/api/v1/users/" + string(m.self.ID), `{"upn":"alice@example.com"}`, "user_exists"},
		{"another account has her address", "POST", "/api/v1/users", `{"mail":"other@example.com","aliases":["alice@example.com"]}`, "user_exists"},
		{"her account has his other mailbox", "PATCH", "/api/v1/users/" + alice, `{"aliases":["mallory3@example.com"],"upn":"mallory3@example.com"}`, ""},
		{"he invites her", "POST", "/api/v1/users/" + alice + "/invitations", "", ""},
		{"he invites her by his mailbox", "POST", "/api/v1/users/mallory3@example.com/invitations", "", ""},
		{"a token in her name", "POST", "/api/v1/tokens", `{"name":"x","role":"admin","user":"alice@example.com"}`, ""},
		{"a token of her page", "POST", "/api/v1/tokens", `{"name":"x","role":"person","user":"alice@example.com"}`, "request_invalid"},
		{"a challenge for an identity", "POST", "/api/v1/challenges", `{"profile":"device-identity","user":"alice@example.com","device":` + quoted(string(m.hers)) + `}`, "challenge_identity"},
		{"an identity for his device", "POST", "/api/v1/challenges", `{"profile":"device-identity","user":"alice@example.com","device":` + quoted(string(m.his)) + `}`, "challenge_identity"},
		{"her certificate on his device", "POST", "/api/v1/challenges", `{"profile":"smime-signing","user":"alice@example.com","device":` + quoted(string(m.his)) + `}`, "challenge_delivered"},
		{"a challenge for signing", "POST", "/api/v1/challenges", `{"profile":"smime-signing","user":"alice@example.com"}`, ""},
		{"his device becomes hers", "PATCH", "/api/v1/devices/" + string(m.his), `{"user":` + quoted(alice) + `}`, "method_not_allowed"},
		{"her device becomes his", "PUT", "/api/v1/devices/" + string(m.hers), `{"user":` + quoted(string(m.self.ID)) + `}`, "method_not_allowed"},
		{"her key among his", "PUT", "/api/v1/users/" + string(m.self.ID) + "/keys/" + m.certs[0] + "/purpose", `{"purpose":"encryption"}`, "pfx_unknown"},
		{"her key pinned as his", "PUT", "/api/v1/users/" + string(m.self.ID) + "/keys/" + m.certs[0] + "/pin", "", "pfx_unknown"},
		{"her certificate imported as his", "POST", "/api/v1/imports", `{"file":"x.pfx","user":"mallory@example.com","password":"wrong","data":"` + file + `"}`, ""},
		{"a group of both", "PUT", "/api/v1/groups/both", `{"members":["alice@example.com","mallory@example.com"]}`, ""},
		{"the job for all", "POST", "/api/v1/jobs", `{"kind":"device.refresh","all":true}`, ""},
		{"her device asked again", "POST", "/api/v1/devices/" + string(m.hers) + "/refresh", "", ""},
		{"the settings of the server", "PATCH", "/api/v1/config", `{"enroll.auth":"lab"}`, "not_found"},
	} {
		status, answer := m.do(c.method, c.path, c.body)
		var p httpd.ProblemBody
		json.Unmarshal([]byte(answer), &p)
		if (c.want == "") != (status < 400) || p.Code != c.want && c.want != "" {
			t.Errorf("%s: got %d %s, want %q", c.name, status, answer, c.want)
		}
		m.deliver()
	}
	for name, document := range map[string]string{
		"files to another mailbox":  strings.Replace(everythingEncrypted, "mail:", "deliver: {mail_to: mallory@example.com}\nmail:", 1),
		"keys to another recipient": strings.Replace(everythingEncrypted, "source: imported", "source: imported, recipient: age1x", 1),
		"keys of another user":      strings.Replace(everythingEncrypted, "source: imported", "source: imported, user: alice@example.com", 1),
		"identities by SCEP":        "kind: CertificateProfile\nname: mine\nfor: identity\n",
		"the shipped identities":    "kind: CertificateProfile\nname: device-identity\nfor: signing\n",
		"settings of the server":    "kind: Config\nenroll: {auth: lab}\n",
		"a device":                  "kind: Device\nname: x\nuser: alice@example.com\n",
	} {
		if status, answer := m.send("POST", "/api/v1/apply", "application/yaml", document); status < 400 {
			t.Errorf("%s: got %d %s", name, status, answer)
		}
	}
	m.look()
	m.deliver()
	if n := m.opened(); len(n) != 1 || n[m.hers] == 0 {
		t.Errorf("opened in the end: %v, want hers only", n)
	}
	m.noKey()
	m.noLink()
}

// look asks every route that only gives, with all that it can be asked about.
func (m *mallory) look() {
	of := strings.NewReplacer("{user}", string(m.alice.ID), "{device}", string(m.hers), "{cert}", m.certs[0], "({id})", "("+m.certs[0]+")", "{id}", m.certs[0],
		"{profile}", "smime-signing", "{authority}", "device", "{issuer}", "device", "{shard:[0-9a-f]+}", "00", "{request:.+}", "MA", "{group}", "both")
	n := 0
	m.sites[0].routes(func(rt httpd.Route) {
		if rt.Method != http.MethodGet || rt.Stream {
			return
		}
		if status, _ := m.do(rt.Method, of.Replace(rt.Path), ""); status < 400 {
			n++
		}
	})
	mails, err := m.outbox.Mails(m.t.Context(), notify.MailQuery{User: m.alice.ID, Limit: 100})
	m.must(err)
	for _, mail := range mails {
		if mail.To != testdata.Owner {
			m.t.Errorf("a mail about her went to %s", mail.To)
		}
		m.do("GET", "/api/v1/mails/"+mail.ID, "")
	}
	if n < 30 || len(mails) == 0 {
		m.t.Errorf("%d routes answered, %d mails", n, len(mails))
	}
}

// noKey searches all answers for each private key of Alice's.
func (m *mallory) noKey() {
	m.t.Helper()
	searched := 0
	for secret, what := range m.secrets() {
		searched++
		if bytes.Contains(m.answers.Bytes(), []byte(secret)) {
			m.t.Errorf("an answer has %s", what)
		}
	}
	if searched < 20 || m.answers.Len() < 10_000 {
		m.t.Errorf("%d secrets were looked for in %d bytes", searched, m.answers.Len())
	}
}

// secrets are the passwords of her files, and pieces of her private numbers in
// the forms in which they would stand.
func (m *mallory) secrets() map[string]string {
	m.t.Helper()
	list := map[string]string{}
	for _, f := range testdata.History() {
		list[f.Password] = "the password of " + f.Name
		r, err := pfx.Read(m.t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
		m.must(err)
		for _, number := range numbers(r.Identities[0]) {
			for shift := range 3 { // where base64 may begin
				piece := number[shift : shift+18]
				list[string(piece)] = "a key of " + f.Name
				list[hex.EncodeToString(piece)] = "a key of " + f.Name + " in hexadecimal"
				list[base64.StdEncoding.EncodeToString(piece)] = "a key of " + f.Name + " in base64"
			}
		}
	}
	return list
}

func numbers(i pfx.Identity) [][]byte {
	switch k := i.Key.(type) {
	case *rsa.PrivateKey:
		return [][]byte{k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes()}
	case *ecdsa.PrivateKey:
		if b, err := k.Bytes(); err == nil {
			return [][]byte{b}
		}
	}
	return nil
}

var enrollLink = regexp.MustCompile(`/(enroll|me/link)/[A-Z2-7]{20,}`)

func (m *mallory) noLink() {
	m.t.Helper()
	if link := enrollLink.Find(m.answers.Bytes()); link != nil {
		m.t.Errorf("an answer has the link %.12s…", link)
	}
}
