package graph_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"hash"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/graph"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/pfxconnector/transport"
	"github.com/signet-mdm/signet/testdata"
)

var by = journal.Actor{Kind: journal.Local, ID: "test"}

const (
	provider = "Microsoft Software Key Storage Provider"
	keyName  = "PFXEncryptionKey"
)

// world is a server with real services, a user and a transport key.
type world struct {
	t       *testing.T
	url     string
	log     bytes.Buffer
	token   string
	tokenID string
	tokens  *access.Service
	alice   subject.User
	key     *rsa.PublicKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, w := t.TempDir(), &world{t: t}
	path := filepath.Join(dir, "signet.db")
	sqlitetest.Put(t, path)
	db, err := store.OpenSQLite(t.Context(), path)
	w.must(err)
	t.Cleanup(func() { db.Close() })
	ring, err := keyring.Create(filepath.Join(dir, "keys"), filepath.Join(dir, "unlock.key"))
	w.must(err)
	box, err := seal.NewBox(ring.ColumnRoot(), "transport")
	w.must(err)
	to, err := keyring.Recipient(filepath.Join(dir, "keys"))
	w.must(err)
	people, tokens, keys := directory.New(db.Directory(), time.Now), access.New(db.Access(), time.Now), transport.New(db.Transport(box), time.Now)
	for _, mail := range []string{"a+b@example.com", "o'brien@example.com", "alice@example.com"} {
		w.alice, err = people.Add(t.Context(), by, subject.User{Mail: mail})
		w.must(err)
	}
	k, err := keys.Create(t.Context(), by, provider, keyName, 2048)
	w.must(err)
	w.key = k.Public
	made, secret, err := tokens.CreateToken(t.Context(), by, "module", string(access.Importer), time.Hour)
	w.must(err)
	w.token, w.tokenID, w.tokens = secret.RevealString(), made.ID, tokens
	tickets := tokens.Tickets(box)
	areas := append(graph.SignIn("signet.example.com", tokens, tickets), graph.Area(graph.Config{
		Keys:  pfxconnector.New(pfxconnector.Config{Store: db.PFX(), Users: people, Sealer: escrow.NewSealer(to), Now: time.Now}),
		Users: people, Passwords: keys, MaxFile: 1 << 20,
	}, httpd.Bearer(tickets)))
	s := httptest.NewServer(httpd.NewSite(slog.New(slog.NewTextHandler(&w.log, nil)), nil, areas...))
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sealed encrypts a password as the module does.
func (w *world) sealed(h hash.Hash, password []byte) string {
	w.t.Helper()
	c, err := rsa.EncryptOAEP(h, rand.Reader, w.key, password, nil)
	w.must(err)
	return base64.StdEncoding.EncodeToString(c)
}

// leaf gives the certificate of the one identity in a file.
func (w *world) leaf(f testdata.File) *x509.Certificate {
	w.t.Helper()
	r, err := pfx.Read(w.t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
	w.must(err)
	return r.Identities[0].Certificate
}

// raw sends bytes and gives the answer. A body waits until it is asked for when
// the request says so.
func (w *world) raw(request []byte) (*http.Response, string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	w.must(err)
	defer conn.Close()
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	conn.Write(append(head, "\r\n\r\n"...))
	in := bufio.NewReader(conn)
	if bytes.Contains(head, []byte("Expect: 100-continue")) {
		r, err := http.ReadResponse(in, nil)
		w.must(err)
		if r.StatusCode != http.StatusContinue {
			w.t.Fatalf("before the body: got %d, want 100", r.StatusCode)
		}
	}
	conn.Write(body)
	r, err := http.ReadResponse(in, nil)
	w.must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	w.must(err)
	return r, string(text)
}

// The module's life with one certificate, byte for byte.
func TestModule(t *testing.T) {
	w := newWorld(t)
	file := testdata.History()[6]
	leaf := w.leaf(file)
	fill := strings.NewReplacer(
		"TOKEN", w.token, "USER-ID", string(w.alice.ID), "BARE-ID", strings.ReplaceAll(string(w.alice.ID), "-", ""),
		"THUMBPRINT", strings.ToLower(cert.Thumbprint(leaf.Raw)), "BLOB", base64.StdEncoding.EncodeToString(file.Data),
		"PASSWORD", w.sealed(sha512.New(), []byte(file.Password)),
		"NOT-BEFORE", leaf.NotBefore.UTC().Format(time.RFC3339), "NOT-AFTER", leaf.NotAfter.UTC().Format(time.RFC3339))
	a, err := txtar.ParseFile("testdata/module.txtar")
	w.must(err)
	for i := 0; i+1 < len(a.Files); i += 2 {
		name, want, _ := strings.Cut(a.Files[i].Name, ": ")
		text := strings.ReplaceAll(fill.Replace(string(a.Files[i].Data)), "\n", "\r\n")
		_, body, _ := strings.Cut(text, "\r\n\r\n")
		r, answer := w.raw([]byte(strings.Replace(text, "LENGTH", strconv.Itoa(len(body)), 1)))
		if strconv.Itoa(r.StatusCode) != want {
			t.Errorf("%s: got %d, want %s\n%s", name, r.StatusCode, want, answer)
		}
		for _, part := range strings.Split(strings.TrimSpace(fill.Replace(string(a.Files[i+1].Data))), "\n") {
			if !strings.Contains(answer, part) || want == "204" && answer != "" {
				t.Errorf("%s: got %s\nwant %s in it", name, answer, part)
			}
		}
		if r.Header.Get("request-id") == "" {
			t.Errorf("%s: no request-id", name)
		}
		if r.StatusCode >= 400 && !json.Valid([]byte(answer)) {
			t.Errorf("%s: the failure is no JSON: %s", name, answer)
		}
	}
	for _, secret := range []string{file.Password, w.token} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log has a secret in it")
		}
	}
}

