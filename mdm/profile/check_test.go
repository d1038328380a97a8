package profile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm/profile"
)

func TestCheck(t *testing.T) {
	const other = "00000000-0000-5000-8000-000000000000"
	yes, no := true, false
	days := 5
	cases := []struct {
		name string
		p    profile.Profile
		edit func(*profile.Profile)
		want error
		says string
	}{
		{"no identifier", of(root()), func(p *profile.Profile) { p.Identifier = "" }, profile.ErrInvalid, "PayloadIdentifier"},
		{"no UUID", of(root()), func(p *profile.Profile) { p.UUID = "" }, profile.ErrInvalid, "PayloadUUID"},
		{"UUID in another form", of(root()), func(p *profile.Profile) { p.UUID = "{" + p.UUID + "}" }, profile.ErrInvalid, "PayloadUUID"},
		{"no payload", of(), nil, profile.ErrInvalid, "no payload"},
		{"nil payload", of(root(), nil), nil, profile.ErrInvalid, "nil"},
		{"nil pointer", of((*profile.Root)(nil)), nil, profile.ErrInvalid, "nil"},
		{"payload without identifier", of(root()), func(p *profile.Profile) { p.Payloads[0].Head().Identifier = "" }, profile.ErrInvalid, "PayloadIdentifier"},
		{"payload without UUID", of(root()), func(p *profile.Profile) { p.Payloads[0].Head().UUID = "x" }, profile.ErrInvalid, "PayloadUUID"},
		{"UUID twice", of(root(), scep()), func(p *profile.Profile) { p.Payloads[1].Head().UUID = p.Payloads[0].Head().UUID }, profile.ErrInvalid, "twice"},
		{"UUID of the profile", of(root()), func(p *profile.Profile) { p.Payloads[0].Head().UUID = p.UUID }, profile.ErrInvalid, "twice"},
		{"identifier twice", of(root(), scep()), func(p *profile.Profile) { p.Payloads[1].Head().Identifier = p.Payloads[0].Head().Identifier }, profile.ErrInvalid, "twice"},
		{"identifier of the profile", of(root()), func(p *profile.Profile) { p.Payloads[0].Head().Identifier = p.Identifier }, profile.ErrInvalid, "twice"},

		{"no certificate", of(root()), with(func(r *profile.Root) { r.Certificate = nil }), profile.ErrInvalid, "certificate"},
		{"certificate cut off", of(root()), with(func(r *profile.Root) { r.Certificate = r.Certificate[1:] }), profile.ErrInvalid, "certificate"},

		{"no SCEP URL", of(scep()), with(func(s *profile.SCEP) { s.URL = "" }), profile.ErrInvalid, "URL"},
		{"SCEP URL of a file", of(scep()), with(func(s *profile.SCEP) { s.URL = "file:///scep" }), profile.ErrInvalid, "URL"},
		{"SCEP over http", of(scep()), with(func(s *profile.SCEP) { s.URL = "http://mdm.example.com/scep" }), nil, ""},
		{"key of 1024 bits", of(scep()), with(func(s *profile.SCEP) { s.KeySize = 1024 }), profile.ErrInvalid, "Keysize"},
		{"key size not set", of(scep()), with(func(s *profile.SCEP) { s.KeySize = 0 }), profile.ErrInvalid, "Keysize"},
		{"key usage not set", of(scep()), with(func(s *profile.SCEP) { s.KeyUsage = 0 }), profile.ErrInvalid, "Key Usage"},
		{"half a pair", of(scep()), with(func(s *profile.SCEP) { s.Subject = [][][]string{{{"CN"}}} }), profile.ErrInvalid, "Subject"},
		{"odd fingerprint", of(scep()), with(func(s *profile.SCEP) { s.CAFingerprint = []byte{1} }), profile.ErrInvalid, "CAFingerprint"},
		{"no challenge", of(scep()), with(func(s *profile.SCEP) { s.Challenge = seal.Secret{} }), profile.ErrIncomplete, "Challenge"},

		{"no p12", of(pkcs12()), with(func(p *profile.PKCS12) { p.Content = nil }), profile.ErrIncomplete, "Content"},
		{"no p12 password", of(pkcs12()), with(func(p *profile.PKCS12) { p.Password = seal.Secret{} }), profile.ErrIncomplete, "Password"},

		{"foreign topic", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.Topic = "com.example" }), profile.ErrInvalid, "Topic"},
		{"server without TLS", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.ServerURL = "http://mdm.example.com/" }), profile.ErrInvalid, "ServerURL"},
		{"check-in without TLS", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.CheckInURL = "http://mdm.example.com/" }), profile.ErrInvalid, "CheckInURL"},
		{"no check-in URL", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.CheckInURL = "" }), nil, ""},
		{"no rights", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.AccessRights = 0 }), profile.ErrInvalid, "AccessRights"},
		{"rights for BYOD", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.Mode = "BYOD" }), profile.ErrInvalid, "AccessRights"},
		{"BYOD", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.Mode, m.AccessRights = "BYOD", 0 }), nil, ""},
		{"right 2 without 1", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.AccessRights = 2 + 16 }), profile.ErrInvalid, "AccessRights"},
		{"right 128 without 64", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.AccessRights = 1 + 128 }), profile.ErrInvalid, "AccessRights"},
		{"unknown right", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.AccessRights = 8192 }), profile.ErrInvalid, "AccessRights"},
		{"unknown mode", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.Mode = "X" }), profile.ErrInvalid, "EnrollmentMode"},
		{"identity elsewhere", of(root(), mdm()), nil, profile.ErrInvalid, "IdentityCertificateUUID"},
		{"identity is a certificate", of(root(), identityKey(), mdm()), with(func(m *profile.MDM) { m.IdentityUUID = root().UUID }), profile.ErrInvalid, "IdentityCertificateUUID"},
		{"identity only signs", of(root(), identityKey(), mdm()), with(func(s *profile.SCEP) { s.KeyUsage = profile.SigningKey }), profile.ErrInvalid, "decrypt"},
		{"pin elsewhere", of(identityKey(), mdm()), nil, profile.ErrInvalid, "Pinning"},
		{"two MDM payloads", of(root(), identityKey(), mdm(), secondMDM()), nil, profile.ErrInvalid, "two MDM"},

		{"signing identity elsewhere", of(exchange(), pkcs12()), nil, profile.ErrInvalid, "SMIMESigningCertificateUUID"},
		{"encryption identity elsewhere", of(exchange(), scep()), nil, profile.ErrInvalid, "SMIMEEncryptionCertificateUUID"},
		{"signing identity is an account", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.SigningUUID = e.UUID }), profile.ErrInvalid, "SMIMESigningCertificateUUID"},
		{"client identity elsewhere", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.ClientUUID = other }), profile.ErrInvalid, "PayloadCertificateUUID"},
		{"no S/MIME", of(exchange(), scep()), with(func(e *profile.Exchange) { e.SMIME = profile.SMIME{} }), nil, ""},
		{"no address", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.EmailAddress = "" }), profile.ErrInvalid, "EmailAddress"},
		{"no user name", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.UserName = "" }), profile.ErrInvalid, "UserName"},
		{"no host", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.OAuth = false }), profile.ErrInvalid, "Host"},
		{"no host for a sign-in URL", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.OAuthSignInURL = "https://x.example.com" }), profile.ErrInvalid, "Host"},
		{"five days", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.PastDays = &days }), profile.ErrInvalid, "MailNumberOfPastDaysToSync"},
		{"all services off", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) {
			e.EnableMail, e.EnableContacts, e.EnableCalendars, e.EnableReminders, e.EnableNotes = &no, &no, &no, &no, &no
		}), profile.ErrInvalid, "services"},
		{"one service on", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) {
			e.EnableMail, e.EnableContacts, e.EnableCalendars, e.EnableReminders, e.EnableNotes = &yes, &no, &no, &no, &no
		}), nil, ""},
		{"password with OAuth", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) { e.Password = seal.SecretString("x") }), profile.ErrInvalid, "OAuth"},
		{"password in the clear", of(exchange(), scep(), pkcs12()), with(func(e *profile.Exchange) {
			e.OAuth, e.Host, e.Password = false, "eas.example.com", seal.SecretString("x")
		}), profile.ErrClear, ""},

		{"unknown account type", of(imap(), scep()), with(func(m *profile.Mail) { m.AccountType = "IMAP" }), profile.ErrInvalid, "EmailAccountType"},
		{"unknown incoming authentication", of(imap(), scep()), with(func(m *profile.Mail) { m.IncomingAuth = "" }), profile.ErrInvalid, "IncomingMailServerAuthentication"},
		{"unknown outgoing authentication", of(imap(), scep()), with(func(m *profile.Mail) { m.OutgoingAuth = "x" }), profile.ErrInvalid, "OutgoingMailServerAuthentication"},
		{"no incoming host", of(imap(), scep()), with(func(m *profile.Mail) { m.IncomingHost = "" }), profile.ErrInvalid, "IncomingMailServerHostName"},
		{"no outgoing host", of(imap(), scep()), with(func(m *profile.Mail) { m.OutgoingHost = "" }), profile.ErrInvalid, "OutgoingMailServerHostName"},
		{"port over 65535", of(imap(), scep()), with(func(m *profile.Mail) { m.IncomingPort = 70_000 }), profile.ErrInvalid, "PortNumber"},
		{"port below 0", of(imap(), scep()), with(func(m *profile.Mail) { m.OutgoingPort = -1 }), profile.ErrInvalid, "PortNumber"},
		{"identity elsewhere for IMAP", of(imap()), nil, profile.ErrInvalid, "SMIMESigningCertificateUUID"},
		{"IMAP password in the clear", of(imap(), scep()), with(func(m *profile.Mail) { m.OutgoingPassword = seal.SecretString("x") }), profile.ErrClear, ""},

		{"no LDAP host", of(ldap()), with(func(l *profile.LDAP) { l.Host = "" }), profile.ErrInvalid, "LDAPAccountHostName"},
		{"no search base", of(ldap()), with(func(l *profile.LDAP) { l.Searches[0].Base = "" }), profile.ErrInvalid, "SearchBase"},
		{"unknown scope", of(ldap()), with(func(l *profile.LDAP) { l.Searches[0].Scope = "all" }), profile.ErrInvalid, "Scope"},
		{"LDAP password in the clear", of(ldap()), with(func(l *profile.LDAP) { l.Password = seal.SecretString("x") }), profile.ErrClear, ""},

		{"no label", of(webClip()), with(func(w *profile.WebClip) { w.Label = "" }), profile.ErrInvalid, "Label"},
		{"link to a script", of(webClip()), with(func(w *profile.WebClip) { w.URL = "javascript:alert(1)" }), profile.ErrInvalid, "URL"},
		{"icon of 2 MiB", of(webClip()), with(func(w *profile.WebClip) { w.Icon = make([]byte, 2<<20) }), profile.ErrInvalid, "Icon"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := fill(c.p)
			if c.edit != nil {
				c.edit(&p)
			}
			xml, err := p.Encode()
			if !errors.Is(err, c.want) || (xml == nil) != (c.want != nil) {
				t.Fatalf("Encode: got %d bytes, %v, want %v", len(xml), err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, must say %q", err, c.says)
			}
			want := c.want
			if errors.Is(want, profile.ErrClear) {
				want = nil
			}
			if _, err := p.Seal(device().cert); !errors.Is(err, want) {
				t.Errorf("Seal: got %v, want %v", err, want)
			}
		})
	}
}

// with edits the first payload of a type.
func with[T profile.Payload](edit func(T)) func(*profile.Profile) {
	return func(p *profile.Profile) {
		for _, payload := range p.Payloads {
			if t, ok := payload.(T); ok {
				edit(t)
				return
			}
		}
	}
}

func secondMDM() *profile.MDM {
	m := mdm()
	m.Common = named("mdm2")
	return m
}
