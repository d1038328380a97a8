package profile_test

import (
	"bytes"
	_ "embed"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm/profile"
)

//go:embed testdata/root.der
var rootDER []byte

const base = "com.example.signet"

func named(name string) profile.Common { return profile.Named(base+"."+name, "Example "+name) }

func of(payloads ...profile.Payload) profile.Profile {
	p := profile.Profile{Common: profile.Named(base, "Example"), Payloads: payloads}
	p.Organization = "Example"
	return p
}

func root() *profile.Root {
	return &profile.Root{Common: named("root"), Certificate: rootDER, FileName: "root.cer"}
}

func scep() *profile.SCEP {
	return &profile.SCEP{
		Common: named("scep"), URL: "https://mdm.example.com/scep/signing", Name: "signing",
		Subject:  [][][]string{{{"O", "Example"}}, {{"CN", "Alice"}, {"1.2.840.113549.1.9.1", "alice@example.com"}}},
		AltNames: profile.AltNames{Email: []string{"alice@example.com"}},
		KeySize:  2048, KeyUsage: profile.SigningKey, CAFingerprint: bytes.Repeat([]byte{0xab}, 32),
		Retries: 5, RetryDelay: 20,
	}
}

func identityKey() *profile.SCEP {
	return &profile.SCEP{
		Common: named("identity"), URL: "https://mdm.example.com/scep/identity", KeySize: 2048, KeyUsage: profile.DualKey,
		AltNames: profile.AltNames{DNS: []string{"a.example.com", "b.example.com"}, URI: []string{"urn:x"}, UPN: "alice@example.com"},
	}
}

func pkcs12() *profile.PKCS12 {
	return &profile.PKCS12{Common: named("pkcs12"), Fingerprint: cert.FingerprintOf([]byte("certificate")), FileName: "2024.p12"}
}

func mdm() *profile.MDM {
	return &profile.MDM{
		Common: named("mdm"), IdentityUUID: identityKey().UUID,
		Topic:     "com.apple.mgmt.External.00000000-0000-0000-0000-000000000000",
		ServerURL: "https://mdm.example.com/mdm/connect", CheckInURL: "https://mdm.example.com/mdm/checkin",
		AccessRights: profile.CertificateDelivery, SignMessage: true, CheckOutWhenRemoved: true,
		Capabilities: []string{"com.apple.mdm.token"}, ServerPins: []string{root().UUID},
	}
}

func exchange() *profile.Exchange {
	off, days := false, 0
	return &profile.Exchange{
		Common: named("mail"), EmailAddress: "alice@example.com", UserName: "alice@example.com", OAuth: true,
		EnableNotes: &off, PastDays: &days, PreventMove: true,
		SMIME: profile.SMIME{
			Sign: true, SignChangeable: true, SigningUUID: scep().UUID, SigningIdentityChangeable: true,
			Encrypt: true, EncryptChangeable: true, EncryptionUUID: pkcs12().UUID, EncryptionIdentityChangeable: true,
			EncryptPerMessage: true,
		},
	}
}

func imap() *profile.Mail {
	return &profile.Mail{
		Common: named("imap"), AccountType: "EmailTypeIMAP", AccountName: "Example", FullName: "Alice", EmailAddress: "alice@example.com",
		IncomingAuth: "EmailAuthPassword", IncomingHost: "imap.example.com", IncomingPort: 993, IncomingSSL: true, IncomingUser: "alice",
		OutgoingAuth: "EmailAuthPassword", OutgoingHost: "smtp.example.com", OutgoingPort: 587, OutgoingSSL: true, OutgoingUser: "alice",
		SMIME: profile.SMIME{Sign: true, SigningUUID: scep().UUID},
	}
}

func ldap() *profile.LDAP {
	return &profile.LDAP{
		Common: named("ldap"), AccountName: "Directory", Host: "ldap.example.com", SSL: true,
		Searches: []profile.Search{{Name: "People", Base: "ou=people,dc=example,dc=com", Scope: profile.OneLevel}},
	}
}

func webClip() *profile.WebClip {
	return &profile.WebClip{Common: named("clip"), URL: "https://mdm.example.com/me/", Label: "Mail keys", Icon: []byte("\x89PNG"), FullScreen: true}
}

// frames gives each payload type with what it refers to.
func frames() map[string]profile.Profile {
	return map[string]profile.Profile{
		"root":     of(root()),
		"scep":     of(scep()),
		"pkcs12":   of(pkcs12()),
		"mdm":      of(root(), identityKey(), mdm()),
		"exchange": of(exchange(), scep(), pkcs12()),
		"mail":     of(imap(), scep()),
		"ldap":     of(ldap()),
		"webclip":  of(webClip()),
	}
}

// fill does what the keeper does.
func fill(p profile.Profile) profile.Profile {
	for _, i := range p.PKCS12s() {
		i.Content, i.Password = []byte("a .p12 file"), seal.SecretString("PASSWORD")
	}
	for _, s := range p.SCEPs() {
		s.Challenge = seal.SecretString("CHALLENGE")
	}
	return p
}
