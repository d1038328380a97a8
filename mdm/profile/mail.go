package profile

import (
	"fmt"

	"github.com/signet-mdm/signet/internal/seal"
)

// account is a payload that can hold a password of the user.
type account interface{ hasPassword() bool }

// SMIME are the S/MIME switches of a mail account, those that iOS 12 and later
// read. The UUIDs name SCEP or PKCS12 payloads of the same profile.
type SMIME struct {
	Sign                      bool   `plist:"SMIMESigningEnabled,omitempty"`
	SignChangeable            bool   `plist:"SMIMESigningUserOverrideable,omitempty"`
	SigningUUID               string `plist:"SMIMESigningCertificateUUID,omitempty"`
	SigningIdentityChangeable bool   `plist:"SMIMESigningCertificateUUIDUserOverrideable,omitempty"`

	Encrypt                      bool   `plist:"SMIMEEncryptByDefault,omitempty"`
	EncryptChangeable            bool   `plist:"SMIMEEncryptByDefaultUserOverrideable,omitempty"`
	EncryptionUUID               string `plist:"SMIMEEncryptionCertificateUUID,omitempty"`
	EncryptionIdentityChangeable bool   `plist:"SMIMEEncryptionCertificateUUIDUserOverrideable,omitempty"`
	EncryptPerMessage            bool   `plist:"SMIMEEnableEncryptionPerMessageSwitch,omitempty"` // shows the lock
}

func (s SMIME) check(r refs) error {
	return first(
		r.optionalIdentity("SMIMESigningCertificateUUID", s.SigningUUID),
		r.optionalIdentity("SMIMEEncryptionCertificateUUID", s.EncryptionUUID),
	)
}

// Exchange sets up an Exchange ActiveSync account in Apple Mail. A nil switch
// is left at the device's default, which is on.
//
// Spec: Apple, com.apple.eas.account
type Exchange struct {
	Common
	SMIME
	EmailAddress             string
	Host                     string `plist:",omitempty"`
	SSL                      bool   `plist:",omitempty"`
	UserName                 string
	Password                 seal.Secret `plist:"-" json:"-"` // sealed profiles only
	OAuth                    bool        `plist:",omitempty"`
	OAuthSignInURL           string      `plist:",omitempty"`
	OAuthTokenRequestURL     string      `plist:",omitempty"`
	OverridePreviousPassword bool        `plist:",omitempty"`
	ClientUUID               string      `plist:"PayloadCertificateUUID,omitempty"` // identity that signs in
	PreventMove              bool        `plist:",omitempty"`
	PreventAppSheet          bool        `plist:",omitempty"` // no sending from other apps
	NoRecents                bool        `plist:"disableMailRecentsSyncing,omitempty"`
	AllowMailDrop            bool        `plist:"allowMailDrop,omitempty"`
	PastDays                 *int        `plist:"MailNumberOfPastDaysToSync,omitempty"` // 0 (all), 1, 3, 7, 14, 31
	VPNUUID                  string      `plist:",omitempty"`

	EnableMail                     *bool `plist:",omitempty"`
	EnableContacts                 *bool `plist:",omitempty"`
	EnableCalendars                *bool `plist:",omitempty"`
	EnableReminders                *bool `plist:",omitempty"`
	EnableNotes                    *bool `plist:",omitempty"`
	EnableMailUserOverridable      *bool `plist:",omitempty"`
	EnableContactsUserOverridable  *bool `plist:",omitempty"`
	EnableCalendarsUserOverridable *bool `plist:",omitempty"`
	EnableRemindersUserOverridable *bool `plist:",omitempty"`
	EnableNotesUserOverridable     *bool `plist:",omitempty"`
}

// Type is com.apple.eas.account.
func (*Exchange) Type() string { return "com.apple.eas.account" }

// Head gives the common keys.
func (e *Exchange) Head() *Common { return &e.Common }

func (e *Exchange) hasPassword() bool { return !e.Password.Empty() }

func (e *Exchange) check(r refs) error {
	if e.OAuth && e.hasPassword() {
		return fmt.Errorf("OAuth and Password exclude each other: %w", ErrInvalid)
	}
	if e.Host == "" && (!e.OAuth || e.OAuthSignInURL != "") {
		return missing("Host")
	}
	if e.PastDays != nil {
		if err := oneOf("MailNumberOfPastDaysToSync", *e.PastDays, 0, 1, 3, 7, 14, 31); err != nil {
			return err
		}
	}
	return first(
		need("EmailAddress", e.EmailAddress, "UserName", e.UserName),
		e.checkServices(),
		r.optionalIdentity("PayloadCertificateUUID", e.ClientUUID),
		e.SMIME.check(r),
	)
}

