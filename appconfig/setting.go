package appconfig

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Type is what sort of value a setting has.
type Type string

// The types.
const (
	Flag   Type = "true or false"
	Text   Type = "text"
	Number Type = "number"
)

// Setting is one thing that a policy can say.
type Setting struct {
	Key      string
	Type     Type
	Choices  []string // the only values; none: any
	Check    func(value string) string
	Template bool   // {{variables}} are replaced
	Default  any    // what holds when no policy says; nil: nothing
	Doc      string // for people
}

// Keys that the code asks for by name.
const (
	SigningSource    = "signing.source"
	SigningProfile   = "signing.profile"
	EncryptionSource = "encryption.source"
	AppleAccount     = "mail.apple.account"
	OutlookInstall   = "mail.outlook.install"
	OutlookKeys      = "mail.outlook.keys." // prefix: any key of Outlook's own
	apple            = "mail.apple."
	outlook          = "mail.outlook."
	userChange       = ".user_change"
)

// usualProfile is the certificate profile that is always there.
const usualProfile = "smime-signing"

// Where keys come from.
const (
	SCEP     = "scep"     // the device makes the key and gets a certificate for it
	Imported = "imported" // out of the user's imported identities
	None     = "none"
)

// Accounts that can be set up in Apple Mail.
const (
	Exchange = "exchange"
	IMAP     = "imap"
)

// Table has every setting, in the order of the documentation.
var Table = slices.Concat(
	[]Setting{
		{Key: SigningSource, Type: Text, Choices: []string{SCEP, Imported, None}, Default: None, Doc: "Where the signing key comes from."},
		{Key: SigningProfile, Type: Text, Default: usualProfile, Doc: "The certificate profile for signing keys made on the device: one with delivery: true."},
		{Key: EncryptionSource, Type: Text, Choices: []string{SCEP, Imported, None}, Default: None, Doc: "Where the encryption keys come from: the user's imported history."},
		{Key: AppleAccount, Type: Text, Choices: []string{Exchange, IMAP, None}, Doc: "The account to set up in Apple Mail; none installs the certificates only."},
		{Key: apple + "name", Type: Text, Template: true, Doc: "What the account is called on the device."},
		{Key: apple + "address", Type: Text, Template: true, Default: "{{mail}}", Doc: "Mail address of the account."},
		{Key: apple + "user", Type: Text, Template: true, Default: "{{userprincipalname}}", Doc: "Name to sign in with."},
		{Key: apple + "full_name", Type: Text, Template: true, Default: "{{displayname}}", Doc: "The sender's name (IMAP)."},
		{Key: apple + "host", Type: Text, Check: host, Doc: "Exchange server."},
		{Key: apple + "ssl", Type: Flag, Default: true, Doc: "Encrypt the connection (Exchange)."},
		{Key: apple + "oauth", Type: Flag, Default: false, Doc: "Sign in with modern authentication (Exchange)."},
		{Key: apple + "oauth_sign_in_url", Type: Text, Check: https, Doc: "Where to sign in; switches autodiscovery off."},
		{Key: apple + "oauth_token_url", Type: Text, Check: https, Doc: "Where tokens are fetched."},
		{Key: apple + "past_days", Type: Number, Choices: []string{"0", "1", "3", "7", "14", "31"}, Doc: "Days of mail to fetch; 0 is all (Exchange)."},
	},
	services("mail", "contacts", "calendars", "reminders", "notes"),
	server("incoming", "IMAP"), server("outgoing", "SMTP"),
	[]Setting{
		{Key: apple + "incoming.prefix", Type: Text, Doc: "IMAP path prefix."},
		{Key: apple + "prevent_move", Type: Flag, Default: false, Doc: "Messages cannot be moved to other accounts."},
		{Key: apple + "prevent_app_sheet", Type: Flag, Default: false, Doc: "Other apps cannot send with this account."},
		{Key: apple + "no_recents", Type: Flag, Default: false, Doc: "Recently used addresses are not synchronised."},
		{Key: apple + "mail_drop", Type: Flag, Default: false, Doc: "Large attachments may go through iCloud."},
	},
	change(Setting{Key: apple + "sign", Type: Flag, Default: false, Doc: "Sign all mail."}, false),
	change(Setting{Key: apple + "encrypt", Type: Flag, Default: false, Doc: "Encrypt all mail."}, false),
	[]Setting{
		{Key: apple + "sign.choose_certificate", Type: Flag, Default: false, Doc: "The user may choose the signing certificate."},
		{Key: apple + "encrypt.choose_certificate", Type: Flag, Default: false, Doc: "The user may choose the encryption certificate."},
		{Key: apple + "encrypt.per_message", Type: Flag, Default: true, Doc: "A lock beside the recipients switches encryption for one message."},
		{Key: apple + "ldap.host", Type: Text, Check: host, Doc: "Directory to look up people in."},
		{Key: apple + "ldap.name", Type: Text, Doc: "What the directory is called on the device."},
		{Key: apple + "ldap.ssl", Type: Flag, Default: true, Doc: "Encrypt the connection."},
		{Key: apple + "ldap.user", Type: Text, Template: true, Doc: "Name to sign in with; none is anonymous."},
		{Key: apple + "ldap.base", Type: Text, Doc: "Where the search begins."},
		{Key: apple + "ldap.scope", Type: Text, Choices: []string{"base", "one", "subtree"}, Default: "subtree", Doc: "How deep the search goes."},
		{Key: OutlookInstall, Type: Flag, Default: true, Doc: "Install Outlook, or take over the one that is there: only a managed app takes settings."},
		{Key: outlook + "account_setup", Type: Flag, Default: true, Doc: "Outlook finds the account; the user only signs in."},
		{Key: outlook + "address", Type: Text, Template: true, Default: "{{mail}}", Doc: "Mail address of the account."},
		{Key: outlook + "upn", Type: Text, Template: true, Default: "{{userprincipalname}}", Doc: "Name to sign in with."},
		{Key: outlook + "ldap_url", Type: Text, Check: ldapURL, Doc: "Directory with certificates, asked anonymously."},
	},
	change(Setting{Key: outlook + "smime", Type: Flag, Doc: "Switch S/MIME on in Outlook."}, true),
	change(Setting{Key: outlook + "sign_all", Type: Flag, Doc: "Sign all mail."}, true),
	change(Setting{Key: outlook + "encrypt_all", Type: Flag, Doc: "Encrypt all mail."}, true),
)

