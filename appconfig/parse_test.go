package appconfig_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	docs, err := appconfig.Parse(read(t, "everybody.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := appconfig.Policy{
		Name: "everybody", Priority: 10,
		Assign: appconfig.Assignment{All: true, Exclude: appconfig.Exclusion{Groups: []string{"Contractors"}}},
		Settings: appconfig.Settings{
			"signing.source": "scep", "signing.profile": "smime-signing", "encryption.source": "imported",
			"mail.apple.account": "exchange", "mail.apple.name": "Example Mail", "mail.apple.host": "mail.example.com",
			"mail.apple.past_days": int64(31), "mail.apple.services.mail": true, "mail.apple.services.notes": false,
			"mail.apple.services.notes.user_change": false, "mail.apple.sign": true, "mail.apple.encrypt": true,
			"mail.apple.encrypt.user_change": true, "mail.apple.encrypt.per_message": true,
			"mail.apple.ldap.host": "ldap.example.com", "mail.apple.ldap.base": "ou=people,o=example",
			"mail.outlook.smime": true, "mail.outlook.smime.user_change": false,
			"mail.outlook.sign_all": false, "mail.outlook.sign_all.user_change": true,
			"mail.outlook.encrypt_all": false, "mail.outlook.encrypt_all.user_change": true,
			"mail.outlook.ldap_url": "ldaps://certs.example.com:636",
			"mail.outlook.keys.com.microsoft.outlook.Mail.FocusedInbox":                false,
			"mail.outlook.keys.com.microsoft.outlook.Auth.Biometric.UserChangeAllowed": false,
			"mail.outlook.keys.IntuneMAMAllowedAccountsOnly":                           "Enabled",
			"mail.outlook.keys.com.example.future":                                     "{{mail}}",
		},
	}
	if diff := cmp.Diff(want, docs.Policies[0].Policy); diff != "" {
		t.Error(diff)
	}
}

func TestParseOtherForms(t *testing.T) {
	file := `
---
{"kind": "Policy", "name": "json", "mail": {"apple": {"account": "none"}}}
---
kind: User
mail: Alice@Example.COM
aliases: [B@example.com, a@example.com, alice@example.com]
disabled: true
---
kind: Group
name: Finance
members: [alice@example.com]
---
kind: Policy
name: gone
remove: true
`
	docs, err := appconfig.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(docs.Policies) != 2 || docs.Policies[0].Settings.Text("mail.apple.account") != "none" || !docs.Policies[1].Remove {
		t.Errorf("policies: %+v", docs.Policies)
	}
	users := []subject.User{{Mail: "alice@example.com", Aliases: []string{"a@example.com", "b@example.com"}, Disabled: true}}
	if diff := cmp.Diff(users, docs.Users); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]appconfig.Group{{Name: "Finance", Members: []string{"alice@example.com"}}}, docs.Groups); diff != "" {
		t.Error(diff)
	}
}