// object is what is sent, with what differs from a good one.
type object map[string]any

// imports sends an object and gives status and code.
func (w *world) imports(o object) (int, string) {
	w.t.Helper()
	body, err := json.Marshal(o)
	w.must(err)
	return w.send(http.MethodPost, "/graph/beta/deviceManagement/userPfxCertificates", body)
}

func (w *world) send(method, path string, body []byte) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(body))
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(r)
	w.must(err)
	defer res.Body.Close()
	var f struct{ Error struct{ Code string } }
	w.must(json.NewDecoder(res.Body).Decode(&f))
	return res.StatusCode, f.Error.Code
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	file := testdata.History()[6]
	good := object{"thumbprint": cert.Thumbprint(w.leaf(file).Raw), "intendedPurpose": "smimeEncryption", "userPrincipalName": "ALICE@example.com",
		"providerName": provider, "keyName": keyName, "paddingScheme": "oaepSha256", "encryptedPfxBlob": file.Data,
		"encryptedPfxPassword": w.sealed(sha256.New(), []byte(file.Password))}
	for name, c := range map[string]struct {
		differs object
		status  int
		code    string
	}{
		"SHA-1":                 {object{"paddingScheme": "OaepSha1"}, 400, "padding_refused"},
		"PKCS #1 as a number":   {object{"paddingScheme": 1}, 400, "padding_refused"},
		"no padding":            {object{"paddingScheme": nil}, 400, "graph_object_invalid"},
		"an unknown padding":    {object{"paddingScheme": "oaepSha3"}, 400, "graph_object_invalid"},
		"a padding beyond":      {object{"paddingScheme": 6}, 400, "graph_object_invalid"},
		"another padding":       {object{"paddingScheme": 5}, 400, "oaep_decrypt_failed"},
		"another key":           {object{"keyName": "other"}, 400, "key_unknown"},
		"another provider":      {object{"providerName": "other"}, 400, "key_unknown"},
		"a password in clear":   {object{"encryptedPfxPassword": []byte(file.Password)}, 400, "oaep_decrypt_failed"},
		"no password":           {object{"encryptedPfxPassword": ""}, 400, "oaep_decrypt_failed"},
		"another password":      {object{"encryptedPfxPassword": w.sealed(sha256.New(), []byte("no"))}, 400, "pfx_password_wrong"},
		"no file":               {object{"encryptedPfxBlob": nil}, 400, "blob_not_pkcs12"},
		"text":                  {object{"encryptedPfxBlob": []byte("hello")}, 400, "blob_not_pkcs12"},
		"no base64":             {object{"encryptedPfxBlob": "%"}, 400, "graph_object_invalid"},
		"another certificate":   {object{"thumbprint": strings.Repeat("0", 40)}, 400, "thumbprint_mismatch"},
		"no thumbprint":         {object{"thumbprint": ""}, 400, "thumbprint_mismatch"},
		"nobody":                {object{"userPrincipalName": "nobody@example.com"}, 404, "user_unknown"},
		"no name":               {object{"userPrincipalName": ""}, 404, "user_unknown"},
		"VPN":                   {object{"intendedPurpose": "VPN"}, 400, "purpose_refused"},
		"Wi-Fi as a number":     {object{"intendedPurpose": 8}, 400, "purpose_refused"},
		"an unknown purpose":    {object{"intendedPurpose": 3}, 400, "graph_object_invalid"},
		"for signing only":      {object{"intendedPurpose": "SmimeSigning"}, 400, "pfx_not_encryption"},
		"more than is accepted": {object{"note": strings.Repeat("x", 2<<20)}, 413, "body_too_large"},
	} {
		o := maps.Clone(good)
		maps.Copy(o, c.differs)
		if status, code := w.imports(o); status != c.status || code != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, status, code, c.status, c.code)
		}
	}
	for _, body := range []string{"", "[]", "{", "null", "{}{}", strings.Repeat("[", 20000)} {
		if status, code := w.send(http.MethodPost, "/graph/beta/deviceManagement/userPfxCertificates", []byte(body)); status != 400 || code != "graph_object_invalid" {
			t.Errorf("%.10s: got %d %s, want 400 graph_object_invalid", body, status, code)
		}
	}
	good["@odata.type"], good["id"] = "#microsoft.graph.userPFXCertificate", "x" // what other clients add
	if status, code := w.imports(good); status != 201 {
		t.Errorf("the good one: got %d %s, want 201", status, code)
	}
}

