package ca_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep/ca"
)

// OpenSSL reads all that a profile can ask for.
func TestOpenSSLReadsProfiles(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	full := signing(ecKey(t, elliptic.P256()).Public())
	full.Names = ca.Names{
		Subject: must[cert.DN](t)(cert.ParseDN(`CN="Example, Alice \"A\" + <B>=\\",E=alice@example.com,OU=Mail+UID=7,O=Müller & Co,C=DE`)),
		Mail:    []string{"alice@example.com", "jürgen@xn--bcher-kva.example"}, UPN: []string{"alice@corp.example"},
		Hosts: []string{"phone.example.com"}, URIs: []string{"tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104"},
	}
	full.Usage, full.Extended, full.NoAIA = x509.KeyUsageContentCommitment, []string{"1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2"}, true
	c := issue(t, h.mail, full)
	file := pemFile(t, c)
	text := judge.Run(t, nil, "openssl", "x509", "-in", file, "-noout", "-text", "-nameopt", "RFC2253,-esc_msb,utf8")
	for _, want := range []string{
		`Subject: CN=Example\, Alice \"A\" \+ \<B\>=\\,emailAddress=alice@example.com,`, "O=Müller & Co,C=DE",
		"email:alice@example.com", "SmtpUTF8Mailbox", "phone.example.com", "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104",
		"Digital Signature, Non Repudiation", "E-mail Protection, TLS Web Client Authentication, Microsoft Smartcard Login", "Policy: 1.3.6.1.4.1.32473.1",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("openssl does not show %q:\n%s", want, text)
		}
	}
	if bytes.Contains(text, []byte("CA Issuers")) {
		t.Errorf("the CA's address was to be left out:\n%s", text)
	}
	judge.Run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", pemFile(t, h.root.Certificate()),
		"-untrusted", pemFile(t, h.mail.Certificate()), "-purpose", "smimesign", file)
	name := must[cert.DN](t)(cert.DNOf(c.RawSubject))
	if attribute, differs := cert.SubjectDiffers(name, full.Names.Subject); differs {
		t.Errorf("%s of the subject differs: %s", attribute, name)
	}
	got := must[cert.AltNames](t)(cert.AltNamesOf(c.Extensions))
	want := cert.AltNames{Mail: full.Names.Mail, UPN: full.Names.UPN, DNS: full.Names.Hosts, URI: full.Names.URIs}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestOpenSSLTakesEncryption(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	for name, c := range map[string]struct {
		key  any
		want string
	}{
		"RSA": {rsaKey(t, "leaf", 2048).Public(), "Key Encipherment"},
		"EC":  {ecKey(t, elliptic.P256()).Public(), "Key Agreement"},
	} {
		r := signing(c.key)
		r.Kind = ca.MailEncryption
		made := issue(t, h.mail, r)
		if use, why := cert.Classify(made); use != cert.Encryption {
			t.Errorf("%s: it is for %s: %s", name, use, why)
		}
		file := pemFile(t, made)
		if text := judge.Run(t, nil, "openssl", "x509", "-in", file, "-noout", "-ext", "keyUsage"); !bytes.Contains(text, []byte(c.want)) {
			t.Errorf("%s: openssl shows %s", name, text)
		}
		// Quirk: OpenSSL 3.0 wants keyEncipherment of EC certificates too.
		if name == "RSA" {
			judge.Run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", pemFile(t, h.root.Certificate()),
				"-untrusted", pemFile(t, h.mail.Certificate()), "-purpose", "smimeencrypt", file)
		}
	}
}