// in wraps settings of a policy; they begin at line 3.
func in(settings string) string { return "kind: Policy\nname: p\n" + settings }

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want *fault.Error
		says string
	}{
		"no yaml":            {"kind: [", appconfig.ErrDocument, "The file cannot be read as YAML, line 1."},
		"a list":             {"- kind: Policy", appconfig.ErrDocument, "Line 1: here must stand keys with values."},
		"no kind":            {"name: x", appconfig.ErrDocument, "Line 1: kind must be Policy, User, Group or CertificateProfile."},
		"another kind":       {"kind: Device", appconfig.ErrDocument, "Line 1: kind must be Policy, User, Group or CertificateProfile."},
		"no name":            {"kind: Policy\npriority: 1", appconfig.ErrDocument, "A policy needs a name."},
		"two of a name":      {in("") + "---\n" + in(""), appconfig.ErrDocument, "The file has two documents for the policy p."},
		"a key twice":        {in("priority: 1\npriority: 2"), appconfig.ErrDocument, "Line 4: priority stands twice."},
		"an alias":           {in("assign: &a {all: true}\nsigning: *a"), appconfig.ErrDocument, "Line 4: aliases are not used in these documents."},
		"a removed one says": {in("remove: true\nsigning: {source: scep}"), appconfig.ErrDocument, "The policy p is to be removed and has settings."},
		"user without mail":  {"kind: User\nname: Alice", appconfig.ErrDocument, "A user needs mail, the address."},
		"user's address":     {"kind: User\nmail: nobody", appconfig.ErrValue, "Line 2: mail is not a mail address."},
		"group's members":    {"kind: Group\nname: g\nmembers: alice", appconfig.ErrValue, "Line 3: members must be a list."},

		"unknown":            {in("colour: red"), appconfig.ErrSetting, "Line 3: there is no setting colour."},
		"misspelled":         {in("mail:\n  aple:\n    account: none"), appconfig.ErrSetting, "Line 4: there is no setting mail.aple; perhaps mail.apple is meant."},
		"misspelled setting": {in("mail:\n  apple:\n    acount: none"), appconfig.ErrSetting, "Line 5: there is no setting mail.apple.acount; perhaps mail.apple.account is meant."},
		"hostile":            {in("\"a\\u0000\\u202e\": 1"), appconfig.ErrSetting, "Line 3: there is no setting a??."},
		"merge key":          {in("<<: {priority: 1}"), appconfig.ErrSetting, "Line 3: there is no setting <<."},

		"no flag":            {in("mail: {apple: {account: none, sign: yes}}"), appconfig.ErrValue, "Line 3: mail.apple.sign must be true or false."},
		"no number":          {in("priority: high"), appconfig.ErrValue, "Line 3: priority must be a number."},
		"no choice":          {in("signing: {source: magic}"), appconfig.ErrValue, "Line 3: signing.source must be one of scep, imported, none."},
		"no text":            {in("signing: {source: [scep]}"), appconfig.ErrValue, "Line 3: signing.source must be text."},
		"null":               {in("signing: {source: }"), appconfig.ErrValue, "Line 3: signing.source must be text."},
		"control characters": {in(`mail: {apple: {name: "a\u0007"}}`), appconfig.ErrValue, "Line 3: mail.apple.name is too long or has control characters."},
		"too long":           {in("mail: {apple: {name: " + strings.Repeat("a", 1001) + "}}"), appconfig.ErrValue, "Line 3: mail.apple.name is too long or has control characters."},
		"days":               {in("mail: {apple: {past_days: 30}}"), appconfig.ErrValue, "Line 3: mail.apple.past_days must be one of 0, 1, 3, 7, 14, 31."},
		"host":               {in("mail: {apple: {host: https://mail.example.com}}"), appconfig.ErrValue, "Line 3: mail.apple.host must be a host name, without scheme and port."},
		"port":               {in("mail: {apple: {incoming: {port: 70000}}}"), appconfig.ErrValue, "Line 3: mail.apple.incoming.port must be a port from 1 to 65535."},
		"ldap with base":     {in("mail: {outlook: {ldap_url: ldaps://h/dc=x}}"), appconfig.ErrValue, "Line 3: mail.outlook.ldap_url must be like ldaps://host:636, without a search base: Outlook takes none."},
		"no template":        {in("mail: {apple: {ldap: {base: '{{mail}}'}}}"), appconfig.ErrValue, "Line 3: mail.apple.ldap.base takes no {{variables}}."},
		"unknown variable":   {in("mail: {apple: {user: '{{password}}'}}"), appconfig.ErrValue, "Line 3: mail.apple.user: There is no variable {{password}}."},
		"stray brace":        {in("mail: {outlook: {address: '{mail}'}}"), appconfig.ErrValue, "Line 3: mail.outlook.address: The template has an unclosed or stray brace."},

		"encryption by SCEP": {in("encryption: {source: scep}"), appconfig.ErrImpossible,
			"Line 3: encryption.source: A key that one device made cannot read the mail on the user's other devices, nor any mail of before."},
		"Outlook only, signing by SCEP": {in("signing: {source: scep}\nmail: {outlook: {smime: true}}"), appconfig.ErrImpossible,
			"Line 3: signing.source: Outlook cannot use a key that the device made: an app cannot read the system keychain, only Microsoft Intune reaches the keychain that Outlook reads. Take signing.source: imported, or set up Apple Mail as well."},
		"Outlook signs all by SCEP": {in("signing: {source: scep}\nmail:\n  apple: {account: none}\n  outlook:\n    smime: true\n    sign_all: true"), appconfig.ErrImpossible,
			"Line 8: mail.outlook.sign_all: Outlook cannot use a key that the device made: an app cannot read the system keychain, only Microsoft Intune reaches the keychain that Outlook reads. With sign_all it could send nothing; take signing.source: imported, or leave sign_all off."},
		"Outlook signs all with nothing": {in("signing: {source: none}\nmail: {outlook: {sign_all: true}}"), appconfig.ErrImpossible,
			"Line 4: mail.outlook.sign_all: There is no key: signing.source is none. With sign_all it could send nothing; take signing.source: imported, or leave sign_all off."},
		"Outlook encrypts with nothing": {in("encryption: {source: none}\nmail: {outlook: {encrypt_all: true}}"), appconfig.ErrImpossible,
			"Line 4: mail.outlook.encrypt_all: There is no key: encryption.source is none."},
		"certificates from Intune": {in("mail: {outlook: {keys: {com.microsoft.outlook.Mail.SMIMEEnabled.CertsFromIntune: true}}}"), appconfig.ErrImpossible,
			"Line 3: CertsFromIntune makes Outlook wait for certificates from Microsoft Intune, which this server is not."},
		"app protection": {in("mail: {outlook: {keys: {com.microsoft.outlook.AddinsAvailable.IntuneMAMOnly: true}}}"), appconfig.ErrImpossible,
			"Line 3: com.microsoft.outlook.AddinsAvailable.IntuneMAMOnly is for the Intune app protection service; through device management Outlook ignores it."},
		"contact sync": {in("mail: {outlook: {keys: {com.microsoft.outlook.ContactSync.NotesAllowed: false}}}"), appconfig.ErrImpossible,
			"Line 3: com.microsoft.outlook.ContactSync.NotesAllowed is for the Intune app protection service; through device management Outlook ignores it."},
		"Android": {in("mail: {outlook: {keys: {com.microsoft.outlook.Calendar.NativeSyncEnabled: true}}}"), appconfig.ErrImpossible,
			"Line 3: com.microsoft.outlook.Calendar.NativeSyncEnabled exists on Android only."},
		"a key of our own": {in("mail: {outlook: {keys: {IntuneMAMUPN: x}}}"), appconfig.ErrSetting,
			"Line 3: say mail.outlook.upn instead of IntuneMAMUPN."},
		"case of a key": {in("mail: {outlook: {keys: {com.microsoft.outlook.mail.focusedinbox: true}}}"), appconfig.ErrSetting,
			"Line 3: Outlook's keys are case-sensitive: com.microsoft.outlook.Mail.FocusedInbox."},
		"text for a switch": {in("mail: {outlook: {keys: {com.microsoft.outlook.Mail.FocusedInbox: 'yes'}}}"), appconfig.ErrValue,
			"Line 3: com.microsoft.outlook.Mail.FocusedInbox must be true or false."},
		"another word": {in("mail: {outlook: {keys: {IntuneMAMAllowedAccountsOnly: true}}}"), appconfig.ErrValue,
			"Line 3: IntuneMAMAllowedAccountsOnly must be one of Enabled, Disabled."},
		"all services off": {in("mail: {apple: {services: {mail: false, contacts: false, calendars: false, reminders: false, notes: false}}}"), appconfig.ErrValue,
			"Line 3: mail.apple.services.mail: an account with all services off is none."},
		"IMAP with modern authentication": {in("mail: {apple: {account: imap, oauth: true}}"), appconfig.ErrValue,
			"Line 3: mail.apple.oauth: modern authentication is for Exchange accounts."},
		"signs with nothing": {in("signing: {source: none}\nmail: {apple: {account: none, sign: true}}"), appconfig.ErrValue,
			"Line 4: mail.apple.sign: there is no key to sign with: signing.source is none."},
		"S/MIME off and on": {in("mail: {outlook: {smime: false, encrypt_all: true}}"), appconfig.ErrValue,
			"Line 3: mail.outlook.smime: sign_all and encrypt_all need smime: true."},
		"too large": {strings.Repeat("#", 1<<20+1), appconfig.ErrTooLarge, "The file is too large."},
		"too many":  {strings.Repeat("---\n{}\n", 1001), appconfig.ErrDocument, "Line 2: kind must be Policy, User, Group or CertificateProfile."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := appconfig.Parse([]byte(c.file))
			if f := fault.Of(err); !errors.Is(err, c.want) || f.Msg != c.says {
				t.Errorf("got %v\nwant %s %s", err, c.want.Code, c.says)
			}
		})
	}
}

func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range appconfig.Table {
		if s.Doc == "" || s.Key == "" || seen[s.Key] {
			t.Errorf("the setting %q has no text or stands twice", s.Key)
		}
		seen[s.Key] = true
	}
	for _, c := range appconfig.Capabilities {
		if !strings.HasSuffix(c.Why, ".") {
			t.Errorf("%s, %s by %s: no sentence says why", c.App, c.Purpose, c.Source)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(read(f, "everybody.yaml"))
	f.Add([]byte("kind: User\nmail: a@example.com\n---\nkind: Group\nname: g\nmembers: [a@example.com]\n"))
	f.Add([]byte(`{"kind":"Policy","name":"x","mail":{"outlook":{"keys":{"a":1}}}}`))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		docs, err := appconfig.Parse(file)
		if err != nil {
			if fault.Of(err) == nil {
				t.Errorf("refused without a code: %v", err)
			}
			return
		}
		for _, d := range docs.Policies {
			d.In.All = true
			e := appconfig.Resolve([]appconfig.Policy{d.Policy}, alice, subject.Device{})
			e.Account()
			if _, err := e.OutlookPlist(); err != nil {
				t.Errorf("what was taken cannot be sent: %v", err)
			}
		}
	})
}
