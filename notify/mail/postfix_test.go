package mail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/judge"
	ours "github.com/signet-mdm/signet/notify/mail"
	"github.com/signet-mdm/signet/notify/mail/mailtest"
)

// postfix is a real mail server with a configuration, a queue and mailboxes of
// its own, that takes mails over STARTTLS only.
type postfix struct {
	t    *testing.T
	dir  string
	addr string
	ca   []byte
}

const postfixMain = `compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_cert_file = {dir}/cert.pem
smtpd_tls_key_file = {dir}/key.pem
smtpd_tls_security_level = encrypt
virtual_mailbox_domains = example.com
virtual_mailbox_base = {dir}/boxes
virtual_mailbox_maps = static:all/
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = 200000
smtpd_recipient_restrictions = check_recipient_access texthash:{dir}/recipients, permit_mynetworks, reject
`

const postfixMaster = `{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`

func startPostfix(t *testing.T) *postfix {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("postfix starts as root only")
	}
	judge.Need(t, "postfix", "python3", "openssl")
	dir, err := os.MkdirTemp("", "signet-postfix-") // t.TempDir is closed to Postfix's own user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfix{t: t, dir: dir}
	p.prepare()
	judge.Run(t, nil, "postfix", "-c", dir, "start")
	t.Cleanup(func() { judge.Run(t, nil, "postfix", "-c", dir, "stop") })
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			c.Close()
			return p
		}
		if time.Now().After(until) {
			t.Fatalf("postfix does not answer: %v\n%s", err, p.log())
		}
	}
}

func (p *postfix) prepare() {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = l.Addr().String()
	l.Close()
	put := strings.NewReplacer("{dir}", p.dir, "{port}", p.addr)
	cert, key := pair(p.t)
	p.ca = cert
	for name, text := range map[string]string{"main.cf": put.Replace(postfixMain), "master.cf": put.Replace(postfixMaster),
		"cert.pem": string(cert), "key.pem": string(key), "recipients": "nobody@example.com REJECT no such person\nlater@example.com DEFER come back\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, name := range []string{"queue", "data", "boxes"} {
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	judge.Run(p.t, nil, "chown", "postfix", filepath.Join(p.dir, "data"))
	judge.Run(p.t, nil, "chown", "65534:65534", filepath.Join(p.dir, "boxes"))
	if err := os.Chmod(p.dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// pair makes a certificate for 127.0.0.1.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.com"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func (p *postfix) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// delivered waits for that many mails and gives them, oldest first.
func (p *postfix) delivered(n int) [][]byte {
	p.t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(p.dir, "boxes", "all", "new", "*"))
		if err != nil {
			p.t.Fatal(err)
		}
		if len(files) < n {
			if time.Now().After(until) {
				p.t.Fatalf("%d mails were delivered, want %d\n%s", len(files), n, p.log())
			}
			continue
		}
		var list [][]byte
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				p.t.Fatal(err)
			}
			list = append(list, data)
		}
		return list
	}
}

// parse has Python read a mail: its headers, its parts with their texts, and
// everything that is wrong with it.
const parse = `
import sys, email, email.policy, json, hashlib
m = email.message_from_string(sys.stdin.buffer.read().decode("utf-8"), policy=email.policy.SMTPUTF8)
parts, defects = [], [str(d) for d in m.defects]
for p in m.walk():
    defects += [str(d) for d in p.defects]
    for h in p.values():
        defects += [str(d) for d in getattr(h, "defects", [])]
    if not p.is_multipart():
        c = p.get_content()
        parts.append({"type": p.get_content_type(), "id": p.get("Content-ID", ""), "disposition": p.get_content_disposition() or "",
            "text": c if isinstance(c, str) else hashlib.sha256(c).hexdigest()})
to = m["To"].addresses[0]
print(json.dumps({"from": m["From"].addresses[0].addr_spec, "to": to.addr_spec, "name": to.display_name, "subject": m["Subject"], "id": m["Message-ID"],
    "auto": m["Auto-Submitted"], "type": m.get_content_type(), "parts": parts, "defects": defects}))
`

// parsed is what Python says.
type parsed struct {
	From, To, Name, Subject, ID, Auto, Type string
	Parts                                   []struct{ Type, ID, Disposition, Text string }
	Defects                                 []string
}

