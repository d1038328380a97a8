package delivery

import (
	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/mdm/profile"
)

// frame lays out the profile for an item: everything but keys and challenges.
// Identifiers are stable, so that what comes later replaces what was there.
// Whoever changes what comes out here raises the layout version in package
// plan, or devices keep the old.
func (s *Service) frame(i plan.Item, f plan.Facts) profile.Profile {
	if i.Kind == plan.Enrollment {
		return s.Enrollment(f.Device, f.Topic)
	}
	p := profile.Profile{Common: profile.Named(i.Identifier, s.title(i.Label))}
	p.Organization = s.Organization
	switch i.Kind {
	case plan.Roots:
		for _, c := range s.Roots() {
			fp := cert.FingerprintOf(c.Raw).String()
			p.Payloads = append(p.Payloads, &profile.Root{
				Common: profile.Named(i.Identifier+"."+fp[:16], c.Subject.CommonName), Certificate: c.Raw})
		}
	case plan.Mail:
		p.Payloads = mailPayloads(i, f)
	case plan.History:
		p.Payloads = []profile.Payload{identity(i, i.Encryption, i.Label)}
	}
	return p
}

func (s *Service) title(label string) string {
	if s.Organization == "" {
		return label
	}
	return s.Organization + ": " + label
}

func identity(i plan.Item, c cert.Fingerprint, label string) *profile.PKCS12 {
	return &profile.PKCS12{Common: profile.Named(i.Identifier+".pkcs12."+c.String(), label), Fingerprint: c}
}

// mailPayloads is the account with the identities that its switches name.
func mailPayloads(i plan.Item, f plan.Facts) (list []profile.Payload) {
	smime, a := switches(i.Account), i.Account
	if !i.Encryption.IsZero() {
		p := identity(i, i.Encryption, "To read your mail")
		list, smime.EncryptionUUID = append(list, p), p.UUID
	}
	switch {
	case i.Signs:
		p := signing(i, f)
		list, smime.SigningUUID = append(list, p), p.UUID
	case i.Signing == i.Encryption:
		smime.SigningUUID = smime.EncryptionUUID
	case !i.Signing.IsZero():
		p := identity(i, i.Signing, "To sign your mail")
		list, smime.SigningUUID = append(list, p), p.UUID
	}
	smime.Sign = smime.Sign && smime.SigningUUID != ""
	smime.Encrypt = smime.Encrypt && smime.EncryptionUUID != ""
	switch a.Kind {
	case appconfig.Exchange:
		list = append(list, exchange(i, smime))
	case appconfig.IMAP:
		list = append(list, imap(i, smime))
	}
	if a.LDAP.Host != "" {
		list = append(list, ldap(i))
	}
	return list
}

func switches(a appconfig.Account) profile.SMIME {
	return profile.SMIME{
		Sign: a.Sign.On, SignChangeable: a.Sign.UserMay, SigningIdentityChangeable: a.Sign.UserMayPick,
		Encrypt: a.Encrypt.On, EncryptChangeable: a.Encrypt.UserMay, EncryptionIdentityChangeable: a.Encrypt.UserMayPick,
		EncryptPerMessage: a.PerMessage,
	}
}

// signing lets the device make its own signing key. Address, challenge and
// payload UUID come when it is sealed. What the certificate says is the CA's
// to decide.
func signing(i plan.Item, f plan.Facts) *profile.SCEP {
	return &profile.SCEP{
		Common:  profile.Named(i.Identifier+".scep", "To sign your mail"),
		Subject: [][][]string{{{"CN", f.User.Mail}}}, AltNames: profile.AltNames{Email: []string{f.User.Mail}},
		KeySize: 2048, KeyUsage: profile.SigningKey, Retries: 3, RetryDelay: 10, Profile: i.Account.SCEPProfile,
	}
}

func exchange(i plan.Item, smime profile.SMIME) *profile.Exchange {
	a := i.Account
	e := &profile.Exchange{
		Common: profile.Named(i.Identifier+".exchange", a.Name), SMIME: smime, EmailAddress: a.Address, UserName: a.User,
		Host: a.Host, SSL: a.SSL, OAuth: a.OAuth, OAuthSignInURL: a.OAuthSignIn, OAuthTokenRequestURL: a.OAuthToken,
		PreventMove: a.NoMove, PreventAppSheet: a.NoAppSheet, NoRecents: a.NoRecents, AllowMailDrop: a.MailDrop, PastDays: a.PastDays,
	}
	set := map[string]struct{ on, may **bool }{
		"mail":      {&e.EnableMail, &e.EnableMailUserOverridable},
		"contacts":  {&e.EnableContacts, &e.EnableContactsUserOverridable},
		"calendars": {&e.EnableCalendars, &e.EnableCalendarsUserOverridable},
		"reminders": {&e.EnableReminders, &e.EnableRemindersUserOverridable},
		"notes":     {&e.EnableNotes, &e.EnableNotesUserOverridable},
	}
	for name, on := range a.Services {
		*set[name].on = &on
	}
	for name, may := range a.ServicesMay {
		*set[name].may = &may
	}
	return e
}

func imap(i plan.Item, smime profile.SMIME) *profile.Mail {
	a, in, out := i.Account, i.Account.Incoming, i.Account.Outgoing
	return &profile.Mail{
		Common: profile.Named(i.Identifier+".mail", a.Name), SMIME: smime, AccountType: "EmailTypeIMAP",
		AccountName: a.Name, FullName: a.FullName, EmailAddress: a.Address,
		IncomingAuth: auths[in.Auth], IncomingHost: in.Host, IncomingPort: in.Port, IncomingSSL: in.SSL,
		IncomingUser: orUser(in, a), IncomingPrefix: in.Prefix,
		OutgoingAuth: auths[out.Auth], OutgoingHost: out.Host, OutgoingPort: out.Port, OutgoingSSL: out.SSL,
		OutgoingUser: orUser(out, a), OutgoingSamePassword: true,
		PreventMove: a.NoMove, PreventAppSheet: a.NoAppSheet, NoRecents: a.NoRecents, AllowMailDrop: a.MailDrop,
	}
}

var auths = map[string]string{
	"none": "EmailAuthNone", "password": "EmailAuthPassword", "cram-md5": "EmailAuthCRAMMD5",
	"ntlm": "EmailAuthNTLM", "http-md5": "EmailAuthHTTPMD5",
}

func orUser(s appconfig.Server, a appconfig.Account) string {
	switch {
	case s.Auth == "none":
		return ""
	case s.User != "":
		return s.User
	}
	return a.User
}

func ldap(i plan.Item) *profile.LDAP {
	l := i.Account.LDAP
	p := &profile.LDAP{Common: profile.Named(i.Identifier+".ldap", l.Name), AccountName: l.Name, Host: l.Host, User: l.User, SSL: l.SSL}
	if l.Base != "" {
		p.Searches = []profile.Search{{Base: l.Base, Scope: scopes[l.Scope]}}
	}
	return p
}

var scopes = map[string]profile.Scope{"base": profile.Base, "one": profile.OneLevel, "subtree": profile.Subtree}
