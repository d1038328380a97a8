package phone

import "context"

// payloadKind is what a phone knows about a type of payload: its keys, which
// of them name other payloads of the same profile, and in which order kinds
// are installed, so that trust comes before what needs it.
type payloadKind struct {
	order   int
	keys    map[string]keySpec
	refs    []string // keys that name an identity payload
	install func(*installation, context.Context, dict, *Payload) error
}

var payloadKinds map[string]payloadKind

func init() { // not a literal: the installers refer back to the table
	payloadKinds = map[string]payloadKind{
		"com.apple.security.root":   {0, with(commonKeys, certificateKeys), nil, (*installation).certificate},
		"com.apple.security.pkcs1":  {0, with(commonKeys, certificateKeys), nil, (*installation).certificate},
		"com.apple.security.pem":    {0, with(commonKeys, certificateKeys), nil, (*installation).certificate},
		"com.apple.security.pkcs12": {1, with(commonKeys, pkcs12Keys), nil, (*installation).pkcs12},
		"com.apple.security.scep":   {1, with(commonKeys, scepKeys), nil, (*installation).scep},
		"com.apple.eas.account": {2, with(commonKeys, exchangeKeys, smimeKeys),
			[]string{"PayloadCertificateUUID", "SMIMESigningCertificateUUID", "SMIMEEncryptionCertificateUUID"}, (*installation).exchange},
		"com.apple.mail.managed": {2, with(commonKeys, smimeKeys, mailKeys),
			[]string{"SMIMESigningCertificateUUID", "SMIMEEncryptionCertificateUUID"}, (*installation).mail},
		"com.apple.ldap.account":    {2, with(commonKeys, ldapKeys), nil, (*installation).ldap},
		"com.apple.webClip.managed": {2, with(commonKeys, webClipKeys), nil, (*installation).webClip},
		"com.apple.mdm":             {3, with(commonKeys, mdmKeys), []string{"IdentityCertificateUUID"}, (*installation).mdm},
	}
}

// Spec: Apple, Configuration Profile Reference: TopLevel
var topKeys = with(commonKeys, keys(`
	PayloadContent array
	IsEncrypted boolean
	EncryptedPayloadContent data
	PayloadRemovalDisallowed boolean
	HasRemovalPasscode boolean
	PayloadScope string
	RemovalDate date
	DurationUntilRemoval real
	PayloadExpirationDate date
	TargetDeviceType integer 12.2
	ConsentText dict
`))

var commonKeys = keys(`
	PayloadType string required
	PayloadVersion integer required
	PayloadIdentifier string required
	PayloadUUID string required
	PayloadDisplayName string
	PayloadDescription string
	PayloadOrganization string
`)

var certificateKeys = keys(`
	PayloadContent data required
	PayloadCertificateFileName string
`)

var pkcs12Keys = keys(`
	PayloadContent data required
	Password string
	PayloadCertificateFileName string
	AllowAllAppsAccess boolean
	KeyIsExtractable boolean
`)

var scepKeys = keys(`
	PayloadContent dict required
`)

// The keys of a SCEP payload's inner dictionary.
// Spec: Apple, com.apple.security.scep
var scepInnerKeys = keys(`
	URL string required
	Name string
	Subject array
	Challenge string
	Keysize integer
	Key_Type string
	Key_Usage integer
	CAFingerprint data
	Retries integer
	RetryDelay integer
	SubjectAltName dict
	KeyIsExtractable boolean
	AllowAllAppsAccess boolean
`)

// Spec: Apple, com.apple.mdm
var mdmKeys = keys(`
	IdentityCertificateUUID uuid required
	Topic string required
	ServerURL string required
	CheckInURL string
	SignMessage boolean
	AccessRights integer required
	UseDevelopmentAPNS boolean
	CheckOutWhenRemoved boolean
	ServerCapabilities strings
	ServerURLPinningCertificateUUIDs strings 13.4
	CheckInURLPinningCertificateUUIDs strings 13.4
	PinningRevocationCheckRequired boolean 13.4
`)

