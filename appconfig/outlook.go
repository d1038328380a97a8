package appconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/plist"
)

// The app.
const (
	OutlookBundle = "com.microsoft.Office.Outlook"
	OutlookStore  = 951937596 // its App Store id
)

// Outlook's own names. They are case-sensitive.
//
// Spec: Outlook for iOS, managed app configuration
const (
	smimeKey     = "com.microsoft.outlook.Mail.SMIMEEnabled"
	signAllKey   = smimeKey + ".SignAllMail"
	encryptKey   = smimeKey + ".EncryptAllMail"
	ldapKey      = smimeKey + ".LDAPHostName"
	intuneKey    = smimeKey + ".CertsFromIntune"
	profileKey   = "com.microsoft.outlook.EmailProfile."
	mamUPNKey    = "IntuneMAMUPN"
	changeSuffix = ".UserChangeAllowed"
)

// general are Outlook's other settings, with whether they have a companion that
// says if the user may change them.
var general = map[string]bool{
	"com.microsoft.outlook.Mail.FocusedInbox":                          false,
	"com.microsoft.outlook.Auth.Biometric":                             true,
	"com.microsoft.outlook.Contacts.LocalSyncEnabled":                  true,
	"com.microsoft.outlook.Mail.ExternalRecipientsToolTipEnabled":      false,
	"com.microsoft.outlook.Mail.BlockExternalImagesEnabled":            true,
	"com.microsoft.outlook.Mail.DefaultSignatureEnabled":               false,
	"com.microsoft.outlook.Mail.SuggestedRepliesEnabled":               true,
	"com.microsoft.outlook.Mail.OfficeFeedEnabled":                     false,
	"com.microsoft.outlook.Mail.OrganizeByThreadEnabled":               false,
	"com.microsoft.outlook.Mail.PlayMyEmailsEnabled":                   false,
	"com.microsoft.outlook.Mail.TextPredictionsEnabled":                true,
	"com.microsoft.outlook.Settings.ThemesEnabled":                     false,
	"com.microsoft.outlook.Settings.OpenLinks.UseSystemDefaultBrowser": false,
}

// texts are keys whose value is text, with the values they may have.
var texts = map[string][]string{
	"IntuneMAMAllowedAccountsOnly": {"Enabled", "Disabled"},
}

// switches are further keys that are true or false.
var switches = []string{"com.microsoft.outlook.Settings.OpenLinks.UserChangeAllowed"}

// ours are the keys that have a setting of their own.
var ours = map[string]string{
	smimeKey: "smime", smimeKey + changeSuffix: "smime.user_change",
	signAllKey: "sign_all", signAllKey + changeSuffix: "sign_all.user_change",
	encryptKey: "encrypt_all", encryptKey + changeSuffix: "encrypt_all.user_change",
	ldapKey:                     "ldap_url",
	profileKey + "EmailAddress": "address", profileKey + "EmailUPN": "upn", profileKey + "AccountType": "account_setup",
	mamUPNKey: "upn",
}

// refuseOutlookKey tells why a key cannot be sent to Outlook with that value;
// nil when it can. Keys that nobody here knows are sent as they are.
func refuseOutlookKey(key string, v any) (*fault.Error, string) {
	switch {
	case key == intuneKey:
		return refuseIntune(v)
	case appProtection(key):
		return ErrImpossible, printable(key) + " is for the Intune app protection service; through device management Outlook ignores it"
	case strings.HasPrefix(key, "com.microsoft.outlook.Calendar.NativeSync"), key == "com.microsoft.intune.mam.AllowedAccountUPNs":
		return ErrImpossible, printable(key) + " exists on Android only"
	case ours[key] != "":
		return ErrSetting, "say mail.outlook." + ours[key] + " instead of " + printable(key)
	}
	if known := spelled(key); known != "" && known != key {
		return ErrSetting, "Outlook's keys are case-sensitive: " + known
	}
	return wrongOutlookValue(key, v)
}

func refuseIntune(v any) (*fault.Error, string) {
	if v == false {
		return nil, ""
	}
	return ErrImpossible, "CertsFromIntune makes Outlook wait for certificates from Microsoft Intune, which this server is not"
}

// Spec: Intune, app configuration keys for managed apps only
func appProtection(key string) bool {
	return strings.HasSuffix(key, ".IntuneMAMOnly") || key == "com.microsoft.intune.mam.areWearablesAllowed" ||
		strings.HasPrefix(key, "com.microsoft.outlook.ContactSync.")
}

func wrongOutlookValue(key string, v any) (*fault.Error, string) {
	want, isText := texts[key]
	text, is := v.(string)
	_, flag := v.(bool)
	switch {
	case isText && (!is || !slices.Contains(want, text)):
		return ErrValue, key + " must be one of " + strings.Join(want, ", ")
	case !isText && spelled(key) != "" && !flag:
		return ErrValue, key + " must be true or false"
	case is:
		if why := refuseTemplate(text); why != "" {
			return ErrValue, printable(key) + ": " + why
		}
	}
	return nil, ""
}

// spelled gives the known key that differs at most in case, "" for none.
func spelled(key string) string {
	for known, companion := range general {
		if strings.EqualFold(known, key) {
			return known
		}
		if companion && strings.EqualFold(known+changeSuffix, key) {
			return known + changeSuffix
		}
	}
	for known := range texts {
		if strings.EqualFold(known, key) {
			return known
		}
	}
	for _, known := range switches {
		if strings.EqualFold(known, key) {
			return known
		}
	}
	for known := range ours {
		if strings.EqualFold(known, key) {
			return known
		}
	}
	return ""
}

// OutlookConfig is what Outlook gets: its managed app configuration, nil when
// no policy says anything about Outlook. The values are bools, numbers and
// text, with all variables replaced.
func (e Effective) OutlookConfig() map[string]any {
	s := e.Settings
	if !e.outlook {
		return nil
	}
	c := map[string]any{mamUPNKey: s.Text(outlook + "upn")}
	if s.Flag(outlook + "account_setup") {
		c[profileKey+"EmailAddress"] = s.Text(outlook + "address")
		c[profileKey+"EmailUPN"] = s.Text(outlook + "upn")
		c[profileKey+"AccountType"] = "ModernAuth"
	}
	for key, name := range map[string]string{"smime": smimeKey, "sign_all": signAllKey, "encrypt_all": encryptKey} {
		if s.Has(outlook + key) {
			c[name] = s.Flag(outlook + key)
			c[name+changeSuffix] = s.Flag(outlook + key + userChange)
		}
	}
	if url := s.Text(outlook + "ldap_url"); url != "" {
		c[ldapKey] = url
	}
	for key, v := range s {
		if name, is := strings.CutPrefix(key, OutlookKeys); is {
			c[name] = v
		}
	}
	return c
}

// OutlookPlist gives the same as a property list, for people.
func (e Effective) OutlookPlist() ([]byte, error) {
	b, err := plist.Marshal(e.OutlookConfig())
	if err != nil {
		return nil, fmt.Errorf("encoding Outlook's configuration: %w", err)
	}
	return b, nil
}
