package appconfig_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/subject"
)

var alice = subject.User{ID: "u-alice", UPN: "alice@example.com", Mail: "alice@example.com", Name: "Alice", Groups: []subject.GroupID{"g-finance"}}

// all gives the policies of a file, for everybody unless they say for whom.
func all(t testing.TB, file string) (list []appconfig.Policy) {
	t.Helper()
	docs, err := appconfig.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs.Policies {
		d.In.All = true
		list = append(list, d.Policy)
	}
	return list
}

func TestWhomItIsFor(t *testing.T) {
	for name, c := range map[string]struct {
		in, out subject.Scope
		want    bool
	}{
		"nobody":         {subject.Scope{}, subject.Scope{}, false},
		"all":            {subject.Scope{All: true}, subject.Scope{}, true},
		"the user":       {subject.OfUser("u-alice"), subject.Scope{}, true},
		"another":        {subject.OfUser("u-bob"), subject.Scope{}, false},
		"the group":      {subject.Scope{Groups: []subject.GroupID{"g-finance"}}, subject.Scope{}, true},
		"all but one":    {subject.Scope{All: true}, subject.OfUser("u-alice"), false},
		"all but theirs": {subject.Scope{All: true}, subject.Scope{Groups: []subject.GroupID{"g-finance"}}, false},
	} {
		if got := (appconfig.Policy{In: c.in, Out: c.out}).For(alice); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestPriority(t *testing.T) {
	list := all(t, `
{kind: Policy, name: low, priority: 1, mail: {apple: {account: exchange, host: low.example, user: "{{mail}}"}}}
---
{kind: Policy, name: high, priority: 2, mail: {apple: {host: high.example}}}
---
{kind: Policy, name: alike, priority: 2, mail: {apple: {host: alike.example, name: "{{displayname}}"}}}
`)
	for range 2 {
		e := appconfig.Resolve(list, alice, subject.Device{})
		got := map[string][2]string{}
		for _, key := range []string{"mail.apple.account", "mail.apple.host", "mail.apple.user", "mail.apple.name", "mail.apple.address"} {
			got[key] = [2]string{e.Settings.Text(key), e.Origin[key]}
		}
		want := map[string][2]string{
			"mail.apple.account": {"exchange", "low"}, "mail.apple.host": {"alike.example", "alike"},
			"mail.apple.user": {"alice@example.com", "low"}, "mail.apple.name": {"Alice", "alike"}, "mail.apple.address": {"alice@example.com", ""},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if want := []string{"alike", "high", "low"}; !slices.Equal(e.Policies, want) {
			t.Errorf("policies: got %v, want %v", e.Policies, want)
		}
		slices.Reverse(list) // their order does not matter
	}
}

// What is right by itself can be wrong together.
func TestProblems(t *testing.T) {
	const exchange = "{kind: Policy, name: a, mail: {apple: {account: exchange, host: h.example}}}\n---\n"
	for name, c := range map[string]struct {
		file   string
		user   subject.User
		app    appconfig.App
		key    string
		policy string
	}{
		"signs all in Outlook by another's SCEP": {exchange + "{kind: Policy, name: b, priority: 9, signing: {source: scep}}\n---\n" +
			"{kind: Policy, name: c, mail: {outlook: {smime: true, sign_all: true}}}", alice, appconfig.Outlook, "mail.outlook.sign_all", "c"},
		"signs all in Outlook, and nobody says with what": {"{kind: Policy, name: c, mail: {outlook: {sign_all: true}}}", alice,
			appconfig.Outlook, "mail.outlook.sign_all", "c"},
		"an account without a server": {"{kind: Policy, name: a, mail: {apple: {account: exchange}}}", alice, appconfig.AppleMail, "mail.apple.account", "a"},
		"an IMAP account with half":   {"{kind: Policy, name: a, mail: {apple: {account: imap, incoming: {host: h.example}}}}", alice, appconfig.AppleMail, "mail.apple.account", "a"},
		"a user without a UPN":        {exchange + "{kind: Policy, name: b}", subject.User{ID: "u", Mail: "a@example.com"}, appconfig.AppleMail, "mail.apple.user", ""},
		"a directory without a host":  {exchange + "{kind: Policy, name: b, mail: {apple: {ldap: {base: o=x}}}}", alice, appconfig.AppleMail, "mail.apple.ldap.host", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := appconfig.Resolve(all(t, c.file), c.user, subject.Device{})
			p := e.Broken(c.app)
			if p == nil || p.Key != c.key || p.Policy != c.policy || p.Why == "" || e.Settings.Has(c.key) {
				t.Errorf("got %+v, still set: %v", p, e.Settings.Has(c.key))
			}
		})
	}
}

func TestNothingIsSaid(t *testing.T) {
	disabled := alice
	disabled.Disabled = true
	everybody := all(t, string(read(t, "everybody.yaml")))
	for name, e := range map[string]appconfig.Effective{
		"no policy":     appconfig.Resolve(nil, alice, subject.Device{}),
		"disabled user": appconfig.Resolve(everybody, disabled, subject.Device{}),
		"keys only":     appconfig.Resolve(all(t, "{kind: Policy, name: a, encryption: {source: imported}}"), alice, subject.Device{}),
	} {
		if e.Apple() || e.Outlook() || e.OutlookConfig() != nil || len(e.Problems) != 0 {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

func TestOutlookConfig(t *testing.T) {
	e := appconfig.Resolve(all(t, `
kind: Policy
name: outlook
signing: {source: imported}
mail:
  outlook:
    smime: {value: true, user_change: false}
    sign_all: true
    encrypt_all: false
    ldap_url: ldaps://certs.example.com:636
`), alice, subject.Device{})
	got, err := e.OutlookPlist()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys(t, read(t, "outlook.plist")), keys(t, got)); diff != "" {
		t.Error(diff)
	}
	e = appconfig.Resolve(all(t, string(read(t, "everybody.yaml"))), alice, subject.Device{})
	config := e.OutlookConfig()
	for key, want := range map[string]any{
		"com.microsoft.outlook.Mail.FocusedInbox": false, "IntuneMAMAllowedAccountsOnly": "Enabled", "com.example.future": "alice@example.com",
		"com.microsoft.outlook.Mail.SMIMEEnabled.SignAllMail": false, "IntuneMAMUPN": "alice@example.com",
	} {
		if config[key] != want {
			t.Errorf("%s: got %v, want %v", key, config[key], want)
		}
	}
}

func keys(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := plist.Unmarshal(b, &m, plist.Upload); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOnlyTheAccountIsOptional(t *testing.T) {
	e := appconfig.Resolve(all(t, "{kind: Policy, name: a, mail: {outlook: {account_setup: false, install: false}}}"), alice, subject.Device{})
	if diff := cmp.Diff(map[string]any{"IntuneMAMUPN": "alice@example.com"}, e.OutlookConfig()); diff != "" {
		t.Error(diff)
	}
	if e.Settings.Flag(appconfig.OutlookInstall) {
		t.Error("it would be installed")
	}
}

func TestAccount(t *testing.T) {
	days := 31
	want := appconfig.Account{
		Kind: appconfig.Exchange, Name: "Example Mail", Address: "alice@example.com", User: "alice@example.com",
		Host: "mail.example.com", SSL: true, PastDays: &days,
		Services: map[string]bool{"mail": true, "notes": false}, ServicesMay: map[string]bool{"notes": false},
		Sign: appconfig.Switch{On: true}, Encrypt: appconfig.Switch{On: true, UserMay: true}, PerMessage: true,
		LDAP:        appconfig.LDAP{Host: "ldap.example.com", Base: "ou=people,o=example", Scope: "subtree", SSL: true},
		SigningFrom: appconfig.SCEP, SCEPProfile: "smime-signing", EncryptsFrom: appconfig.Imported,
	}
	got := appconfig.Resolve(all(t, string(read(t, "everybody.yaml"))), alice, subject.Device{}).Account()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIMAPAccount(t *testing.T) {
	got := appconfig.Resolve(all(t, `
kind: Policy
name: imap
mail:
  apple:
    account: imap
    incoming: {host: imap.example.com, port: 993, prefix: INBOX}
    outgoing: {host: smtp.example.com, port: 587, auth: none, ssl: false}
`), alice, subject.Device{}).Account()
	want := appconfig.Account{
		Kind: appconfig.IMAP, Address: "alice@example.com", User: "alice@example.com", FullName: "Alice",
		Services: map[string]bool{}, ServicesMay: map[string]bool{}, PerMessage: true,
		Incoming:    appconfig.Server{Host: "imap.example.com", Port: 993, SSL: true, Auth: "password", Prefix: "INBOX"},
		Outgoing:    appconfig.Server{Host: "smtp.example.com", Port: 587, Auth: "none"},
		SigningFrom: appconfig.None, EncryptsFrom: appconfig.None,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