func read(t *testing.T, mail []byte) (m parsed) {
	t.Helper()
	if err := json.Unmarshal(judge.Run(t, mail, "python3", "-c", parse), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// A real mail server takes our mails over STARTTLS, delivers them, and another
// program reads in them what we wrote.
func TestPostfix(t *testing.T) {
	p := startPostfix(t)
	s := client(t, p.addr, p.ca, nil)
	foreign := letter
	foreign.To, foreign.ID, foreign.Name, foreign.Pictures = "jörg@example.com", "0199-b@mdm.example.org", "", nil
	said, err := send(t, s, letter, foreign)
	if err != nil || !strings.Contains(said, "queued as") {
		t.Fatalf("got %q, %v\n%s", said, err, p.log())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, root := signer(t, "signet@example.org", key)
	signed := letter
	signed.ID = "0199-c@mdm.example.org"
	if _, err := send(t, client(t, p.addr, p.ca, func(c *ours.Config) { c.Signer = pair }), signed); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(ca, root, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range p.delivered(3) {
		m := read(t, data)
		if m.Type == "multipart/signed" {
			judge.Run(t, data, "openssl", "cms", "-verify", "-CAfile", ca, "-purpose", "smimesign")
			if m.ID != "<"+signed.ID+">" || len(m.Parts) != 4 || m.Parts[0].Text != letter.Text || m.Parts[2].ID != "<qr.png>" {
				t.Errorf("got %+v", m)
			}
			continue
		}
		m.Defects = slices.DeleteFunc(m.Defects, func(d string) bool { // RFC 6532 allows them
			return m.To == foreign.To && strings.HasPrefix(d, "local-part contains non-ASCII characters")
		})
		if len(m.Defects) > 0 || m.From != "signet@example.org" || m.Subject != letter.Subject || m.Auto != "auto-generated" {
			t.Errorf("got %+v", m)
		}
		if !strings.Contains(string(data), "with ESMTPS") && !strings.Contains(string(data), "with UTF8SMTPS") {
			t.Errorf("it came without TLS:\n%s", data)
		}
		if m.ID == "<"+foreign.ID+">" {
			if m.To != foreign.To || len(m.Parts) != 2 {
				t.Errorf("got %+v", m)
			}
			continue
		}
		want := []struct{ Type, ID, Disposition, Text string }{
			{"text/plain", "", "", letter.Text}, {"text/html", "", "", letter.HTML},
			{"image/png", "<qr.png>", "inline", fmt.Sprintf("%x", sha256.Sum256(letter.Pictures[0].PNG))}}
		for i := range m.Parts {
			m.Parts[i].Text = strings.TrimSuffix(m.Parts[i].Text, "\n")
			want[i].Text = strings.TrimSuffix(want[i].Text, "\n")
		}
		if diff := cmp.Diff(want, m.Parts); diff != "" || m.To != letter.To || m.Name != letter.Name || m.ID != "<"+letter.ID+">" || m.Type != "multipart/related" {
			t.Errorf("got %+v\n%s", m, diff)
		}
	}
	for to, want := range map[string]int{"nobody@example.com": 554, "later@example.com": 450} {
		l := letter
		l.To = to
		if _, err := send(t, s, l); err == nil {
			t.Errorf("%s was taken", to)
		} else if code, text := reply(err); code != want || text == "" {
			t.Errorf("%s: got %v, want %d", to, err, want)
		}
	}
	big := letter
	big.Text = strings.Repeat("a long text\n", 30_000)
	if _, err := send(t, s, big); err == nil {
		t.Error("a mail beyond its limit was taken")
	} else if code, _ := reply(err); code != 552 {
		t.Errorf("beyond its limit: got %v, want 552", err)
	}
	other := listen(t, mailtest.Behaviour{})
	if _, err := send(t, client(t, p.addr, other.CA, nil), letter); err == nil {
		t.Error("a certificate that nobody vouches for was accepted")
	}
	if out, err := exec.Command("postqueue", "-c", p.dir, "-p").CombinedOutput(); err != nil || !strings.Contains(string(out), "empty") {
		t.Errorf("the queue: %s, %v", out, err)
	}
}
