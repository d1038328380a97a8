package cert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
)

// OpenSSL writes the certificate, so that the names are not only what we think.
func opensslCertificate(t *testing.T, subject string, altNames ...string) *x509.Certificate {
	t.Helper()
	judge.Need(t, "openssl")
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	text := "[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nsubjectAltName=@alt\n[alt]\n"
	for i, name := range altNames {
		kind, value, _ := strings.Cut(name, ":")
		text += fmt.Sprintf("%s.%d=%s\n", kind, i, value)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := judge.Run(t, nil, "openssl", "req", "-x509", "-config", conf, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-noenc", "-keyout", filepath.Join(dir, "key"), "-subj", subject, "-utf8")
	block, _ := pem.Decode(out)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamesOf(t *testing.T) {
	const (
		upn  = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:"
		utf8 = "otherName:1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:"
	)
	for name, c := range map[string]struct {
		subject string
		alt     []string
		want    cert.Names
	}{
		"mail":                {"/CN=Alice", []string{"email:Alice@Example.COM"}, cert.Names{Mail: []string{"alice@example.com"}}},
		"the common name not": {"/CN=bob@example.com", []string{"DNS:example.com"}, cert.Names{}},
		"subject":             {"/CN=x/emailAddress=Old@example.com", []string{"DNS:example.com"}, cert.Names{Mail: []string{"old@example.com"}}},
		"each once": {"/emailAddress=a@example.com", []string{"email:A@example.com", "email:b@example.com"},
			cert.Names{Mail: []string{"a@example.com", "b@example.com"}}},
		"UPN":           {"/CN=x", []string{upn + "Alice@corp.example"}, cert.Names{UPN: []string{"alice@corp.example"}}},
		"UTF-8 mailbox": {"/CN=x", []string{utf8 + "jörg@example.com"}, cert.Names{Mail: []string{"jörg@example.com"}}},
		"both kinds": {"/CN=x", []string{"email:a@example.com", upn + "a@example.com", upn + "a@corp.example"},
			cert.Names{Mail: []string{"a@example.com"}, UPN: []string{"a@example.com", "a@corp.example"}}},
		"another otherName": {"/CN=x", []string{"otherName:1.2.3.4;UTF8:a@example.com"}, cert.Names{}},
		"UPN as IA5":        {"/CN=x", []string{"otherName:1.3.6.1.4.1.311.20.2.3;IA5:a@example.com"}, cert.Names{}},
		"no address":        {"/emailAddress=Alice", []string{"email:alice"}, cert.Names{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cert.NamesOf(opensslCertificate(t, c.subject, c.alt...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllNames(t *testing.T) {
	n := cert.Names{Mail: []string{"a@example.com"}, UPN: []string{"a@example.com", "a@corp.example"}}
	if diff := cmp.Diff([]string{"a@example.com", "a@corp.example"}, n.All()); diff != "" {
		t.Error(diff)
	}
}

func TestFloodOfNames(t *testing.T) {
	for count, want := range map[int]int{256: 256, 257: 0, 5000: 0} {
		var list []string
		for i := range count {
			list = append(list, fmt.Sprintf("u%d@example.com", i))
		}
		if got := len(cert.NamesOf(certificate(t, x509.Certificate{EmailAddresses: list})).Mail); got != want {
			t.Errorf("%d names: got %d, want %d", count, got, want)
		}
	}
}

// FuzzNames reads the extension of a stranger's certificate.
func FuzzNames(f *testing.F) {
	f.Add([]byte{0x30, 0x00}, "a@example.com")
	f.Add([]byte("\x30\x0f\x81\x0da@example.com"), "")
	f.Add([]byte("\x30\x1f\xa0\x1d\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x0f\x0c\x0da@example.com"), "x")
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, "\x00@example.com")
	f.Fuzz(func(t *testing.T, der []byte, subject string) {
		c := &x509.Certificate{
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}},
			Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: subject}}},
		}
		all := cert.NamesOf(c).All()
		if len(all) > 257 {
			t.Errorf("%d names", len(all))
		}
		for _, name := range all {
			if strings.ContainsAny(name, "\x00\r\n<> ") || strings.Count(name, "@") != 1 {
				t.Errorf("%q is no address", name)
			}
		}
	})
}
