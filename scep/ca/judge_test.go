package ca_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep/ca"
)

// OpenSSL chains every certificate and takes it for its purpose.
func TestOpenSSLVerifies(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	root := pemFile(t, h.root.Certificate())
	device, mail := pemFile(t, h.device.Certificate()), pemFile(t, h.mail.Certificate())
	for name, c := range map[string]struct {
		cert          *x509.Certificate
		between       string
		purpose, want string
	}{
		"device identity":       {issue(t, h.device, identity(rsaKey(t, "leaf", 2048).Public())), device, "sslclient", "URI:urn:uuid:"},
		"mail signing, RSA":     {issue(t, h.mail, signing(rsaKey(t, "leaf", 2048).Public())), mail, "smimesign", "Policy: 1.3.6.1.4.1.32473.1"},
		"mail signing, EC":      {issue(t, h.mail, signing(ecKey(t, elliptic.P384()).Public())), mail, "smimesign", "email:alice@example.com"},
		"registration":          {h.ra, mail, "any", "Digital Signature, Key Encipherment"},
		"profile signer":        {h.signer, root, "any", "Digital Signature"},
		"TLS server":            {h.server, root, "sslserver", "IP Address:127.0.0.1"},
		"issuing CA of devices": {h.device.Certificate(), root, "any", "CA:TRUE, pathlen:0"},
	} {
		t.Run(name, func(t *testing.T) {
			file := pemFile(t, c.cert)
			judge.Run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", c.between, "-purpose", c.purpose, file)
			if text := judge.Run(t, nil, "openssl", "x509", "-in", file, "-noout", "-text"); !bytes.Contains(text, []byte(c.want)) {
				t.Errorf("openssl does not show %q:\n%s", c.want, text)
			}
		})
	}
	t.Run("not for another purpose", func(t *testing.T) {
		file := pemFile(t, issue(t, h.device, identity(rsaKey(t, "leaf", 2048).Public())))
		judge.Refuses(t, nil, "openssl", "verify", "-CAfile", root, "-untrusted", device, "-purpose", "smimesign", file)
	})
}

func TestUTF8Mailbox(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	r := signing(ecKey(t, elliptic.P256()).Public())
	r.Names.Mail = []string{"jürgen@example.com"}
	c := issue(t, h.mail, r)
	if got := cert.NamesOf(c).Mail; len(got) != 1 || got[0] != "jürgen@example.com" {
		t.Errorf("got addresses %q", got)
	}
	if text := judge.Run(t, nil, "openssl", "x509", "-in", pemFile(t, c), "-noout", "-ext", "subjectAltName"); !bytes.Contains(text, []byte("SmtpUTF8Mailbox")) {
		t.Errorf("openssl shows %s", text)
	}
}

// OpenSSL reads the list and refuses what is on it.
func TestCRL(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	good, bad := issue(t, h.mail, signing(rsaKey(t, "leaf", 2048).Public())), issue(t, h.mail, signing(rsaKey(t, "leaf", 2048).Public()))
	der := must[[]byte](t)(h.mail.CRL(ca.List{Number: 7, Revoked: []ca.Revocation{
		{Serial: cert.SerialOf(bad.SerialNumber), At: now.Add(-time.Minute), Reason: ca.KeyCompromise},
		{Serial: "7f00", At: now.Add(-time.Minute), Reason: ca.Unspecified},
	}}, now))
	dir := t.TempDir()
	file := filepath.Join(dir, "crl.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	text := judge.Run(t, nil, "openssl", "crl", "-in", file, "-noout", "-text", "-crlnumber", "-CAfile", pemFile(t, h.mail.Certificate(), h.root.Certificate()))
	for _, want := range []string{"Key Compromise", "crlNumber=0x07", "X509v3 Authority Key Identifier"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("openssl does not show %q:\n%s", want, text)
		}
	}
	if bytes.Count(text, []byte("CRL Reason Code")) != 1 {
		t.Errorf("unspecified is left out, but openssl shows:\n%s", text)
	}
	args := []string{"verify", "-crl_check", "-CAfile", pemFile(t, h.root.Certificate()), "-untrusted", pemFile(t, h.mail.Certificate()), "-CRLfile", file}
	judge.Run(t, nil, "openssl", append(args, pemFile(t, good))...)
	if said := judge.Refuses(t, nil, "openssl", append(args, pemFile(t, bad))...); !bytes.Contains(said, []byte("revoked")) {
		t.Errorf("openssl refuses for another reason:\n%s", said)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := list.NextUpdate.Sub(list.ThisUpdate); got != 7*24*time.Hour {
		t.Errorf("next update after %v, want 7 days", got)
	}
}
