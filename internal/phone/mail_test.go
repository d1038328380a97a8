package phone_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

// mailer gives a phone with a working S/MIME account.
func mailer(t *testing.T) (*server, *phone.Phone) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	s.scep.email = "alice@example.com"
	if r := s.install(p, xml(t, s.mailSetup(nil))); r["Status"] != "Acknowledged" {
		t.Fatalf("got %v %s", r["Status"], chain(r))
	}
	return s, p
}

func TestReadMail(t *testing.T) {
	judge.Need(t, "openssl")
	_, p := mailer(t)
	id := p.Accounts()[0].SMIME.Encryption.Certificate
	body := []byte("Content-Type: text/plain\r\n\r\nThe contract of 2019.\r\n")
	stranger := certify("Stranger", newAuthority().caKey, nil, newAuthority().caKey)
	for name, args := range map[string][]string{
		"3DES":         {"-des3"},
		"AES-128":      {"-aes128"},
		"AES-192":      {"-aes192"},
		"AES-256":      {"-aes256"},
		"key id":       {"-aes256", "-keyid"},
		"BER":          {"-aes128", "-stream"},
		"OAEP SHA-1":   {"-aes256", "-keyopt", "rsa_padding_mode:oaep"},
		"OAEP SHA-256": {"-aes256", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha256"},
		"RC2-128":      {"-rc2-128", "-provider", "legacy", "-provider", "default"},
		"RC2-40":       {"-rc2-40", "-provider", "legacy", "-provider", "default"},
	} {
		t.Run(name, func(t *testing.T) {
			eml := judge.Run(t, body, "openssl", append([]string{
				"cms", "-encrypt", "-subject", "old mail", "-from", "bob@example.com", "-recip", certPEM(t, stranger), "-recip", certPEM(t, id),
			}, args...)...)
			plain, used, err := p.ReadMail(eml)
			if err != nil || !bytes.Contains(plain, []byte("The contract of 2019.")) || !used.Equal(id) {
				t.Errorf("got %q, %v", plain, err)
			}
		})
	}
	t.Run("for someone else", func(t *testing.T) {
		eml := judge.Run(t, body, "openssl", "cms", "-encrypt", "-aes256", "-recip", certPEM(t, stranger))
		if _, _, err := p.ReadMail(eml); !errors.Is(err, phone.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
	})
	t.Run("in clear", func(t *testing.T) {
		if _, _, err := p.ReadMail([]byte("Content-Type: text/plain\r\n\r\nhello")); !errors.Is(err, phone.ErrNotSealed) {
			t.Errorf("got %v, want ErrNotSealed", err)
		}
	})
}

func TestMailHeaders(t *testing.T) {
	judge.Need(t, "openssl")
	id := identity("Alice", newAuthority().raKey)
	seal := func(cipher string) []byte {
		return judge.Run(t, []byte("hello"), "openssl", "cms", "-encrypt", "-outform", "DER", cipher, "-recip", certPEM(t, id.Certificate))
	}
	cbc, gcm := seal("-aes256"), seal("-aes-256-gcm")
	signed := judge.Run(t, []byte("hello"), "openssl", "cms", "-sign", "-nodetach", "-outform", "DER", "-signer", keyPEM(t, id.Key, id.Certificate))
	for name, c := range map[string]struct {
		kind string
		cms  []byte
		want error
	}{
		"as written today":     {`application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"`, cbc, nil},
		"authenticated":        {`application/pkcs7-mime; smime-type=authEnveloped-data`, gcm, nil},
		"old type":             {`application/x-pkcs7-mime; name=smime.p7m`, cbc, nil},
		"old type, with kind":  {`application/x-pkcs7-mime; smime-type="enveloped-data"`, cbc, nil},
		"no smime-type":        {`application/pkcs7-mime`, cbc, nil},
		"none, authenticated":  {`application/x-pkcs7-mime`, gcm, nil},
		"capitals":             {`Application/PKCS7-MIME; SMIME-Type=Enveloped-Data`, cbc, nil},
		"small letters":        {`application/pkcs7-mime; smime-type=authenveloped-data`, gcm, nil},
		"folded":               {"application/pkcs7-mime;\r\n\tname=\"smime.p7m\";\r\n\tsmime-type=enveloped-data", cbc, nil},
		"the other kind named": {`application/pkcs7-mime; smime-type=enveloped-data`, gcm, nil},
		"signed":               {`application/pkcs7-mime; smime-type=signed-data`, signed, phone.ErrNotSealed},
		"signed, not said":     {`application/x-pkcs7-mime`, signed, phone.ErrNotSealed},
		"another type":         {`application/pkcs7-signature`, cbc, phone.ErrNotSealed},
	} {
		t.Run(name, func(t *testing.T) {
			head := "Content-Type: " + c.kind + "\r\nContent-Transfer-Encoding: "
			for _, eml := range []string{
				head + "BASE64\r\n\r\n" + base64.StdEncoding.EncodeToString(c.cms), head + "binary\r\n\r\n" + string(c.cms),
			} {
				plain, _, err := phone.ReadMail([]byte(eml), []phone.Identity{id})
				if !errors.Is(err, c.want) || (err == nil) != bytes.Contains(plain, []byte("hello")) {
					t.Errorf("got %q, %v, want %v", plain, err, c.want)
				}
			}
		})
	}
}

func TestSignMail(t *testing.T) {
	judge.Need(t, "openssl")
	s, p := mailer(t)
	eml, err := p.SignMail("alice@example.com", "bob@example.com", "Grüße", "Hello Bob,\nthis is signed: äöü.\n")
	if err != nil {
		t.Fatal(err)
	}
	signer := filepath.Join(t.TempDir(), "signer.pem")
	out := judge.Run(t, eml, "openssl", "cms", "-verify", "-CAfile", certPEM(t, s.auth.root), "-purpose", "smimesign", "-signer", signer)
	if !bytes.Contains(out, []byte("this is signed: äöü.")) {
		t.Errorf("openssl read %q", out)
	}
	pem, err := os.ReadFile(signer)
	if err != nil {
		t.Fatal(err)
	}
	if text := judge.Run(t, pem, "openssl", "x509", "-noout", "-text"); !bytes.Contains(text, []byte("email:alice@example.com")) {
		t.Errorf("signed by\n%s", text)
	}
	certs := judge.Run(t, eml, "openssl", "cms", "-verify", "-noverify", "-certsout", "/dev/stdout", "-out", "/dev/null")
	if n := bytes.Count(certs, []byte("BEGIN CERTIFICATE")); n != 4 {
		t.Errorf("got %d certificates, want signer, CA, root and the encryption certificate", n)
	}
	judge.Refuses(t, bytes.Replace(eml, []byte("Hello Bob"), []byte("Hello Eve"), 1), "openssl", "cms", "-verify", "-noverify")
}

func TestMailRefusesToSign(t *testing.T) {
	now := time.Now()
	clock := now
	for name, c := range map[string]struct {
		account map[string]any
		email   string // in the certificate
		from    string
		later   time.Duration
		want    error
	}{
		"another account":     {nil, "alice@example.com", "bob@example.com", 0, phone.ErrNoAccount},
		"a name as well":      {nil, "alice@example.com", "Alice <alice@example.com>", 0, phone.ErrNoAccount},
		"header injection":    {nil, "alice@example.com", "alice@example.com\r\nBcc: x@example.com", 0, phone.ErrNoAccount},
		"signing off":         {map[string]any{"SMIMESigningEnabled": false}, "alice@example.com", "alice@example.com", 0, phone.ErrNoSigning},
		"someone else's":      {nil, "carol@example.com", "alice@example.com", 0, phone.ErrWrongOwner},
		"not a mail identity": {map[string]any{"SMIMESigningCertificateUUID": uuid(12)}, "alice@example.com", "alice@example.com", 0, phone.ErrWrongOwner},
		"expired":             {nil, "alice@example.com", "alice@example.com", 400 * 24 * time.Hour, phone.ErrCannotSign},
		"in another case":     {nil, "Alice@Example.com", "alice@example.com", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			clock = now
			p := s.enrolled(phone.Config{Now: func() time.Time { return clock }})
			s.scep.email = c.email
			if r := s.install(p, xml(t, s.mailSetup(c.account))); r["Status"] != "Acknowledged" {
				t.Fatalf("got %v %s", r["Status"], chain(r))
			}
			clock = now.Add(c.later)
			if _, err := p.SignMail(c.from, "bob@example.com", "x", "x"); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSubjectCannotInject(t *testing.T) {
	_, p := mailer(t)
	eml, err := p.SignMail("alice@example.com", "bob@example.com", "x\r\nBcc: eve@example.com", "body")
	if err != nil {
		t.Fatal(err)
	}
	if head, _, _ := strings.Cut(string(eml), "\r\n\r\n"); strings.Contains(head, "\nBcc") {
		t.Errorf("the subject made a header:\n%s", head)
	}
}
