package subject_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/subject"
)

func TestNormalizeMail(t *testing.T) {
	for in, want := range map[string]string{
		"Alice@Example.COM":      "alice@example.com",
		"a@bücher.example":       "a@xn--bcher-kva.example",
		"o'brien+x@example.com":  "o'brien+x@example.com",
		"jörg@example.com":       "jörg@example.com",
		"":                       "",
		"alice":                  "",
		"@example.com":           "",
		"alice@":                 "",
		"a@b@example.com":        "",
		" a@example.com":         "",
		"a@example.com\r\nBcc:x": "",
		"a\x00@example.com":      "",
		"a\u202e@example.com":    "",
		"<a@example.com>":        "",
		strings.Repeat("a", 320) + "@example.com": "",
	} {
		got, err := subject.NormalizeMail(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("NormalizeMail(%q): got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	u := subject.User{ID: "u-1", UPN: "alice@corp.example", Mail: "alice@example.com", OnPremises: subject.OnPremises{
		Department: "Mail", SAMAccountName: "alice7", OnPremisesUPN: "alice@ad.example", DistinguishedName: "CN=Alice", SID: "S-1-5-21-1"}}
	d := subject.Device{ID: "d-1", Serial: "C39XY1234", IMEI: "35", MEID: "A0", WiFiMAC: "02:00"}
	for name, c := range map[string]struct {
		in, want string
		err      error
	}{
		"plain":   {"plain", "plain", nil},
		"one":     {"{{mail}}", "alice@example.com", nil},
		"case":    {"CN={{ UserPrincipalName }}, x", "CN=alice@corp.example, x", nil},
		"several": {"{{partialupn}}-{{SerialNumberLast4Digits}}", "alice-1234", nil},
		"on premises": {"{{Department}} {{OnPremisesSamAccountName}} {{OnPremisesUserPrincipalName}} {{OnPrem_Distinguished_Name}} {{OnPremisesSecurityIdentifier}}",
			"Mail alice7 alice@ad.example CN=Alice S-1-5-21-1", nil},
		"device": {"{{AAD_Device_ID}} {{AzureADDeviceId}} {{DeviceId}} {{Device_Serial}} {{SerialNumber}} {{Device_IMEI}} {{IMEINumber}} {{IMEI}} {{MEID}} {{WiFiMacAddress}}",
			"d-1 d-1 d-1 C39XY1234 C39XY1234 35 35 35 A0 02:00", nil},
		"never on a phone": {"{{FullyQualifiedDomainName}}", "", subject.ErrVariableEmpty},
		"unknown":          {"{{password}}", "", subject.ErrVariableUnknown},
		"empty":            {"{{devicename}}", "", subject.ErrVariableEmpty},
		"open":             {"{{mail", "", subject.ErrTemplate},
		"stray":            {"a}b", "", subject.ErrTemplate},
		"one brace":        {"{mail}", "", subject.ErrTemplate},
	} {
		got, err := subject.Expand(c.in, u, d)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %q, %v; want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestOSMajor(t *testing.T) {
	for v, want := range map[string]int{"": 0, "18.2": 18, "9": 9, "x": 0, "17.6.1": 17} {
		if got := (subject.Device{OSVersion: v}).OSMajor(); got != want {
			t.Errorf("OSMajor(%q): got %d, want %d", v, got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	if id := string(subject.NewUserID()); !subject.ValidID(id) {
		t.Errorf("NewUserID gives %q, which ValidID refuses", id)
	}
	for _, bad := range []string{"", "x", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"} {
		if subject.ValidID(bad) {
			t.Errorf("ValidID(%q) = true", bad)
		}
	}
}