// Spec: Apple, com.apple.eas.account
var exchangeKeys = keys(`
	EmailAddress string
	Host string
	SSL boolean
	UserName string
	Password string
	OAuth boolean 12.0
	OAuthSignInURL string 13.0
	OAuthTokenRequestURL string 13.0
	OverridePreviousPassword boolean 14.0
	PayloadCertificateUUID uuid
	Certificate data 7.0
	CertificateName string 7.0
	CertificatePassword string 7.0
	PreventMove boolean 5.0
	PreventAppSheet boolean 5.0
	disableMailRecentsSyncing boolean
	allowMailDrop boolean 9.2
	MailNumberOfPastDaysToSync integer
	EnableMail boolean 13.0
	EnableContacts boolean 13.0
	EnableCalendars boolean 13.0
	EnableReminders boolean 13.0
	EnableNotes boolean 13.0
	EnableMailUserOverridable boolean 13.0
	EnableContactsUserOverridable boolean 13.0
	EnableCalendarsUserOverridable boolean 13.0
	EnableRemindersUserOverridable boolean 13.0
	EnableNotesUserOverridable boolean 13.0
	CommunicationServiceRules dict 10.0
	VPNUUID string 14.0
	HeaderMagic string
`)

// Spec: Apple, com.apple.mail.managed
var mailKeys = keys(`
	EmailAccountType string required
	IncomingMailServerAuthentication string required
	IncomingMailServerHostName string required
	OutgoingMailServerAuthentication string required
	OutgoingMailServerHostName string required
	EmailAccountDescription string
	EmailAccountName string
	EmailAddress string
	IncomingMailServerPortNumber integer
	IncomingMailServerUseSSL boolean
	IncomingMailServerUsername string
	IncomingPassword string
	IncomingMailServerIMAPPathPrefix string
	OutgoingMailServerPortNumber integer
	OutgoingMailServerUseSSL boolean
	OutgoingMailServerUsername string
	OutgoingPassword string
	OutgoingPasswordSameAsIncomingPassword boolean
	PreventMove boolean 5.0
	PreventAppSheet boolean 5.0
	disableMailRecentsSyncing boolean
	allowMailDrop boolean 9.2
	VPNUUID string 14.0
	SMIMESigningEnabled boolean 10.0
	SMIMEEncryptionEnabled boolean 10.0
`)

// The S/MIME keys both mail payloads share; mind Overrideable with an e.
var smimeKeys = keys(`
	SMIMEEnabled boolean 5.0
	SMIMESigningEnabled boolean 10.3
	SMIMESigningCertificateUUID uuid 5.0
	SMIMESigningUserOverrideable boolean 12.0
	SMIMESigningCertificateUUIDUserOverrideable boolean 12.0
	SMIMEEncryptionEnabled boolean 10.3
	SMIMEEncryptByDefault boolean 12.0
	SMIMEEncryptByDefaultUserOverrideable boolean 12.0
	SMIMEEncryptionCertificateUUID uuid 5.0
	SMIMEEncryptionCertificateUUIDUserOverrideable boolean 12.0
	SMIMEEnablePerMessageSwitch boolean 8.0
	SMIMEEnableEncryptionPerMessageSwitch boolean 12.0
`)

// Spec: Apple, com.apple.ldap.account
var ldapKeys = keys(`
	LDAPAccountHostName string required
	LDAPAccountDescription string
	LDAPAccountUserName string
	LDAPAccountPassword string
	LDAPAccountUseSSL boolean
	LDAPSearchSettings array
	VPNUUID string 14.0
`)

var ldapSearchKeys = keys(`
	LDAPSearchSettingSearchBase string required
	LDAPSearchSettingDescription string
	LDAPSearchSettingScope string
`)

// Spec: Apple, com.apple.webClip.managed
var webClipKeys = keys(`
	URL string required
	Label string required
	Icon data
	IsRemovable boolean
	FullScreen boolean
	Precomposed boolean
	IgnoreManifestScope boolean
	TargetApplicationBundleIdentifier string
`)
