package exchange_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/appconfig/exchange"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

func user(mail, name string) subject.User { return subject.User{Mail: mail, UPN: mail, Name: name} }

func TestPlan(t *testing.T) {
	current, old, foreign := leaf(t, nil, "current"), leaf(t, nil, "old"), leaf(t, nil, "foreign")
	alice := exchange.Person{User: user("alice@example.com", "Alice"), Current: current, Past: []cert.Fingerprint{cert.FingerprintOf(old.Raw)}}
	disabled, without, twin := alice, alice, alice
	disabled.User.Disabled, without.Current, twin.User.Mail = true, nil, "twin@example.com"
	many := make([][]byte, 15)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	for name, c := range map[string]struct {
		persons []exchange.Person
		entry   exchange.Entry
		why     string
		want    string // change, and numbers of same, none, missing, notes
	}{
		"nothing there":      {[]exchange.Person{alice}, exchange.Entry{}, "", "+1-0 0 0 0 0"},
		"there already":      {[]exchange.Person{alice}, exchange.Entry{Certificates: [][]byte{current.Raw}}, "", " 1 0 0 0"},
		"the old one":        {[]exchange.Person{alice}, exchange.Entry{Certificates: [][]byte{old.Raw}}, "", "+1-1 0 0 0 0"},
		"both":               {[]exchange.Person{alice}, exchange.Entry{Certificates: [][]byte{old.Raw, current.Raw}}, "", "+0-1 0 0 0 0"},
		"somebody else's":    {[]exchange.Person{alice}, exchange.Entry{Certificates: [][]byte{foreign.Raw}}, "", "+1-0 0 0 0 1"},
		"garbage":            {[]exchange.Person{alice}, exchange.Entry{Certificates: [][]byte{{0}, nil}}, "", "+1-0 0 0 0 1"},
		"shadowed":           {[]exchange.Person{alice}, exchange.Entry{Shadowed: true, Certificates: [][]byte{current.Raw}}, "", " 1 0 0 1"},
		"full":               {[]exchange.Person{alice}, exchange.Entry{Certificates: many}, "", " 0 0 1 0"},
		"no entry":           {[]exchange.Person{alice}, exchange.Entry{}, "No.", " 0 0 1 0"},
		"disabled":           {[]exchange.Person{disabled}, exchange.Entry{}, "", " 0 1 0 0"},
		"no certificate":     {[]exchange.Person{without}, exchange.Entry{}, "", " 0 1 0 0"},
		"two for one entry":  {[]exchange.Person{alice, twin}, exchange.Entry{}, "", " 0 0 2 0"},
		"nobody":             {nil, exchange.Entry{}, "", " 0 0 0 0"},
		"one of two is gone": {[]exchange.Person{alice, disabled}, exchange.Entry{}, "", "+1-0 0 1 0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := exchange.NewPlan(c.persons, func(subject.User) (exchange.Entry, string) {
				e := c.entry
				e.DN = "CN=x"
				return e, c.why
			})
			got := ""
			for _, ch := range p.Changes {
				adds := 0
				if ch.Add != nil {
					adds = 1
				}
				got += fmt.Sprintf("+%d-%d", adds, len(ch.Delete))
			}
			got += fmt.Sprintf(" %d %d %d %d", p.Same, len(p.None), len(p.Missing), len(p.Notes))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLDIF(t *testing.T) {
	add, old := leaf(t, nil, "new"), leaf(t, nil, "old")
	p := exchange.Plan{Changes: []exchange.Change{
		{User: user("a\n@example.com", ""), DN: "CN=Alice,DC=example,DC=com", Add: add, Delete: [][]byte{old.Raw}},
		{User: user("b@example.com", ""), DN: "CN=Bärbel,DC=example,DC=com", Add: add},
		{User: user("c@example.com", ""), DN: "CN=x\nchangetype: delete", Delete: [][]byte{old.Raw}},
	}}
	for kind, attribute := range map[exchange.Kind]string{exchange.ActiveDirectory: "userCertificate", exchange.OpenLDAP: "userCertificate;binary"} {
		text := string(p.LDIF(kind, now))
		for i, l := range strings.Split(text, "\n") {
			if len(l) > 76 && !strings.HasPrefix(l, "#") {
				t.Errorf("line %d has %d characters", i+1, len(l))
			}
		}
		for _, want := range []string{
			"\n\n# \"a\\n@example.com\"\n", "\ndn: CN=Alice,DC=example,DC=com\nchangetype: modify\nadd: " + attribute + "\n" + attribute + ":: ",
			"\n-\ndelete: " + attribute + "\n" + attribute + ":: ", "\ndn:: Q049QsOkcmJlbCxEQz1leGFtcGxlLERDPWNvbQ==\n", "\nversion: 1\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: lacks %q in\n%s", kind, want, text)
			}
		}
		if strings.Contains(text, "changetype: delete") {
			t.Errorf("%s: a name ended its line", kind)
		}
		if strings.Count(text, "\n-\n") != 4 || !strings.HasSuffix(text, "\n-\n") {
			t.Errorf("%s: changes are not ended", kind)
		}
	}
}

