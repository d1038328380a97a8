package scep_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/scep"
)

// authorities is what strongSwan makes of GetCACert.
type authorities struct{ root, issuing, ra string }

func strongSwanCA(t *testing.T, url string) authorities {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	judge.Run(t, nil, "pki", "--scepca", "--url", url, "--caout", at("ca.der"), "--raout", at("ra.der"), "--force")
	a := authorities{ra: at("ra.der")}
	files := must(filepath.Glob(at("ca*.der")))(t)
	for _, name := range files {
		c := must(x509.ParseCertificate(must(os.ReadFile(name))(t)))(t)
		if c.CheckSignatureFrom(c) == nil {
			a.root = name
		} else {
			a.issuing = name
		}
	}
	if a.root == "" || a.issuing == "" {
		t.Fatalf("strongSwan found %v", files)
	}
	return a
}

// enroll asks as strongSwan does, with a key of its own and args for the rest.
func (a authorities) enroll(t *testing.T, url string, key []byte, args ...string) *x509.Certificate {
	t.Helper()
	all := append([]string{"--scep", "--url", url, "--in", file(t, "key.der", key), "--dn", "C=US, O=Other, CN=somebody",
		"--san", "mallory@example.com", "--cacert-enc", a.ra, "--cacert-sig", a.ra, "--cacert", a.issuing, "--cacert", a.root}, args...)
	return must(x509.ParseCertificate(judge.Run(t, nil, "pki", all...)))(t)
}