// change adds to a setting whether the user may change it; may is what holds
// when no policy says.
func change(s Setting, may any) []Setting {
	return []Setting{s, {Key: s.Key + userChange, Type: Flag, Default: may, Doc: "The user may change that."}}
}

func services(names ...string) (list []Setting) {
	for _, n := range names {
		list = append(list, change(Setting{Key: apple + "services." + n, Type: Flag, Doc: "The Exchange account has " + n + "."}, nil)...)
	}
	return list
}

func server(name, protocol string) []Setting {
	p := apple + name
	return []Setting{
		{Key: p + ".host", Type: Text, Check: host, Doc: protocol + " server."},
		{Key: p + ".port", Type: Number, Check: port, Doc: "Its port; the device's default when not set."},
		{Key: p + ".ssl", Type: Flag, Default: true, Doc: "Encrypt the connection."},
		{Key: p + ".auth", Type: Text, Choices: []string{"none", "password", "cram-md5", "ntlm", "http-md5"}, Default: "password", Doc: "How to sign in."},
		{Key: p + ".user", Type: Text, Template: true, Doc: "Name to sign in with, if not mail.apple.user."},
	}
}

var byKey = func() map[string]*Setting {
	m := make(map[string]*Setting, len(Table))
	for i := range Table {
		m[Table[i].Key] = &Table[i]
	}
	return m
}()

// group tells whether keys begin with that name and a dot.
func group(name string) bool {
	return slices.ContainsFunc(Table, func(s Setting) bool { return strings.HasPrefix(s.Key, name+".") })
}

// refuse tells why the setting cannot have that value, "" when it can.
func (s *Setting) refuse(v any) string {
	text := fmt.Sprint(v)
	if len(s.Choices) > 0 && !slices.Contains(s.Choices, text) {
		return "must be one of " + strings.Join(s.Choices, ", ")
	}
	if s.Check != nil {
		return s.Check(text)
	}
	return ""
}

func host(v string) string {
	if v == "" || len(v) > 253 || strings.ContainsAny(v, "/:@ {}") {
		return "must be a host name, without scheme and port"
	}
	return ""
}

func port(v string) string {
	if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 65535 {
		return "must be a port from 1 to 65535"
	}
	return ""
}

func https(v string) string {
	if u, err := url.Parse(v); err != nil || u.Scheme != "https" || u.Host == "" {
		return "must be an https URL"
	}
	return ""
}

// Spec: Outlook for iOS, com.microsoft.outlook.Mail.SMIMEEnabled.LDAPHostName
func ldapURL(v string) string {
	u, err := url.Parse(v)
	if err == nil && (u.Scheme == "ldap" || u.Scheme == "ldaps") && u.Host != "" && u.Path == "" && u.User == nil && u.RawQuery == "" {
		return ""
	}
	return "must be like ldaps://host:636, without a search base: Outlook takes none"
}
