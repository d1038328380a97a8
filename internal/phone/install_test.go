package phone_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

const mailProfile = "org.example.mail"

// identityPayload holds a new identity in a file for iOS 18.
func identityPayload(t testing.TB, n int, keys map[string]any) map[string]any {
	a := newAuthority()
	cert := certify("Alice", a.raKey, a.ca, a.caKey)
	all := map[string]any{"PayloadContent": pfx(t, pkcs12.Modern2023, a.raKey, cert, "secret"), "Password": "secret"}
	for k, v := range keys {
		all[k] = v
	}
	return payload("com.apple.security.pkcs12", n, all)
}

func account(n int, keys map[string]any) map[string]any {
	all := map[string]any{
		"EmailAddress": "alice@example.com", "UserName": "alice@example.com", "Host": "mail.example.com", "SSL": true,
		"SMIMESigningEnabled": true, "SMIMESigningCertificateUUID": uuid(11),
		"SMIMEEncryptByDefault": true, "SMIMEEncryptionCertificateUUID": uuid(12), "SMIMEEnableEncryptionPerMessageSwitch": true,
	}
	for k, v := range keys {
		all[k] = v
	}
	return payload("com.apple.eas.account", n, all)
}

// mailSetup is the profile of an S/MIME user: account, signing by SCEP,
// encryption by PKCS #12.
func (s *server) mailSetup(accountKeys map[string]any) map[string]any {
	return profile(mailProfile, 10, account(13, accountKeys), s.scepPayload(11, map[string]any{"Key Usage": 1}), identityPayload(s.t, 12, nil))
}

// sealProfile encrypts the payloads of a profile as OpenSSL does.
func sealProfile(t testing.TB, d map[string]any, to *x509.Certificate, args ...string) map[string]any {
	t.Helper()
	return sealBytes(t, d, xml(t, d["PayloadContent"]), to, args...)
}

func sealBytes(t testing.TB, d map[string]any, plain []byte, to *x509.Certificate, args ...string) map[string]any {
	t.Helper()
	if args == nil {
		args = []string{"-aes256"}
	}
	file := certPEM(t, to)
	sealed := judge.Run(t, plain, "openssl", append([]string{"cms", "-encrypt", "-binary", "-outform", "DER", "-recip", file}, args...)...)
	out := map[string]any{"IsEncrypted": true, "EncryptedPayloadContent": sealed}
	for k, v := range d {
		if k != "PayloadContent" {
			out[k] = v
		}
	}
	return out
}

