package appconfig

import "github.com/signet-mdm/signet/internal/fault"

// App is a mail app.
type App string

// The mail apps.
const (
	AppleMail App = "Apple Mail"
	Outlook   App = "Outlook for iOS"
)

// How tells how a key gets into a mail app.
type How string

// The ways.
const (
	Automatic  How = "automatic"
	Assisted   How = "assisted" // the user opens each file in the app himself
	Impossible How = "impossible"
)

// Capability says whether a mail app can have its key for some purpose from
// some source.
type Capability struct {
	App     App    `json:"app" doc:"Mail app"`
	Purpose string `json:"purpose" doc:"signing or encryption"`
	Source  string `json:"source" doc:"Where the key comes from"`
	How     How    `json:"how" doc:"What can be had"`
	Why     string `json:"why" doc:"The reason, for people"`
}

// Capabilities is what each mail app can do, as far as any server can make it.
//
// Spec: Outlook for iOS, S/MIME with a third-party MDM
var Capabilities = []Capability{
	{AppleMail, "signing", SCEP, Automatic, "The device makes the key, and Apple Mail uses it from the system keychain."},
	{AppleMail, "signing", Imported, Automatic, "The imported signing certificate is installed on each device."},
	{AppleMail, "encryption", SCEP, Impossible, "A key that one device made cannot read the mail on the user's other devices, nor any mail of before."},
	{AppleMail, "encryption", Imported, Automatic, "The whole history is installed; that Mail reads old messages with certificates that are not selected is still to be seen on a real device."},
	{Outlook, "signing", SCEP, Impossible, "Outlook cannot use a key that the device made: an app cannot read the system keychain, only Microsoft Intune reaches the keychain that Outlook reads."},
	{Outlook, "signing", Imported, Assisted, "The user opens the certificate file in Outlook himself; no server other than Microsoft Intune can put it there."},
	{Outlook, "encryption", SCEP, Impossible, "A key that one device made cannot read the mail on the user's other devices, nor any mail of before."},
	{Outlook, "encryption", Imported, Assisted, "The user opens each certificate file in Outlook himself; no server other than Microsoft Intune can put them there."},
}

// Can looks a capability up.
func Can(app App, purpose, source string) Capability {
	for _, c := range Capabilities {
		if c.App == app && c.Purpose == purpose && c.Source == source {
			return c
		}
	}
	return Capability{app, purpose, source, Impossible, "There is no key: " + purpose + ".source is " + source + "."}
}

// rule is something that settings may not say together.
type rule struct {
	key    string // the one to complain about, and to drop where policies meet
	broken func(Settings) bool
	why    func(Settings) string
}

var rules = []rule{
	{EncryptionSource, func(s Settings) bool { return s.Text(EncryptionSource) == SCEP },
		func(Settings) string { return Can(AppleMail, "encryption", SCEP).Why }},
	{SigningSource, func(s Settings) bool {
		return s.Text(SigningSource) == SCEP && s.Any(outlook) && !s.Has(AppleAccount)
	}, func(Settings) string {
		return Can(Outlook, "signing", SCEP).Why + " Take signing.source: imported, or set up Apple Mail as well"
	}},
	{outlook + "sign_all", func(s Settings) bool {
		return s.Flag(outlook+"sign_all") && s.Has(SigningSource) && Can(Outlook, "signing", s.Text(SigningSource)).How == Impossible
	}, func(s Settings) string {
		return Can(Outlook, "signing", s.Text(SigningSource)).Why + " With sign_all it could send nothing; take signing.source: imported, or leave sign_all off"
	}},
	{outlook + "encrypt_all", func(s Settings) bool {
		return s.Flag(outlook+"encrypt_all") && s.Text(EncryptionSource) == None
	}, func(s Settings) string { return Can(Outlook, "encryption", None).Why }},
	{outlook + "smime", func(s Settings) bool {
		return s.Has(outlook+"smime") && !s.Flag(outlook+"smime") && (s.Flag(outlook+"sign_all") || s.Flag(outlook+"encrypt_all"))
	}, says("sign_all and encrypt_all need smime: true")},
	{apple + "sign", func(s Settings) bool { return s.Flag(apple+"sign") && s.Text(SigningSource) == None },
		says("there is no key to sign with: signing.source is none")},
	{apple + "oauth", func(s Settings) bool { return s.Flag(apple+"oauth") && s.Text(AppleAccount) == IMAP },
		says("modern authentication is for Exchange accounts")},
	{apple + "services.mail", func(s Settings) bool {
		for _, n := range []string{"mail", "contacts", "calendars", "reminders", "notes"} {
			if k := apple + "services." + n; !s.Has(k) || s.Flag(k) {
				return false
			}
		}
		return true
	}, says("an account with all services off is none")},
}

func says(sentence string) func(Settings) string { return func(Settings) string { return sentence } }

// whole are the rules for what is complete only when all policies have met.
var whole = []rule{
	{AppleAccount, func(s Settings) bool {
		return s.Text(AppleAccount) == Exchange && s.Text(apple+"host") == "" &&
			(!s.Flag(apple+"oauth") || s.Has(apple+"oauth_sign_in_url"))
	}, says("an Exchange account needs a host, or modern authentication without a sign-in URL")},
	{AppleAccount, func(s Settings) bool {
		return s.Text(AppleAccount) == IMAP && (s.Text(apple+"incoming.host") == "" || s.Text(apple+"outgoing.host") == "")
	}, says("an IMAP account needs incoming.host and outgoing.host")},
	{apple + "ldap.host", func(s Settings) bool { return s.Any(apple+"ldap.") && s.Text(apple+"ldap.host") == "" },
		says("the directory needs a host")},
}

// judge refuses what a policy may not say by itself.
func judge(s Settings, lines map[string]int) error {
	for _, r := range rules {
		if !r.broken(s) {
			continue
		}
		return atLine(lines[r.key], impossibleOr(r.key), r.key+": "+r.why(s))
	}
	return nil
}

// impossibleOr tells what sort of refusal it is.
func impossibleOr(key string) *fault.Error {
	switch key {
	case EncryptionSource, SigningSource, outlook + "sign_all", outlook + "encrypt_all":
		return ErrImpossible
	}
	return ErrValue
}