func (e *Exchange) checkServices() error {
	for _, on := range []*bool{e.EnableMail, e.EnableContacts, e.EnableCalendars, e.EnableReminders, e.EnableNotes} {
		if on == nil || *on {
			return nil
		}
	}
	return fmt.Errorf("all services are off: %w", ErrInvalid)
}

func (e *Exchange) wire() any {
	return struct {
		kind
		*Exchange
		Password string `plist:",omitempty"`
	}{kindOf(e), e, e.Password.RevealString()}
}

// Mail sets up an IMAP or POP account in Apple Mail.
//
// Spec: Apple, com.apple.mail.managed
type Mail struct {
	Common
	SMIME
	AccountType  string `plist:"EmailAccountType"` // EmailTypeIMAP or EmailTypePOP
	AccountName  string `plist:"EmailAccountDescription,omitempty"`
	FullName     string `plist:"EmailAccountName,omitempty"` // the sender's name
	EmailAddress string `plist:",omitempty"`

	IncomingAuth     string      `plist:"IncomingMailServerAuthentication"`
	IncomingHost     string      `plist:"IncomingMailServerHostName"`
	IncomingPort     int         `plist:"IncomingMailServerPortNumber,omitempty"`
	IncomingSSL      bool        `plist:"IncomingMailServerUseSSL,omitempty"`
	IncomingUser     string      `plist:"IncomingMailServerUsername,omitempty"`
	IncomingPassword seal.Secret `plist:"-" json:"-"` // sealed profiles only
	IncomingPrefix   string      `plist:"IncomingMailServerIMAPPathPrefix,omitempty"`

	OutgoingAuth         string      `plist:"OutgoingMailServerAuthentication"`
	OutgoingHost         string      `plist:"OutgoingMailServerHostName"`
	OutgoingPort         int         `plist:"OutgoingMailServerPortNumber,omitempty"`
	OutgoingSSL          bool        `plist:"OutgoingMailServerUseSSL,omitempty"`
	OutgoingUser         string      `plist:"OutgoingMailServerUsername,omitempty"`
	OutgoingPassword     seal.Secret `plist:"-" json:"-"` // sealed profiles only
	OutgoingSamePassword bool        `plist:"OutgoingPasswordSameAsIncomingPassword,omitempty"`

	PreventMove     bool   `plist:",omitempty"`
	PreventAppSheet bool   `plist:",omitempty"`
	NoRecents       bool   `plist:"disableMailRecentsSyncing,omitempty"`
	AllowMailDrop   bool   `plist:"allowMailDrop,omitempty"`
	VPNUUID         string `plist:",omitempty"`
}

// Type is com.apple.mail.managed.
func (*Mail) Type() string { return "com.apple.mail.managed" }

// Head gives the common keys.
func (m *Mail) Head() *Common { return &m.Common }

func (m *Mail) hasPassword() bool { return !m.IncomingPassword.Empty() || !m.OutgoingPassword.Empty() }

func (m *Mail) check(r refs) error {
	methods := []string{"EmailAuthNone", "EmailAuthPassword", "EmailAuthCRAMMD5", "EmailAuthNTLM", "EmailAuthHTTPMD5"}
	return first(
		oneOf("EmailAccountType", m.AccountType, "EmailTypeIMAP", "EmailTypePOP"),
		oneOf("IncomingMailServerAuthentication", m.IncomingAuth, methods...),
		oneOf("OutgoingMailServerAuthentication", m.OutgoingAuth, methods...),
		need("IncomingMailServerHostName", m.IncomingHost, "OutgoingMailServerHostName", m.OutgoingHost),
		port("IncomingMailServerPortNumber", m.IncomingPort),
		port("OutgoingMailServerPortNumber", m.OutgoingPort),
		m.SMIME.check(r),
	)
}

func port(key string, n int) error {
	if n < 0 || n > 65535 {
		return fmt.Errorf("%s is %d: %w", key, n, ErrInvalid)
	}
	return nil
}

func (m *Mail) wire() any {
	return struct {
		kind
		*Mail
		IncomingPassword string `plist:",omitempty"`
		OutgoingPassword string `plist:",omitempty"`
	}{kindOf(m), m, m.IncomingPassword.RevealString(), m.OutgoingPassword.RevealString()}
}