func certPEM(t testing.TB, certs ...*x509.Certificate) string {
	t.Helper()
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// signProfile signs as the server's CA would, with its chain.
func signProfile(t testing.TB, b []byte) []byte {
	t.Helper()
	a := newAuthority()
	sd, err := pkcs7.NewSignedData(b)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSignerChain(a.ra, a.raKey, []*x509.Certificate{a.ca}, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	out, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func identityOf(t testing.TB, p *phone.Phone) *x509.Certificate {
	t.Helper()
	e, ok := p.Enrollment()
	if !ok {
		t.Fatal("not enrolled")
	}
	return e.Identity.Certificate
}

func TestInstallSealedAndSigned(t *testing.T) {
	judge.Need(t, "openssl")
	roots := x509.NewCertPool()
	roots.AddCert(newAuthority().root)
	for name, c := range map[string]struct {
		args    []string
		trusted bool
	}{
		"AES-256":         {[]string{"-aes256"}, false},
		"AES-128":         {[]string{"-aes128"}, true},
		"AES-192":         {[]string{"-aes192"}, true},
		"3DES":            {[]string{"-des3"}, true},
		"by key id":       {[]string{"-aes256", "-keyid"}, true},
		"BER as a stream": {[]string{"-aes256", "-stream"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			cfg := phone.Config{}
			if c.trusted {
				cfg.Roots = roots
			}
			p := s.enrolled(cfg)
			d := sealProfile(t, s.mailSetup(nil), identityOf(t, p), c.args...)
			if r := s.install(p, signProfile(t, xml(t, d))); r["Status"] != "Acknowledged" {
				t.Fatalf("got %v %s", r["Status"], chain(r))
			}
			prof, ok := p.Profile(mailProfile)
			if !ok || !prof.Encrypted || !prof.Managed || prof.Trusted != c.trusted || len(prof.Payloads) != 3 {
				t.Errorf("got %+v", prof)
			}
			if len(prof.Signers) < 2 || !prof.Signers[0].Equal(newAuthority().ra) {
				t.Errorf("got %d signers, want RA and CA", len(prof.Signers))
			}
			acc := p.Accounts()
			if len(acc) != 1 || acc[0].SMIME.Signing == nil || acc[0].SMIME.Signing.Kind != "scep" || acc[0].SMIME.Encryption == nil ||
				acc[0].SMIME.Encryption.Kind != "pkcs12" || !acc[0].SMIME.Sign || !acc[0].SMIME.EncryptByDefault || !acc[0].SMIME.PerMessageSwitch {
				t.Errorf("account: got %+v", acc)
			}
			list := s.do(p, map[string]any{"RequestType": "ProfileList"})["ProfileList"].([]any)
			sealed := list[1].(map[string]any)
			if _, shown := sealed["PayloadContent"]; shown || sealed["IsEncrypted"] != true || len(sealed["SignerCertificates"].([]any)) < 2 {
				t.Errorf("ProfileList: got %v, want no payloads of an encrypted profile", sealed)
			}
		})
	}
}

// Every refusal must leave the phone as it was.
func TestInstallRefused(t *testing.T) {
	judge.Need(t, "openssl")
	s := newServer(t)
	p18 := s.enrolled(phone.Config{OSVersion: "18.2"})
	p17 := s.enrolled(phone.Config{OSVersion: "17.6"})
	a := newAuthority()
	signed := signProfile(t, xml(t, profile("org.example.x", 20, identityPayload(t, 21, nil))))
	corrupt := bytes.Replace(signed, []byte("org.example.x"), []byte("org.example.y"), 1)
	me := identityOf(t, p18)
	id := func(keys map[string]any) map[string]any {
		return profile("org.example.x", 20, identityPayload(t, 21, keys))
	}
	mail := func(keys map[string]any) map[string]any {
		d := map[string]any{
			"EmailAccountType": "EmailTypeIMAP", "IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingMailServerHostName": "h",
			"OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerHostName": "h",
		}
		for k, v := range keys {
			d[k] = v
		}
		return profile("org.example.x", 20, payload("com.apple.mail.managed", 21, d))
	}
	for name, c := range map[string]struct {
		phone   *phone.Phone
		profile any
		want    string
	}{
		"not a plist":               {p18, []byte("hello"), "MCProfileErrorDomain 1000"},
		"binary plist":              {p18, []byte("bplist00\xd0"), "MCProfileErrorDomain 1000"},
		"corrupt signature":         {p18, corrupt, "MCProfileErrorDomain 1004"},
		"sealed for someone else":   {p18, sealProfile(t, id(nil), a.ra), "MCProfileErrorDomain 1006"},
		"sealed with OAEP":          {p18, sealProfile(t, id(nil), me, "-aes256", "-keyopt", "rsa_padding_mode:oaep"), "MCProfileErrorDomain 1006"},
		"sealed with GCM":           {p18, sealProfile(t, id(nil), me, "-aes-256-gcm"), "MCProfileErrorDomain 1006"},
		"sealed with Camellia":      {p18, sealProfile(t, id(nil), me, "-camellia256"), "MCProfileErrorDomain 1006"},
		"sealed dict, not an array": {p18, sealBytes(t, id(nil), xml(t, map[string]any{"PayloadContent": []any{}}), me), "MCProfileErrorDomain 1002"},
		"sealed and in clear":       {p18, withClear(sealProfile(t, id(nil), me), id(nil)), "MCProfileErrorDomain 1006"},
		"AES identity on iOS 17":    {p17, id(nil), "MCCertificateErrorDomain 9000"},
		"wrong password":            {p18, id(map[string]any{"Password": "other"}), "MCCertificateErrorDomain 9000"},
		"no password":               {p18, id(map[string]any{"Password": nil}), "MCCertificateErrorDomain 9000"},
		"no identity in the file":   {p18, id(map[string]any{"PayloadContent": trustStore(t)}), "MCCertificateErrorDomain 9006"},
		"no PKCS #12":               {p18, id(map[string]any{"PayloadContent": []byte{1}}), "MCCertificateErrorDomain 9005"},
		"data as a string":          {p18, id(map[string]any{"PayloadContent": "AAAA"}), "MCPayloadErrorDomain 2003"},
		"signing identity missing":  {p18, profile("org.example.x", 20, account(13, nil), identityPayload(t, 12, nil)), "SMIMESigningCertificateUUID"},
		"encryption names an account": {p18, profile("org.example.x", 20, account(13, map[string]any{"SMIMEEncryptionCertificateUUID": uuid(13), "SMIMESigningCertificateUUID": uuid(12)}),
			identityPayload(t, 12, nil)), "SMIMEEncryptionCertificateUUID"},
		"client certificate missing": {p18, s.mailSetup(map[string]any{"PayloadCertificateUUID": uuid(77)}), "PayloadCertificateUUID"},
		"misspelt Overridable":       {p18, s.mailSetup(map[string]any{"SMIMESigningUserOverridable": true}), "SMIMESigningUserOverridable"},
		"no user name":               {p18, s.mailSetup(map[string]any{"UserName": nil}), "UserName"},
		"no host":                    {p18, s.mailSetup(map[string]any{"Host": nil}), "no Host"},
		"OAuth and password":         {p18, s.mailSetup(map[string]any{"OAuth": true, "Password": "x"}), "OAuth"},
		"password in clear":          {p18, s.mailSetup(map[string]any{"Password": "x"}), "not encrypted"},
		"odd days":                   {p18, s.mailSetup(map[string]any{"MailNumberOfPastDaysToSync": 5}), "PastDays"},
		"everything off": {p18, s.mailSetup(map[string]any{
			"EnableMail": false, "EnableContacts": false, "EnableCalendars": false, "EnableReminders": false, "EnableNotes": false,
		}), "switched off"},
		"IMAP without host":    {p18, mail(map[string]any{"IncomingMailServerHostName": nil}), "IncomingMailServerHostName"},
		"unknown mail type":    {p18, mail(map[string]any{"EmailAccountType": "EmailTypeX"}), "EmailAccountType"},
		"unknown mail auth":    {p18, mail(map[string]any{"OutgoingMailServerAuthentication": "x"}), "authentication"},
		"IMAP password":        {p18, mail(map[string]any{"IncomingPassword": "x"}), "not encrypted"},
		"two certificates":     {p18, profile("org.example.x", 20, payload("com.apple.security.pem", 21, map[string]any{"PayloadContent": pems(a.ca, a.root)})), "9005"},
		"broken certificate":   {p18, profile("org.example.x", 20, payload("com.apple.security.root", 21, map[string]any{"PayloadContent": []byte{0x30, 0}})), "9005"},
		"SCEP key EC":          {p18, profile("org.example.x", 20, s.scepPayload(21, map[string]any{"Key Type": "ECSECPrimeRandom"})), "22004"},
		"SCEP usage 2":         {p18, profile("org.example.x", 20, s.scepPayload(21, map[string]any{"Key Usage": 2})), "22000"},
		"SCEP flat subject":    {p18, profile("org.example.x", 20, s.scepPayload(21, map[string]any{"Subject": []any{[]any{"CN", "x"}}})), "Subject"},
		"SCEP unknown SAN":     {p18, profile("org.example.x", 20, s.scepPayload(21, map[string]any{"SubjectAltName": map[string]any{"email": "x"}})), "SubjectAltName"},
		"SCEP several UPNs":    {p18, profile("org.example.x", 20, s.scepPayload(21, map[string]any{"SubjectAltName": map[string]any{"ntPrincipalName": []any{"x"}}})), "ntPrincipalName"},
		"SCEP after good ones": {p18, profile("org.example.x", 20, identityPayload(t, 22, nil), s.scepPayload(21, map[string]any{"URL": s.URL + "/nowhere"})), "22013"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, ok := c.profile.([]byte)
			if !ok {
				raw = xml(t, c.profile)
			}
			r := s.install(c.phone, raw)
			if r["Status"] != "Error" || !strings.Contains(chain(r), c.want) || !strings.HasPrefix(chain(r), "MCInstallationErrorDomain 4001") {
				t.Errorf("got %v\n%swant %q below MCInstallationErrorDomain", r["Status"], chain(r), c.want)
			}
			if n, m := len(c.phone.Profiles()), len(c.phone.Identities()); n != 1 || m != 1 {
				t.Errorf("got %d profiles and %d identities afterwards, want the enrollment's alone", n, m)
			}
		})
	}
}

func withClear(sealed, clear map[string]any) map[string]any {
	sealed["PayloadContent"] = clear["PayloadContent"]
	return sealed
}

func trustStore(t testing.TB) []byte {
	b, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{newAuthority().root}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pems(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// The same identifier replaces; SCEP runs again each time; a payload keeps its
// place only with the same identifier and UUID.
func TestReplace(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	install := func(d map[string]any) {
		t.Helper()
		if r := s.install(p, xml(t, d)); r["Status"] != "Acknowledged" {
			t.Fatalf("got %v %s", r["Status"], chain(r))
		}
	}
	install(s.mailSetup(nil))
	first, runs := p.Accounts()[0], len(s.scep.requests)

	install(s.mailSetup(map[string]any{"Host": "new.example.com"}))
	second := p.Accounts()[0]
	if len(p.Profiles()) != 2 || second.ID != first.ID || second.Host != "new.example.com" {
		t.Errorf("update in place: got %d profiles, account %+v", len(p.Profiles()), second)
	}
	if second.SMIME.Signing.Certificate.Equal(first.SMIME.Signing.Certificate) || len(s.scep.requests) != runs+1 {
		t.Errorf("SCEP ran %d times more, want once more and another certificate", len(s.scep.requests)-runs)
	}

	d := s.mailSetup(nil)
	d["PayloadContent"].([]any)[0].(map[string]any)["PayloadUUID"] = uuid(88)
	install(d)
	if third := p.Accounts()[0]; third.ID == second.ID || len(p.Accounts()) != 1 {
		t.Errorf("with another UUID: got the same account, want a new one")
	}

	if r := s.do(p, map[string]any{"RequestType": "RemoveProfile", "Identifier": mailProfile}); r["Status"] != "Acknowledged" {
		t.Errorf("RemoveProfile: got %v %s", r["Status"], chain(r))
	}
	if len(p.Accounts()) != 0 || len(p.Identities()) != 1 {
		t.Errorf("after removal: %d accounts and %d identities stay", len(p.Accounts()), len(p.Identities()))
	}
	if r := s.do(p, map[string]any{"RequestType": "RemoveProfile", "Identifier": mailProfile}); !strings.Contains(chain(r), "4017") {
		t.Errorf("removing it twice: got %v %s", r["Status"], chain(r))
	}
}

func TestInstallByHand(t *testing.T) {
	s := newServer(t)
	p := s.phone(phone.Config{})
	root := profile("org.example.root", 30, payload("com.apple.security.root", 31, map[string]any{"PayloadContent": s.Certificate().Raw}),
		payload("com.apple.security.root", 32, map[string]any{"PayloadContent": s.auth.root.Raw}))
	if err := p.Enroll(t.Context(), signProfile(t, xml(t, root))); err != nil {
		t.Fatal(err)
	}
	d := s.enrollment(nil)
	d["PayloadContent"] = d["PayloadContent"].([]any)[:2]
	if err := p.Enroll(t.Context(), xml(t, d)); err == nil {
		t.Error("a root installed by hand was trusted for TLS without being switched on")
	}
	if err := p.Enroll(t.Context(), xml(t, root)); err == nil || !strings.Contains(err.Error(), "4008") {
		t.Errorf("replacing a signed profile by an unsigned one: got %v, want 4008", err)
	}
	if err := p.Enroll(t.Context(), xml(t, s.enrollment(nil))); err != nil {
		t.Fatal(err)
	}
	if r := s.install(p, xml(t, root)); !strings.Contains(chain(r), "12013") {
		t.Errorf("replacing the user's profile by MDM: got %v %s, want 12013", r["Status"], chain(r))
	}
	if err := p.Enroll(t.Context(), xml(t, s.enrollment(nil))); err == nil || !strings.Contains(err.Error(), "12001") {
		t.Errorf("enrolling twice: got %v, want 12001", err)
	}
	for managed, want := range map[bool]int{true: 2, false: 3} {
		r := s.do(p, map[string]any{"RequestType": "CertificateList", "ManagedOnly": managed})
		if got := len(r["CertificateList"].([]any)); got != want {
			t.Errorf("CertificateList with ManagedOnly %v: got %d, want %d", managed, got, want)
		}
	}
}

func TestPinning(t *testing.T) {
	s := newServer(t)
	pins := map[string]any{"ServerURLPinningCertificateUUIDs": []any{uuid(5)}}
	pinned := func(cert *x509.Certificate) *phone.Phone {
		p := s.phone(phone.Config{})
		d := s.enrollment(pins)
		d["PayloadContent"] = append(d["PayloadContent"].([]any), payload("com.apple.security.pkcs1", 5, map[string]any{"PayloadContent": cert.Raw}))
		if err := p.Enroll(t.Context(), xml(t, d)); err != nil && cert == s.Certificate() {
			t.Fatal(err)
		}
		p.Close()
		return p
	}
	if _, err := pinned(s.Certificate()).Poll(t.Context()); err != nil {
		t.Errorf("pinned to the server: got %v", err)
	}
	if _, err := pinned(newAuthority().root).Poll(t.Context()); err == nil {
		t.Error("pinned to another root: the phone still talks to the server")
	}
}

// An older phone does not know newer keys.
func TestKeysByVersion(t *testing.T) {
	for os, want := range map[string]phone.SMIME{
		"18.2": {Sign: true, EncryptByDefault: true},
		"11.4": {Sign: true, EncryptByDefault: false},
		"9.3":  {Sign: false, EncryptByDefault: false},
	} {
		t.Run(os, func(t *testing.T) {
			s := newServer(t)
			p := s.enrolled(phone.Config{OSVersion: os})
			d := profile(mailProfile, 10, account(13, map[string]any{"SMIMEEncryptionCertificateUUID": uuid(11)}), s.scepPayload(11, nil))
			if r := s.install(p, xml(t, d)); r["Status"] != "Acknowledged" {
				t.Fatalf("got %v %s", r["Status"], chain(r))
			}
			if got := p.Accounts()[0].SMIME; got.Sign != want.Sign || got.EncryptByDefault != want.EncryptByDefault {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestOtherPayloads(t *testing.T) {
	judge.Need(t, "openssl")
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	search := map[string]any{"LDAPSearchSettingSearchBase": "dc=example,dc=com", "LDAPSearchSettingScope": "LDAPSearchSettingScopeSubtree"}
	d := profile("org.example.x", 20,
		payload("com.apple.ldap.account", 21, map[string]any{"LDAPAccountHostName": "ldap.example.com", "LDAPAccountPassword": "x", "LDAPSearchSettings": []any{search}}),
		payload("com.apple.webClip.managed", 22, map[string]any{"URL": "https://mdm.example.com/me", "Label": "Secure mail", "IsRemovable": false}),
		payload("com.apple.security.pem", 23, map[string]any{"PayloadContent": pems(s.auth.ca)}),
		payload("com.apple.mail.managed", 24, map[string]any{
			"EmailAccountType": "EmailTypeIMAP", "EmailAddress": "alice@example.com", "IncomingPassword": "x",
			"IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingMailServerHostName": "imap.example.com",
			"OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerHostName": "smtp.example.com",
			"SMIMESigningEnabled": true, "SMIMESigningCertificateUUID": uuid(25), "SMIMESigningUserOverrideable": true,
		}),
		s.scepPayload(25, map[string]any{"Key Usage": 1, "Retries": 1, "RetryDelay": 1, "SubjectAltName": map[string]any{
			"rfc822Name": []any{"alice@example.com", "a@example.com"}, "dNSName": "example.com",
			"uniformResourceIdentifier": "https://example.com", "ntPrincipalName": "alice@example.com",
		}}))
	if r := s.install(p, xml(t, sealProfile(t, d, identityOf(t, p)))); r["Status"] != "Acknowledged" {
		t.Fatalf("got %v %s", r["Status"], chain(r))
	}
	kinds := map[string]phone.Account{}
	for _, a := range p.Accounts() {
		kinds[a.Kind] = a
	}
	if kinds["ldap"].Host != "ldap.example.com" || kinds["webclip"].Host != "https://mdm.example.com/me" {
		t.Errorf("got %+v", kinds)
	}
	if m := kinds["imap"]; m.Email != "alice@example.com" || m.SMIME.Signing == nil || len(m.SMIME.UserMay) != 1 {
		t.Errorf("got %+v", m)
	}
	csr := s.scep.requests[len(s.scep.requests)-1].csr
	if len(csr.EmailAddresses) != 2 || len(csr.DNSNames) != 1 || len(csr.URIs) != 1 {
		t.Errorf("SAN of the request: got %v %v %v", csr.EmailAddresses, csr.DNSNames, csr.URIs)
	}
	bad := func(name string, keys map[string]any) {
		keys["LDAPAccountHostName"] = "h"
		r := s.install(p, xml(t, profile("org.example.y", 30, payload("com.apple.ldap.account", 31, keys))))
		if r["Status"] != "Error" {
			t.Errorf("directory account, %s: got %v", name, r["Status"])
		}
	}
	bad("password in clear", map[string]any{"LDAPAccountPassword": "x"})
	bad("unknown scope", map[string]any{"LDAPSearchSettings": []any{map[string]any{"LDAPSearchSettingSearchBase": "x", "LDAPSearchSettingScope": "Subtree"}}})
	bad("no search base", map[string]any{"LDAPSearchSettings": []any{map[string]any{}}})
	bad("search as text", map[string]any{"LDAPSearchSettings": []any{"x"}})
}

// An MDM identity may come as a file, and then be EC: the signature is ECDSA.
func TestEmbeddedIdentity(t *testing.T) {
	judge.Need(t, "openssl")
	s := newServer(t)
	p := s.phone(phone.Config{})
	key := ecKey(t, elliptic.P256())
	cert := certify("device", key, s.auth.ca, s.auth.caKey)
	d := s.enrollment(nil)
	d["PayloadContent"].([]any)[1] = payload("com.apple.security.pkcs12", 2, map[string]any{"PayloadContent": pfx(t, pkcs12.Modern2023, key, cert, "x"), "Password": "x"})
	if err := p.Enroll(t.Context(), xml(t, d)); err != nil {
		t.Fatal(err)
	}
	r := s.said("TokenUpdate")[0]
	sig, err := base64.StdEncoding.DecodeString(r.signature)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, r.body, 0o600); err != nil {
		t.Fatal(err)
	}
	judge.Run(t, sig, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-content", file, "-noverify", "-out", "/dev/null")
	if err := p.CheckOut(t.Context()); err != nil || len(s.said("CheckOut")) != 1 {
		t.Errorf("CheckOut: got %v", err)
	}
	if _, still := p.Enrollment(); !still {
		t.Error("CheckOut alone changed the phone")
	}
	r2 := s.install(p, xml(t, sealProfile(t, s.mailSetup(nil), newAuthority().ra)))
	if !strings.Contains(chain(r2), "1006") {
		t.Errorf("a profile sealed to someone else: got %v %s", r2["Status"], chain(r2))
	}
}

// What ECDSA signed is read too.
func TestProfileSignedWithEC(t *testing.T) {
	judge.Need(t, "openssl")
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	key := ecKey(t, elliptic.P384())
	cert := certify("Signer", key, s.auth.ca, s.auth.caKey)
	plain := xml(t, profile("org.example.x", 20, payload("com.apple.security.root", 21, map[string]any{"PayloadContent": s.auth.root.Raw})))
	for name, args := range map[string][]string{"": nil, "no attributes": {"-noattr"}, "by key id": {"-keyid"}, "BER": {"-stream"}, "SHA-512": {"-md", "sha512"}} {
		file := keyPEM(t, key, cert)
		signed := judge.Run(t, plain, "openssl", append([]string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", file, "-inkey", file}, args...)...)
		if r := s.install(p, signed); r["Status"] != "Acknowledged" {
			t.Errorf("%s: got %v %s", name, r["Status"], chain(r))
		}
	}
	two := judge.Run(t, plain, "openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", keyPEM(t, key, cert), "-signer", keyPEM(t, s.auth.raKey, s.auth.ra))
	bare := judge.Run(t, plain, "openssl", "cms", "-sign", "-binary", "-nodetach", "-nocerts", "-outform", "DER", "-signer", keyPEM(t, key, cert))
	for name, b := range map[string][]byte{"two signers": two, "no certificate": bare} {
		if r := s.install(p, b); !strings.Contains(chain(r), "1004") {
			t.Errorf("%s: got %v %s, want 1004", name, r["Status"], chain(r))
		}
	}
}