// An update says what a certificate of two uses is held for.
func TestPurposeChanges(t *testing.T) {
	w := newWorld(t)
	f := sample(t, func(s testdata.Sample) bool {
		r, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), pfx.Default)
		if err != nil || len(r.Identities) != 1 {
			return false
		}
		use, _ := cert.Classify(r.Identities[0].Certificate)
		return use == cert.Both && !slices.ContainsFunc([]byte(s.Password), func(b byte) bool { return b > 127 })
	})
	o := object{"thumbprint": cert.Thumbprint(w.leaf(f).Raw), "userPrincipalName": "alice@example.com", "providerName": provider,
		"keyName": keyName, "paddingScheme": "oaepSha512", "encryptedPfxBlob": f.Data, "encryptedPfxPassword": w.sealed(sha512.New(), []byte(f.Password))}
	if status, code := w.imports(o); status != 201 {
		t.Fatalf("got %d %s, want 201", status, code)
	}
	path := "/graph/beta/deviceManagement/userPfxCertificates/alice@example.com-" + cert.Thumbprint(w.leaf(f).Raw)
	purpose := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		w.must(err)
		r.Header.Set("Authorization", "Bearer "+w.token)
		res, err := http.DefaultClient.Do(r)
		w.must(err)
		defer res.Body.Close()
		var c struct {
			Purpose string `json:"intendedPurpose"`
		}
		w.must(json.NewDecoder(res.Body).Decode(&c))
		return c.Purpose
	}
	for _, c := range []struct {
		body, want string
		status     int
	}{
		{`{}`, "unassigned", 200},
		{`{"intendedPurpose":"smimeEncryption"}`, "smimeEncryption", 200},
		{`{"userPrincipalName":"ALICE@example.com"}`, "smimeEncryption", 200},
		{`{"intendedPurpose":"SmimeSigning"}`, "smimeEncryption", 400},
		{`{"intendedPurpose":"wifi"}`, "smimeEncryption", 400},
		{`{"intendedPurpose":"Unassigned","userPrincipalName":"a+b@example.com"}`, "smimeEncryption", 409},
		{`{"intendedPurpose":0}`, "unassigned", 200},
	} {
		if status, code := w.send(http.MethodPatch, path, []byte(c.body)); status != c.status || purpose() != c.want {
			t.Errorf("%s: got %d %s and %s, want %d and %s", c.body, status, code, purpose(), c.status, c.want)
		}
	}
}

// A file with two keys is not what one thumbprint announces.
func TestSeveralIdentities(t *testing.T) {
	w := newWorld(t)
	f := sample(t, func(s testdata.Sample) bool { return s.Identities == 2 })
	status, code := w.imports(object{"thumbprint": cert.Thumbprint(w.leaf(f).Raw), "userPrincipalName": "alice@example.com", "providerName": provider,
		"keyName": keyName, "paddingScheme": "oaepSha512", "encryptedPfxBlob": f.Data, "encryptedPfxPassword": w.sealed(sha512.New(), []byte(f.Password))})
	if status != 400 || code != "pfx_multiple_identities" {
		t.Errorf("got %d %s, want 400 pfx_multiple_identities", status, code)
	}
}

// The module sends passwords in Latin-1, others in UTF-8.
func TestPasswordsThatAreNotASCII(t *testing.T) {
	for name, encode := range map[string]func(string) []byte{
		"UTF-8":   func(s string) []byte { return []byte(s) },
		"Latin-1": latin,
	} {
		w := newWorld(t)
		f := remade(t, "K\u00fc\u00df")
		status, code := w.imports(object{"thumbprint": cert.Thumbprint(w.leaf(f).Raw), "userPrincipalName": "alice@example.com", "providerName": provider,
			"keyName": keyName, "paddingScheme": 4, "encryptedPfxBlob": f.Data, "encryptedPfxPassword": w.sealed(crypto.SHA384.New(), encode(f.Password))})
		if status != 201 {
			t.Errorf("%s: got %d %s, want 201", name, status, code)
		}
	}
}

func latin(s string) (b []byte) {
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

// remade gives the newest file of the history under another password.
func remade(t *testing.T, password string) testdata.File {
	t.Helper()
	f := testdata.History()[6]
	key, leaf, chain, err := pkcs12.DecodeChain(f.Data, f.Password)
	if err != nil {
		t.Fatal(err)
	}
	data, err := pkcs12.Modern2023.Encode(key, leaf, chain, password)
	if err != nil {
		t.Fatal(err)
	}
	return testdata.File{Name: "remade.p12", Data: data, Password: password}
}

// sample gives a file of the corpus.
func sample(t *testing.T, fits func(testdata.Sample) bool) testdata.File {
	t.Helper()
	for _, s := range testdata.PFXCorpus() {
		if s.Outcome == "ok" && fits(s) {
			return s.File
		}
	}
	t.Fatal("the corpus has no such file")
	return testdata.File{}
}
