package profile_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm/profile"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestEncodeGolden(t *testing.T) {
	for name, p := range frames() {
		t.Run(name, func(t *testing.T) {
			got := readable(encode(t, fill(p)))
			golden := filepath.Join("testdata", name+".mobileconfig")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// readable puts each element on a line of its own, for diffs.
func readable(xml []byte) []byte { return bytes.ReplaceAll(xml, []byte("><"), []byte(">\n<")) }

func TestEncodeIsReadByOthers(t *testing.T) {
	judge.Need(t, "plistutil")
	for name, p := range frames() {
		t.Run(name, func(t *testing.T) {
			xml := encode(t, fill(p))
			back := judge.Run(t, judge.Run(t, xml, "plistutil", "-f", "bin", "-i", "-"), "plistutil", "-f", "xml", "-i", "-")
			payloads := contents(t, back)
			if len(payloads) != len(p.Payloads) {
				t.Fatalf("got %d payloads, want %d", len(payloads), len(p.Payloads))
			}
			for i, payload := range payloads {
				if got, want := payload.(map[string]any)["PayloadType"], p.Payloads[i].Type(); got != want {
					t.Errorf("payload %d is %v, want %v", i, got, want)
				}
			}
		})
	}
}

func contents(t *testing.T, xml []byte) []any {
	t.Helper()
	var got map[string]any
	if err := plist.Unmarshal(xml, &got, plist.Upload); err != nil {
		t.Fatal(err)
	}
	list, _ := got["PayloadContent"].([]any)
	return list
}

func TestSealOpensOnTheDeviceOnly(t *testing.T) {
	judge.Need(t, "openssl", "plistutil")
	d := device()
	p := fill(of(exchange(), scep(), pkcs12()))
	xml, err := p.Seal(d.cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"PASSWORD", "CHALLENGE", "alice@example.com", "com.apple.eas.account"} {
		if bytes.Contains(xml, []byte(secret)) {
			t.Errorf("%q stands in the clear", secret)
		}
	}
	judge.Run(t, xml, "plistutil", "-f", "bin", "-i", "-")
	var outer struct {
		PayloadType, PayloadIdentifier string
		IsEncrypted                    bool
		EncryptedPayloadContent        []byte
		PayloadContent                 any
	}
	if err := plist.Unmarshal(xml, &outer, plist.Upload); err != nil {
		t.Fatal(err)
	}
	if !outer.IsEncrypted || outer.PayloadContent != nil || outer.PayloadType != "Configuration" || outer.PayloadIdentifier != base {
		t.Errorf("got %+v", outer)
	}
	opened := judge.Run(t, outer.EncryptedPayloadContent, "openssl", "cms", "-decrypt", "-inform", "DER", "-binary",
		"-recip", file(t, d.certPEM), "-inkey", file(t, d.keyPEM))
	var got, want []any
	if err := plist.Unmarshal(opened, &got, plist.Upload); err != nil {
		t.Fatal(err)
	}
	want = contents(t, encode(t, p))
	if len(got) != 3 || len(want) != 3 {
		t.Fatalf("got %d payloads, want 3", len(got))
	}
	if again, _ := plist.Marshal(want); !bytes.Equal(opened, again) {
		t.Errorf("sealed payloads differ from clear ones:\n%s\n%s", opened, again)
	}
}

func TestSignIsVerifiedByOthers(t *testing.T) {
	judge.Need(t, "openssl")
	d := device()
	xml := encode(t, of(root()))
	signed, err := profile.Sign(xml, cms.Signer{Certificate: d.cert, Key: d.key})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"smime", "cms"} {
		got := judge.Run(t, signed, "openssl", tool, "-verify", "-inform", "DER", "-binary", "-CAfile", file(t, d.certPEM), "-purpose", "any")
		if !bytes.Equal(got, xml) {
			t.Errorf("openssl %s gives other content", tool)
		}
	}
}

func TestUserValuesStayStrings(t *testing.T) {
	judge.Need(t, "plistutil")
	for _, name := range []string{
		`</string><key>PayloadType</key><string>com.apple.mdm`, `]]><!--`, `&lol;`, "\u202Egpj", "a\r\nb", strings.Repeat("ü", 64<<10), "😀",
	} {
		c := webClip()
		c.Label = name
		xml := encode(t, of(c))
		judge.Run(t, xml, "plistutil", "-f", "bin", "-i", "-")
		got := contents(t, xml)[0].(map[string]any)
		if got["Label"] != name || got["PayloadType"] != "com.apple.webClip.managed" || len(got) != 8+2 {
			t.Errorf("%.40q became %.80v", name, got)
		}
	}
}

func TestUUID(t *testing.T) {
	if got, want := profile.UUID("com.example.signet"), "2CCF1B4F-52C0-5CF8-9BAF-FBADCA0E70A5"; got != want {
		t.Errorf("got %s, want %s: it must stay for ever", got, want)
	}
	if profile.UUID("a", "b") == profile.UUID("ab") || profile.UUID("ab", "c") == profile.UUID("a", "bc") {
		t.Error("two names share a UUID")
	}
	if profile.UUID() == profile.UUID("") {
		t.Error("no name and the empty name share a UUID")
	}
}

func encode(t *testing.T, p profile.Profile) []byte {
	t.Helper()
	xml, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return xml
}

type identity struct {
	key             *rsa.PrivateKey
	cert            *x509.Certificate
	keyPEM, certPEM []byte
}

var device = sync.OnceValue(func() identity {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "device"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return identity{
		key: key, cert: c,
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
})

func file(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSealCarriesAccountPasswords(t *testing.T) {
	d := device()
	e, m, l := exchange(), imap(), ldap()
	e.OAuth, e.Host = false, "eas.example.com"
	e.Password, l.Password = seal.SecretString("one"), seal.SecretString("two")
	m.IncomingPassword, m.OutgoingPassword = seal.SecretString("three"), seal.SecretString("four")
	xml, err := fill(of(e, m, l, scep(), pkcs12())).Seal(d.cert)
	if err != nil {
		t.Fatal(err)
	}
	var outer struct{ EncryptedPayloadContent []byte }
	if err := plist.Unmarshal(xml, &outer, plist.Upload); err != nil {
		t.Fatal(err)
	}
	opened, err := cms.Decrypt(outer.EncryptedPayloadContent, d.cert, d.key, cms.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := plist.Unmarshal(opened, &got, plist.Upload); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		payload    int
		key, value string
	}{
		{0, "Password", "one"}, {2, "LDAPAccountPassword", "two"},
		{1, "IncomingPassword", "three"}, {1, "OutgoingPassword", "four"},
		{4, "Password", "PASSWORD"},
	} {
		if got[want.payload][want.key] != want.value {
			t.Errorf("payload %d: %s is %v, want %q", want.payload, want.key, got[want.payload][want.key], want.value)
		}
	}
}

func TestSealRefusesADeviceWithoutRSA(t *testing.T) {
	c, err := x509.ParseCertificate(rootDER) // an EC key
	if err != nil {
		t.Fatal(err)
	}
	if _, err := of(root()).Seal(c); !errors.Is(err, cms.ErrAlgorithm) {
		t.Errorf("got %v, want %v", err, cms.ErrAlgorithm)
	}
}
