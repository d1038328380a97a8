package delivery_test

import (
	"bytes"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/mdm"
)

func TestIMAP(t *testing.T) {
	s := newSite(t)
	now := s.imports("2024", 2024, 2028)
	s.apply(`
kind: Policy
name: everybody
assign: {all: true}
signing: {source: imported}
encryption: {source: imported}
mail:
  apple:
    account: imap
    name: Example Mail
    incoming: {host: imap.example.com, port: 993, prefix: INBOX}
    outgoing: {host: smtp.example.com, port: 587, ssl: false, auth: none}
    sign: true
    ldap: {host: ldap.example.com, name: People, base: o=x, scope: one, ssl: false}
`)
	s.rest()
	s.has(".roots", ".mail")
	s.done()
	identity := s.phone.find(".mail", "com.apple.security.pkcs12")
	if len(s.phone.profiles[prefix+".mail"].certs) != 1 || !bytes.Contains(identity["PayloadContent"].([]byte), []byte(now.String())) {
		t.Error("an identity for both purposes is not in the profile just once")
	}
	uuid := identity["PayloadUUID"]
	for key, want := range map[string]any{
		"EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": "Example Mail", "EmailAccountName": "Alice", "EmailAddress": "alice@example.com",
		"IncomingMailServerHostName": "imap.example.com", "IncomingMailServerUseSSL": true, "IncomingMailServerUsername": "alice@example.com",
		"IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingMailServerIMAPPathPrefix": "INBOX",
		"OutgoingMailServerHostName": "smtp.example.com", "OutgoingMailServerAuthentication": "EmailAuthNone",
		"OutgoingMailServerUseSSL": nil, "OutgoingMailServerUsername": nil,
		"SMIMESigningEnabled": true, "SMIMESigningCertificateUUID": uuid, "SMIMEEncryptionCertificateUUID": uuid,
	} {
		if got := s.phone.find(".mail", "com.apple.mail.managed")[key]; got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	ldap := s.phone.find(".mail", "com.apple.ldap.account")
	search := ldap["LDAPSearchSettings"].([]any)[0].(map[string]any)
	if ldap["LDAPAccountHostName"] != "ldap.example.com" || ldap["LDAPAccountUseSSL"] != false ||
		search["LDAPSearchSettingSearchBase"] != "o=x" || search["LDAPSearchSettingScope"] != "LDAPSearchSettingScopeOneLevel" {
		t.Errorf("directory: %v", ldap)
	}
}

// Without a key, a switch that needs one stays off: Mail could send nothing.
func TestSwitchesNeedKeys(t *testing.T) {
	s := newSite(t)
	s.apply(`
kind: Policy
name: everybody
assign: {all: true}
signing: {source: imported}
encryption: {source: imported}
mail: {apple: {account: exchange, oauth: true, sign: true, encrypt: true, services: {mail: true, notes: {value: false, user_change: false}}}}
`)
	s.rest()
	s.has(".roots", ".mail")
	s.done()
	account := s.phone.find(".mail", "com.apple.eas.account")
	for key, want := range map[string]any{
		"SMIMESigningEnabled": nil, "SMIMEEncryptByDefault": nil, "OAuth": true, "Host": nil,
		"EnableMail": true, "EnableNotes": false, "EnableNotesUserOverridable": false, "EnableContacts": nil,
	} {
		if account[key] != want {
			t.Errorf("%s: got %v, want %v", key, account[key], want)
		}
	}
}

// Certificates without an account: the user chooses them in his own.
func TestCertificatesOnly(t *testing.T) {
	s := newSite(t)
	s.apply("kind: Policy\nname: everybody\nassign: {all: true}\nencryption: {source: imported}\nmail: {apple: {account: none}}")
	s.rest()
	s.has(".roots") // there is nothing to put into a mail profile yet
	old, now := s.imports("2019", 2019, 2022), s.imports("2024", 2024, 2028)
	s.rest()
	s.has(".roots", ".mail", history(old))
	s.done()
	if certs := s.phone.profiles[prefix+".mail"].certs; len(certs) != 1 || certs[0] != (mdm.Held{Fingerprint: now, Identity: true}) {
		t.Errorf("the mail profile brings %v", certs)
	}
}

// A signing identity of its own stands beside the encryption identity.
func TestTwoImportedIdentities(t *testing.T) {
	s := newSite(t)
	s.apply("kind: Policy\nname: everybody\nassign: {all: true}\nsigning: {source: imported}\nencryption: {source: imported}\nmail: {apple: {account: exchange, host: h.example, sign: true}}")
	reads, signs := s.importsFor("reads", cert.Encryption), s.importsFor("signs", cert.Signing)
	s.rest()
	s.has(".roots", ".mail")
	s.done()
	account := s.phone.find(".mail", "com.apple.eas.account")
	uuids := map[cert.Fingerprint]any{}
	for _, d := range s.phone.profiles[prefix+".mail"].payloads {
		for _, f := range []cert.Fingerprint{reads, signs} {
			if content, _ := d["PayloadContent"].([]byte); bytes.Contains(content, []byte(f.String())) {
				uuids[f] = d["PayloadUUID"]
			}
		}
	}
	if uuids[reads] == nil || uuids[signs] == nil || account["SMIMESigningCertificateUUID"] != uuids[signs] || account["SMIMEEncryptionCertificateUUID"] != uuids[reads] {
		t.Errorf("account names %v and %v, profile has %v", account["SMIMESigningCertificateUUID"], account["SMIMEEncryptionCertificateUUID"], uuids)
	}
}
