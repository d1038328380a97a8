package phone

import (
	"context"
	"slices"
)

// Account is a mail or directory account as a profile configured it.
type Account struct {
	ID         string // stays while the payload is updated in place
	Kind       string // "exchange", "imap", "pop", "ldap", "webclip"
	Email      string
	Host       string
	UserName   string
	Profile    string // PayloadIdentifier of the profile
	Payload    string // PayloadIdentifier of the payload
	ClientAuth *Identity
	SMIME      SMIME
}

// SMIME is the S/MIME part of a mail account.
type SMIME struct {
	Sign             bool
	Signing          *Identity
	EncryptByDefault bool
	Encryption       *Identity // decrypts, and goes along with signed mail
	PerMessageSwitch bool      // the lock beside the address field
	UserMay          []string  // the settings the user may change, as named by their keys
}

// account records an account under its payload. One that is updated in place
// stays the same account; any other is new, and Mail fetches everything again.
func (in *installation) account(a *Account, item *Payload) {
	a.ID = uuidOf(in.phone.cfg.Rand)
	if old := in.before(*item); old != nil && old.Account != nil {
		a.ID = old.Account.ID
	}
	a.Profile, a.Payload = in.profile.Identifier, item.Identifier
	item.Account = a
}

// Spec: Apple, com.apple.eas.account
func (in *installation) exchange(_ context.Context, d dict, item *Payload) error {
	d = forget(d, payloadKinds[item.Type].keys, in.phone.os)
	bad := func(code int, what string) error {
		return payloadErr(code, "The Exchange account %q %s.", item.Identifier, what)
	}
	switch days := d.integer("MailNumberOfPastDaysToSync"); {
	case in.from == byMDM && d.str("UserName") == "":
		return bad(2002, "has no UserName, which an installation by MDM needs")
	case d.str("Host") == "" && (!d.flag("OAuth") || d.has("OAuthSignInURL")):
		return bad(2002, "has no Host")
	case d.flag("OAuth") && d.has("Password"):
		return bad(2004, "has OAuth and a password")
	case d.has("Password") && !in.profile.Encrypted:
		return bad(2004, "has a password in a profile that is not encrypted")
	case d.has("MailNumberOfPastDaysToSync") && !slices.Contains([]int64{0, 1, 3, 7, 14, 31}, days):
		return bad(2004, "has a MailNumberOfPastDaysToSync that is not offered")
	case !anyOn(d, "EnableMail", "EnableContacts", "EnableCalendars", "EnableReminders", "EnableNotes"):
		return bad(2004, "has everything switched off")
	}
	in.account(&Account{
		Kind: "exchange", Email: d.str("EmailAddress"), Host: d.str("Host"), UserName: d.str("UserName"),
		ClientAuth: in.identity(d.str("PayloadCertificateUUID")), SMIME: in.smime(d),
	}, item)
	return nil
}

// anyOn reports whether one of several switches that default to on is on.
func anyOn(d dict, keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return !d.has(k) || d.flag(k) })
}

var (
	mailKinds = map[string]string{"EmailTypeIMAP": "imap", "EmailTypePOP": "pop"}
	mailAuths = []string{"EmailAuthNone", "EmailAuthPassword", "EmailAuthCRAMMD5", "EmailAuthNTLM", "EmailAuthHTTPMD5"}
)

// Spec: Apple, com.apple.mail.managed
func (in *installation) mail(_ context.Context, d dict, item *Payload) error {
	d = forget(d, payloadKinds[item.Type].keys, in.phone.os)
	bad := func(what string) error {
		return payloadErr(2004, "The mail account %q %s.", item.Identifier, what)
	}
	switch kind := mailKinds[d.str("EmailAccountType")]; {
	case kind == "":
		return bad("has an unknown EmailAccountType")
	case !slices.Contains(mailAuths, d.str("IncomingMailServerAuthentication")), !slices.Contains(mailAuths, d.str("OutgoingMailServerAuthentication")):
		return bad("has an unknown kind of authentication")
	case (d.has("IncomingPassword") || d.has("OutgoingPassword")) && !in.profile.Encrypted:
		return bad("has a password in a profile that is not encrypted")
	default:
		in.account(&Account{
			Kind: kind, Email: d.str("EmailAddress"), Host: d.str("IncomingMailServerHostName"),
			UserName: d.str("IncomingMailServerUsername"), SMIME: in.smime(d),
		}, item)
	}
	return nil
}

// smime reads the S/MIME settings as this iOS version does: SMIMEEnabled
// counted until iOS 9, SMIMEEncryptionEnabled until iOS 11.
func (in *installation) smime(d dict) SMIME {
	s := SMIME{
		Sign:             d.flag("SMIMESigningEnabled"),
		Signing:          in.identity(d.str("SMIMESigningCertificateUUID")),
		EncryptByDefault: d.flag("SMIMEEncryptByDefault"),
		Encryption:       in.identity(d.str("SMIMEEncryptionCertificateUUID")),
		PerMessageSwitch: d.flag("SMIMEEnableEncryptionPerMessageSwitch"),
	}
	if !in.phone.os.atLeast(version{12, 0}) {
		s.EncryptByDefault = d.flag("SMIMEEncryptionEnabled")
		s.PerMessageSwitch = d.flag("SMIMEEnablePerMessageSwitch")
	}
	if !in.phone.os.atLeast(version{10, 0}) {
		s.Sign = d.flag("SMIMEEnabled")
		s.EncryptByDefault = d.flag("SMIMEEnabled")
	}
	for _, key := range []string{
		"SMIMESigningUserOverrideable", "SMIMESigningCertificateUUIDUserOverrideable",
		"SMIMEEncryptByDefaultUserOverrideable", "SMIMEEncryptionCertificateUUIDUserOverrideable",
	} {
		if d.flag(key) {
			s.UserMay = append(s.UserMay, key)
		}
	}
	return s
}

// Spec: Apple, com.apple.ldap.account
func (in *installation) ldap(_ context.Context, d dict, item *Payload) error {
	if d.has("LDAPAccountPassword") && !in.profile.Encrypted {
		return payloadErr(2004, "The directory account %q has a password in a profile that is not encrypted.", item.Identifier)
	}
	for _, v := range d.array("LDAPSearchSettings") {
		m, ok := v.(map[string]any)
		if !ok {
			return payloadErr(2003, "LDAPSearchSettings of %q is not an array of dictionaries.", item.Identifier)
		}
		if err := checkKeys(m, ldapSearchKeys, "LDAPSearchSettings of "+item.Identifier); err != nil {
			return err
		}
		switch scope := dict(m).str("LDAPSearchSettingScope"); scope {
		case "", "LDAPSearchSettingScopeBase", "LDAPSearchSettingScopeOneLevel", "LDAPSearchSettingScopeSubtree":
		default:
			return payloadErr(2004, "LDAPSearchSettings of %q has an unknown scope.", item.Identifier)
		}
	}
	in.account(&Account{Kind: "ldap", Host: d.str("LDAPAccountHostName"), UserName: d.str("LDAPAccountUserName")}, item)
	return nil
}

// webClip puts a link on the Home Screen; the icon needs nothing of us.
func (in *installation) webClip(_ context.Context, d dict, item *Payload) error {
	in.account(&Account{Kind: "webclip", Host: d.str("URL"), UserName: d.str("Label")}, item)
	return nil
}
