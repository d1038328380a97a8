package appconfig

// Account is what is wanted in Apple Mail.
type Account struct {
	Kind     string // [Exchange], [IMAP] or [None]: certificates only
	Name     string
	Address  string
	User     string
	FullName string

	Host         string
	SSL          bool
	OAuth        bool
	OAuthSignIn  string
	OAuthToken   string
	PastDays     *int            // nil: the device's default
	Services     map[string]bool // those that are set: mail, contacts, calendars, reminders, notes
	ServicesMay  map[string]bool // whether the user may change them
	Incoming     Server
	Outgoing     Server
	NoMove       bool
	NoAppSheet   bool
	NoRecents    bool
	MailDrop     bool
	Sign         Switch
	Encrypt      Switch
	PerMessage   bool
	LDAP         LDAP
	SigningFrom  string // [SCEP], [Imported] or [None]
	SCEPProfile  string // with SCEP
	EncryptsFrom string // [Imported] or [None]
}

// Server is a mail server.
type Server struct {
	Host   string
	Port   int // 0: the device's default
	SSL    bool
	Auth   string // none, password, cram-md5, ntlm, http-md5
	User   string
	Prefix string // IMAP only
}

// Switch is something to do with all mail.
type Switch struct {
	On          bool
	UserMay     bool // switch it
	UserMayPick bool // choose the certificate
}

// LDAP is a directory of addresses.
type LDAP struct {
	Host, Name, User, Base, Scope string
	SSL                           bool
}

var serviceNames = []string{"mail", "contacts", "calendars", "reminders", "notes"}

// Account gives what is wanted in Apple Mail; it means nothing when Apple is
// false.
func (e Effective) Account() Account {
	s := e.Settings
	a := Account{
		Kind: s.Text(AppleAccount), Name: s.Text(apple + "name"), Address: s.Text(apple + "address"),
		User: s.Text(apple + "user"), FullName: s.Text(apple + "full_name"),
		Host: s.Text(apple + "host"), SSL: s.Flag(apple + "ssl"), OAuth: s.Flag(apple + "oauth"),
		OAuthSignIn: s.Text(apple + "oauth_sign_in_url"), OAuthToken: s.Text(apple + "oauth_token_url"),
		Services: map[string]bool{}, ServicesMay: map[string]bool{},
		Incoming: e.server("incoming"), Outgoing: e.server("outgoing"),
		NoMove: s.Flag(apple + "prevent_move"), NoAppSheet: s.Flag(apple + "prevent_app_sheet"),
		NoRecents: s.Flag(apple + "no_recents"), MailDrop: s.Flag(apple + "mail_drop"),
		Sign: e.switched("sign"), Encrypt: e.switched("encrypt"), PerMessage: s.Flag(apple + "encrypt.per_message"),
		LDAP: LDAP{
			Host: s.Text(apple + "ldap.host"), Name: s.Text(apple + "ldap.name"), User: s.Text(apple + "ldap.user"),
			Base: s.Text(apple + "ldap.base"), Scope: s.Text(apple + "ldap.scope"), SSL: s.Flag(apple + "ldap.ssl"),
		},
		SigningFrom: s.Text(SigningSource), EncryptsFrom: s.Text(EncryptionSource),
	}
	if a.SigningFrom == SCEP {
		a.SCEPProfile = s.Text(SigningProfile)
	}
	if s.Has(apple + "past_days") {
		n := s.Number(apple + "past_days")
		a.PastDays = &n
	}
	for _, n := range serviceNames {
		if k := apple + "services." + n; s.Has(k) {
			a.Services[n] = s.Flag(k)
		}
		if k := apple + "services." + n + userChange; s.Has(k) {
			a.ServicesMay[n] = s.Flag(k)
		}
	}
	return a
}

func (e Effective) server(name string) Server {
	s, p := e.Settings, apple+name
	return Server{
		Host: s.Text(p + ".host"), Port: s.Number(p + ".port"), SSL: s.Flag(p + ".ssl"),
		Auth: s.Text(p + ".auth"), User: s.Text(p + ".user"), Prefix: s.Text(p + ".prefix"),
	}
}

func (e Effective) switched(name string) Switch {
	s, p := e.Settings, apple+name
	return Switch{On: s.Flag(p), UserMay: s.Flag(p + userChange), UserMayPick: s.Flag(p + ".choose_certificate")}
}