func newKey(t *testing.T) []byte {
	return judge.Run(t, nil, "pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "der")
}

// strongSwan fetches the authorities, enrolls and renews.
func TestStrongSwan(t *testing.T) {
	judge.Need(t, "pki", "openssl")
	for _, profile := range []string{scep.DeviceIdentity, scep.MailSigning} {
		t.Run(profile, func(t *testing.T) {
			w := newWorld(t, func(c *scep.Config) {
				p := profiles(c)
				p[0].RenewWithin, p[1].RenewWithin = p[0].Life, p[1].Life
			})
			url := w.serve(profile)
			a := strongSwanCA(t, url)
			key := newKey(t)
			c := a.enroll(t, url, key, "--password", w.challenge(profile).RevealString())
			w.judge(a, profile, c)
			next := newKey(t)
			renewed := a.enroll(t, url, next, "--cert", file(t, "old.der", c.Raw), "--key", file(t, "old-key.der", key))
			w.judge(a, profile, renewed)
			if renewed.Equal(c) || w.certificates() != 2 {
				t.Errorf("%d certificates on record, want 2", w.certificates())
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		url := w.serve(scep.MailSigning)
		a := strongSwanCA(t, url)
		said := judge.Refuses(t, nil, "pki", "--scep", "--url", url, "--in", file(t, "key.der", newKey(t)), "--dn", "CN=x", "--password", "WRONG",
			"--cacert-enc", a.ra, "--cacert-sig", a.ra, "--cacert", a.issuing, "--cacert", a.root)
		if !contains(said, "badRequest") {
			t.Errorf("strongSwan says:\n%s", said)
		}
	})
}

// judge lets OpenSSL chain c and looks at whom it names.
func (w *world) judge(a authorities, profile string, c *x509.Certificate) {
	w.t.Helper()
	purpose := "smimesign"
	if profile == scep.DeviceIdentity {
		purpose = "sslclient"
		if h, err := cert.HolderOf(c); err != nil || h != (cert.Holder{User: w.user.ID, Device: w.device.ID}) {
			w.t.Errorf("the identity is of %v, %v", h, err)
		}
	} else if len(c.EmailAddresses) != 1 || c.EmailAddresses[0] != w.user.Mail {
		w.t.Errorf("the certificate is for %v", c.EmailAddresses)
	}
	root, issuing := must(os.ReadFile(a.root))(w.t), must(os.ReadFile(a.issuing))(w.t)
	judge.Run(w.t, nil, "openssl", "verify", "-x509_strict", "-purpose", purpose,
		"-CAfile", pemFile(w.t, must(x509.ParseCertificate(root))(w.t)), "-untrusted", pemFile(w.t, must(x509.ParseCertificate(issuing))(w.t)), pemFile(w.t, c))
}

// OpenSSL verifies a CertRep and opens its envelope.
func TestOpenSSLReadsTheReply(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}.defaults()
	got := w.send(a)
	root := pemFile(t, theHouse().root.Certificate())
	inner := judge.Run(t, got.raw, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-CAfile", root, "-purpose", "any")
	key := file(t, "key.der", must(x509.MarshalPKCS8PrivateKey(a.from.key))(t))
	bag := judge.Run(t, inner, "openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", key, "-keyform", "DER")
	text := judge.Run(t, bag, "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout")
	if !contains(text, "Alice Example") {
		t.Errorf("openssl finds:\n%s", text)
	}
	if structure := judge.Run(t, inner, "openssl", "cms", "-cmsout", "-print", "-inform", "DER"); !contains(structure, "aes-128-cbc") {
		t.Errorf("not AES-128:\n%s", structure)
	}
	if outer := judge.Run(t, got.raw, "openssl", "cms", "-cmsout", "-print", "-inform", "DER"); !contains(outer, "algorithm: rsaEncryption (1.2.840.113549.1.1.1)") {
		t.Error("the signature algorithm is not rsaEncryption")
	}
}

// The simulated iPhone enrolls, by POST and by the GET of two versions.
func TestPhone(t *testing.T) {
	for name, c := range map[string]struct {
		os      string
		getOnly bool
	}{"POST": {"18.2", false}, "GET": {"18.2", true}, "GET of iOS 11": {"11.4", true}} {
		for _, profile := range []string{scep.DeviceIdentity, scep.MailSigning} {
			t.Run(name+" "+profile, func(t *testing.T) {
				w := newWorld(t)
				w.getOnly = c.getOnly
				challenge := must(w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: profile, User: w.user, Device: w.device}))(t)
				id, err := phone.New(phone.Config{OSVersion: c.os, HTTP: http.DefaultClient}).SCEP(t.Context(), phone.SCEPRequest{
					URL: w.serve(profile), Name: "whatever", Challenge: challenge.Secret.RevealString(), Keysize: 2048, KeyUsage: 5,
					CAFingerprint: challenge.Fingerprint, Subject: [][][]string{{{"CN", "x"}}}, Key: newClient(1).key})
				if err != nil {
					t.Fatal(err)
				}
				if !newClient(1).key.PublicKey.Equal(id.Certificate.PublicKey) || len(id.Chain) != 2 {
					t.Errorf("got a chain of %d", len(id.Chain))
				}
			})
		}
	}
}

func TestGetCACert(t *testing.T) {
	w := newWorld(t)
	h := theHouse()
	for profile, a := range map[string]authority{scep.DeviceIdentity: h.device, scep.MailSigning: h.mail} {
		body, contentType, err := w.s.GetCACert(t.Context(), profile)
		if err != nil || contentType != "application/x-x509-ca-ra-cert" {
			t.Fatalf("got %s, %v", contentType, err)
		}
		got := must(cms.Certificates(body, 0))(t)
		want := []*x509.Certificate{a.RA.Certificate, a.Issuer.Certificate(), h.root.Certificate()}
		if len(got) != len(want) {
			t.Fatalf("%d certificates, want %d", len(got), len(want))
		}
		for n := range want {
			if !got[n].Equal(want[n]) {
				t.Errorf("certificate %d is %s, want %s", n, got[n].Subject, want[n].Subject)
			}
		}
		if der := must(w.s.CACertificate(a.Issuer.Name()))(t); string(der) != string(a.Issuer.Certificate().Raw) {
			t.Error("CACertificate is another")
		}
	}
}