// What is in a name stays one value of it.
func TestDN(t *testing.T) {
	for _, name := range []string{"Alice", "Example, Alice", `a"b+c;d<e>f\g=h`, " lead", "trail ", "  ", "#x", "Bärbel", "a\x00b\nc", ",OU=Admins"} {
		u := user("alice@example.com", name)
		made, err := exchange.ExpandDN("CN={{displayName}},OU=Staff,DC=example,DC=com", u)
		if err != nil {
			t.Fatal(err)
		}
		for guess, dn := range map[string]string{"": made, "ad": exchange.GuessDN(exchange.ActiveDirectory, u), "openldap": exchange.GuessDN(exchange.OpenLDAP, u)} {
			parts, ok := splitDN(dn)
			if !ok || len(parts) != 4 || !strings.EqualFold(parts[0], "cn="+name) {
				t.Errorf("%q %s: %s is read as %q, %v", name, guess, dn, parts, ok)
			}
		}
	}
	if _, err := exchange.ExpandDN("CN={{password}}", subject.User{}); err == nil {
		t.Error("a variable that does not exist was taken")
	}
}

// splitDN reads a name as RFC 4514 section 3 says, without its escapes.
func splitDN(dn string) (parts []string, ok bool) {
	part := ""
	for i := 0; i < len(dn); i++ {
		switch b := dn[i]; {
		case b == ',':
			parts, part = append(parts, part), ""
		case b != '\\':
			if strings.IndexByte(`"+;<>`, b) >= 0 {
				return nil, false
			}
			part += dn[i : i+1]
		case i+1 < len(dn) && strings.IndexByte(` "#+,;<=>\`, dn[i+1]) >= 0:
			part += dn[i+1 : i+2]
			i++
		case i+2 < len(dn):
			v, err := hex.DecodeString(dn[i+1 : i+3])
			if err != nil {
				return nil, false
			}
			part += string(v)
			i += 2
		default:
			return nil, false
		}
	}
	return append(parts, part), true
}

func TestReadDirectory(t *testing.T) {
	d, err := exchange.ReadDirectory(strings.NewReader(strings.ReplaceAll(export, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	for mail, want := range map[string]exchange.Entry{
		"alice@example.com":  {DN: "CN=Alice Example,OU=A very long name of an organisational unit,OU=Staff,DC=example,DC=com", Certificates: [][]byte{[]byte("one"), []byte("two")}, Shadowed: true},
		"second@example.com": {DN: "CN=Bärbel"},
		"upn@example.com":    {DN: "CN=Bärbel"},
	} {
		got, why := d.Find(user(mail, ""))
		if why != "" || got.DN != want.DN || got.Shadowed != want.Shadowed || !bytes.Equal(bytes.Join(got.Certificates, nil), bytes.Join(want.Certificates, nil)) {
			t.Errorf("%s: got %+v %q, want %+v", mail, got, why, want)
		}
	}
	for mail, want := range map[string]string{"twice@example.com": "Several", "x500@example.com": "No entry", "nobody@example.com": "No entry"} {
		if _, why := d.Find(user(mail, "")); !strings.HasPrefix(why, want) {
			t.Errorf("%s: got %q, want %s…", mail, why, want)
		}
	}
}

const export = `# extended LDIF
# a comment that
 goes on
version: 1

dn: CN=Alice Example,OU=A very long name of an organisational unit,OU=Staff,DC
 =example,DC=com
changetype: add
mail: Alice@Example.com
userCertificate:: b2
 5l
userCertificate;binary:: dHdv
userSMIMECertificate:: AAAA
jpegPhoto:< file:///etc/passwd

dn:: Q049QsOkcmJlbA==
userPrincipalName: upn@example.com
proxyAddresses: SMTP:first@example.com
proxyAddresses: smtp:second@example.com
proxyAddresses: X500:x500@example.com
mail: twice@example.com


dn: CN=Other
mail: twice@example.com
mail: twice@example.com

# search result
search: 2
result: 0 Success
`

func TestReadDirectoryRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no LDIF":     "hello\n",
		"UTF-16":      "\xff\xfed\x00n\x00:\x00 \x00x\x00\n\x00",
		"changes":     "dn: CN=x\nchangetype: delete\n",
		"bad base64":  "dn:: ****\n",
		"a long line": "dn: " + strings.Repeat("x", 1<<20) + "\n",
		"a long fold": "dn: x\n" + strings.Repeat(" "+strings.Repeat("y", 1000)+"\n", 1100),
	} {
		if _, err := exchange.ReadDirectory(strings.NewReader(text)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func FuzzReadDirectory(f *testing.F) {
	f.Add([]byte(export))
	f.Add([]byte("dn: x\n \n y\n\n z\n"))
	f.Add([]byte("#\n #\n#"))
	f.Add([]byte("dn:\n\ndn::\nmail::="))
	c := leaf(f, nil, "alice")
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := exchange.ReadDirectory(bytes.NewReader(text))
		if err != nil {
			return
		}
		// Whatever name an entry has, it comes back from what we write.
		e, why := d.Find(user("alice@example.com", ""))
		if why != "" {
			return
		}
		p := exchange.NewPlan([]exchange.Person{{User: user("alice@example.com", ""), Current: c}}, d.Find)
		for _, ch := range p.Changes {
			out := p.LDIF(exchange.ActiveDirectory, now)
			out = bytes.Replace(out, []byte("changetype: modify\n"), []byte("mail: alice@example.com\n"), 1)
			out = bytes.ReplaceAll(out, []byte("\n-\n"), []byte("\n"))
			out = bytes.ReplaceAll(out, []byte("delete: "), []byte("x: "))
			again, err := exchange.ReadDirectory(bytes.NewReader(out))
			if err != nil {
				t.Fatalf("our own LDIF is not read: %v\n%s", err, out)
			}
			if back, why := again.Find(user("alice@example.com", "")); back.DN != e.DN || why != "" {
				t.Errorf("got %q %s, want %q", back.DN, why, ch.DN)
			}
		}
	})
}
