package profile

import (
	"fmt"

	"github.com/signet-mdm/signet/internal/seal"
)

// LDAP sets up a directory to search for addresses and certificates.
//
// Spec: Apple, com.apple.ldap.account
type LDAP struct {
	Common
	AccountName string      `plist:"LDAPAccountDescription,omitempty"`
	Host        string      `plist:"LDAPAccountHostName"`
	User        string      `plist:"LDAPAccountUserName,omitempty"`
	Password    seal.Secret `plist:"-" json:"-"` // sealed profiles only
	SSL         bool        `plist:"LDAPAccountUseSSL"`
	VPNUUID     string      `plist:",omitempty"`
	Searches    []Search    `plist:"LDAPSearchSettings,omitempty"`
}

// Search is one place to look.
type Search struct {
	Name  string `plist:"LDAPSearchSettingDescription,omitempty"`
	Base  string `plist:"LDAPSearchSettingSearchBase"`
	Scope Scope  `plist:"LDAPSearchSettingScope,omitempty"` // empty: Subtree
}

// Scope is how deep a search goes.
type Scope string

// The scopes.
const (
	Base     Scope = "LDAPSearchSettingScopeBase"
	OneLevel Scope = "LDAPSearchSettingScopeOneLevel"
	Subtree  Scope = "LDAPSearchSettingScopeSubtree"
)

// Type is com.apple.ldap.account.
func (*LDAP) Type() string { return "com.apple.ldap.account" }

// Head gives the common keys.
func (l *LDAP) Head() *Common { return &l.Common }

func (l *LDAP) hasPassword() bool { return !l.Password.Empty() }

func (l *LDAP) check(refs) error {
	for _, s := range l.Searches {
		if err := first(
			need("LDAPSearchSettingSearchBase", s.Base),
			oneOf("LDAPSearchSettingScope", s.Scope, "", Base, OneLevel, Subtree),
		); err != nil {
			return err
		}
	}
	return need("LDAPAccountHostName", l.Host)
}

func (l *LDAP) wire() any {
	return struct {
		kind
		*LDAP
		Password string `plist:"LDAPAccountPassword,omitempty"`
	}{kindOf(l), l, l.Password.RevealString()}
}

// WebClip puts a link on the home screen.
//
// Spec: Apple, com.apple.webClip.managed
type WebClip struct {
	Common
	URL        string
	Label      string
	Icon       []byte `plist:",omitempty"` // PNG
	Removable  bool   `plist:"IsRemovable"`
	FullScreen bool   `plist:",omitempty"`
}

// Type is com.apple.webClip.managed.
func (*WebClip) Type() string { return "com.apple.webClip.managed" }

// Head gives the common keys.
func (w *WebClip) Head() *Common { return &w.Common }

func (w *WebClip) check(refs) error {
	if len(w.Icon) > 1<<20 {
		return fmt.Errorf("key Icon has %d bytes: %w", len(w.Icon), ErrInvalid)
	}
	return first(need("Label", w.Label), webURL("URL", w.URL, "http", "https"))
}

func (w *WebClip) wire() any {
	return struct {
		kind
		*WebClip
	}{kindOf(w), w}
}
