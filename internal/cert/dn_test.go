package cert_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
)

// one is a name of one step.
func one(attribute, value string) cert.DN { return cert.DN{{{Type: attribute, Value: value}}} }

func TestParseDN(t *testing.T) {
	for text, want := range map[string]cert.DN{
		"":                                 nil,
		"  ":                               nil,
		"CN=Alice":                         one("CN", "Alice"),
		"cn = Alice Example ":              one("CN", "Alice Example"),
		"commonName=x":                     one("CN", "x"),
		"emailAddress=a@example.com":       one("E", "a@example.com"),
		"OID.2.5.4.3=x":                    one("CN", "x"),
		"1.2.3.4=x":                        one("1.2.3.4", "x"),
		"CN=":                              one("CN", ""),
		`CN=Example\, Alice`:               one("CN", "Example, Alice"),
		`CN="Example, Alice; \"A\" + <B>"`: one("CN", `Example, Alice; "A" + <B>`),
		`CN=a\+b\=c\;d\<e\>\#\\\"`:         one("CN", `a+b=c;d<e>#\"`),
		`CN=\ x\ `:                         one("CN", " x "),
		`CN=J\c3\B6rg`:                     one("CN", "Jörg"),
		`CN=a\0db`:                         one("CN", "a\rb"),
		"CN=a=b":                           one("CN", "a=b"),
		"CN=#0c024869":                     one("CN", "Hi"),
		"CN=#1e0400480069 ,O=x":            {{{Type: "O", Value: "x"}}, {{Type: "CN", Value: "Hi"}}},
		"CN=Alice,OU=Mail,O=Example": {{{Type: "O", Value: "Example"}}, {{Type: "OU", Value: "Mail"}},
			{{Type: "CN", Value: "Alice"}}},
		"CN=Alice + UID=7,DC=example,DC=com": {{{Type: "DC", Value: "com"}}, {{Type: "DC", Value: "example"}},
			{{Type: "CN", Value: "Alice"}, {Type: "UID", Value: "7"}}},
		"CN={{displayName}},E={{mail}}": {{{Type: "E", Value: "{{mail}}"}}, {{Type: "CN", Value: "{{displayName}}"}}},
	} {
		got, err := cert.ParseDN(text)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseDNRefuses(t *testing.T) {
	for _, text := range []string{
		"Alice", "CN", "=x", "CN=a,", ",CN=a", "CN=a,,O=b", "XX=a", "CN=a+", "CN=a;O=b", `CN=a"b`, `CN="a`, `CN="a"b`, `CN=a\`,
		`CN=a\g1`, `CN=a\1`, `CN=a\00b`, `CN=\ff`, "CN=#", "CN=#0c", "CN=#0c02486", "CN=#0201ff", "CN=#0c0248690c", "CN=a\x00b",
		"CN=<a>", "9.9.9=x", "1=x", "1.2.03=x", "CN=" + strings.Repeat("x", 9000), "CN=\xff", "CN=\\\x101",
	} {
		if got, err := cert.ParseDN(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// A name goes through text and encoding unharmed, and crypto/x509 reads it.
func TestDNRound(t *testing.T) {
	want := cert.DN{
		{{Type: "C", Value: "DE"}}, {{Type: "DC", Value: "example"}}, {{Type: "O", Value: `Müller, "Söhne" + Co; <x>=\`}},
		{{Type: "UID", Value: "7"}, {Type: "CN", Value: " #Alice\n "}}, {{Type: "E", Value: "a@example.com"}},
		{{Type: "1.2.3.4", Value: "#x"}},
	}
	text, err := cert.ParseDN(want.String())
	if err != nil || !cmp.Equal(text, want) {
		t.Errorf("text %s: got %v, %v", want, text, err)
	}
	der, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := cert.DNOf(der)
	if err != nil {
		t.Fatal(err)
	}
	if attribute, differs := cert.SubjectDiffers(got, want); differs {
		t.Errorf("encoding: %s differs: %v", attribute, got)
	}
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		t.Errorf("encoding/asn1 reads %v, %v", sequence, err)
	}
	for _, bad := range []cert.DN{one("C", "Ö"), one("E", "ö@example.com"), one("x", "y"), one("SERIALNUMBER", "*")} {
		if _, err := bad.Marshal(); err == nil {
			t.Errorf("%v can be encoded", bad)
		}
	}
}

// OpenSSL writes the name in each string type.
func TestDNOf(t *testing.T) {
	c := opensslCertificate(t, `/DC=com/DC=example/O=Müller, GmbH/CN=Alice+UID=7/emailAddress=a@example.com`, "DNS:x")
	got, err := cert.DNOf(c.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	if want := `E=a@example.com,CN=Alice+UID=7,O=Müller\, GmbH,DC=example,DC=com`; got.String() != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for tag, value := range map[int]string{12: "Müller", 19: "Miller", 22: "Miller", 20: "M\xfcller", 30: "\x00M\x00\xfc\x00l", 28: "\x00\x00\x00M", 18: "12", 26: "M"} {
		der := nameWith(t, asn1.RawValue{Tag: tag, Bytes: []byte(value)})
		if got, err := cert.DNOf(der); err != nil || !strings.ContainsAny(got.String(), "M1") {
			t.Errorf("string type %d: got %v, %v", tag, got, err)
		}
	}
	for name, value := range map[string]asn1.RawValue{
		"no text":   {Tag: 2, Bytes: []byte{1}},
		"bad UTF-8": {Tag: 12, Bytes: []byte{0xff}},
		"odd BMP":   {Tag: 30, Bytes: []byte("\x00M\x00")},
		"NUL":       {Tag: 12, Bytes: []byte("a\x00b")},
	} {
		if got, err := cert.DNOf(nameWith(t, value)); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func nameWith(t *testing.T, value asn1.RawValue) []byte {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	inner, err := asn1.MarshalWithParams([]attribute{{asn1.ObjectIdentifier{2, 5, 4, 3}, value}}, "set")
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal([]asn1.RawValue{{FullBytes: inner}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSubjectDiffers(t *testing.T) {
	for name, c := range map[string]struct{ got, want, attribute string }{
		"the same":                {"CN=Alice,O=Example", "CN=Alice,O=Example", ""},
		"case and spaces":         {"CN=alice  EXAMPLE", "CN=Alice Example", ""},
		"other order":             {"O=Example,CN=Alice", "CN=Alice,O=Example", ""},
		"order within a step":     {"UID=7+CN=Alice", "CN=Alice+UID=7", ""},
		"quoted":                  {`CN="Example, Alice"`, `CN=Example\, Alice`, ""},
		"escape in hex":           {`CN=Example\2c Alice`, `CN=Example\, Alice`, ""},
		"both empty":              {"", "", ""},
		"another value":           {"CN=Bob,O=Example", "CN=Alice,O=Example", "CN"},
		"one is missing":          {"CN=Alice", "CN=Alice,O=Example", "O"},
		"one too many":            {"CN=Alice,OU=Admins", "CN=Alice", "OU"},
		"twice":                   {"CN=Alice,OU=a,OU=a", "CN=Alice,OU=a", "OU"},
		"twice is wanted":         {"OU=a", "OU=a,OU=a", "OU"},
		"two steps for one":       {"CN=Alice,UID=7", "CN=Alice+UID=7", "UID"},
		"a comma is no separator": {`CN=Alice\,O\=Example`, "CN=Alice,O=Example", "CN"},
	} {
		got, err := cert.ParseDN(c.got)
		if err != nil {
			t.Fatal(name, err)
		}
		want, err := cert.ParseDN(c.want)
		if err != nil {
			t.Fatal(name, err)
		}
		if attribute, differs := cert.SubjectDiffers(got, want); attribute != c.attribute || differs != (c.attribute != "") {
			t.Errorf("%s: got %q, %v; want %q", name, attribute, differs, c.attribute)
		}
	}
}

func TestAltNames(t *testing.T) {
	const (
		upn    = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:"
		utf8   = "otherName:1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:"
		serial = "otherName:1.2.3.4;UTF8:"
	)
	c := opensslCertificate(t, "/CN=x", "email:Alice@Example.com", utf8+"jörg@example.com", upn+"alice@corp.example", "DNS:Host.example",
		"IP:10.0.0.1", "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1", serial+"x", "RID:1.2.3")
	got, err := cert.AltNamesOf(c.Extensions)
	if err != nil {
		t.Fatal(err)
	}
	want := cert.AltNames{
		Mail: []string{"alice@example.com", "jörg@example.com"}, UPN: []string{"alice@corp.example"}, DNS: []string{"host.example"},
		IP: []string{"10.0.0.1"}, URI: []string{"tag:microsoft.com,2022-09-14:sid:S-1-5-21-1"}, Other: []string{"1.2.3.4", "registeredID"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	turned := want
	turned.Mail = []string{"jörg@example.com", "alice@example.com", "alice@example.com"}
	if kind, differs := cert.AltNamesDiffer(got, turned); differs {
		t.Errorf("order and repetition count: %s", kind)
	}
	for kind, change := range map[string]func(*cert.AltNames){
		"mail": func(n *cert.AltNames) { n.Mail = nil }, "upn": func(n *cert.AltNames) { n.UPN = []string{"bob@corp.example"} },
		"dns": func(n *cert.AltNames) { n.DNS = append([]string{"x"}, n.DNS...) }, "ip": func(n *cert.AltNames) { n.IP = nil },
		"uri": func(n *cert.AltNames) { n.URI = nil }, "other": func(n *cert.AltNames) { n.Other = nil },
	} {
		other := want
		change(&other)
		if k, differs := cert.AltNamesDiffer(other, want); k != kind || !differs {
			t.Errorf("%s: got %q, %v", kind, k, differs)
		}
	}
	if got, err := cert.AltNamesOf(nil); err != nil || !cmp.Equal(got, cert.AltNames{}) {
		t.Errorf("no extension: got %v, %v", got, err)
	}
	altName := func(der string) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte(der)}
	}
	for name, list := range map[string][]pkix.Extension{
		"two":         {altName("\x30\x00"), altName("\x30\x00")},
		"cut off":     {altName("\x30\x03\x81")},
		"more behind": {altName("\x30\x00\x00")},
		"no address":  {altName("\x30\x04\x81\x02ab")},
		"long IP":     {altName("\x30\x05\x87\x03abc")},
		"a flood":     {altName("\x30\x82\x02\x02" + strings.Repeat("\x82\x00", 257))},
	} {
		if got, err := cert.AltNamesOf(list); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// What parses writes a text that means the same, and encodes or says why not.
func FuzzParseDN(f *testing.F) {
	for _, s := range []string{"CN=Alice,O=Example", `CN="a,b"+UID=7`, `CN=\ x\20,1.2.3=#0c0141`, `OU=\#\0d`, "CN=,CN="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := cert.ParseDN(text)
		if err != nil {
			return
		}
		again, err := cert.ParseDN(name.String())
		if err != nil || !cmp.Equal(name, again) {
			t.Fatalf("%q: %v becomes %v, %v", text, name, again, err)
		}
		der, err := name.Marshal()
		if err != nil || len(name) == 0 {
			return
		}
		read, err := cert.DNOf(der)
		if err != nil {
			t.Fatalf("%q cannot be read back: %v", text, err)
		}
		if a, differs := cert.SubjectDiffers(read, name); differs {
			t.Fatalf("%q: %s differs after encoding", text, a)
		}
	})
}

func FuzzDNOf(f *testing.F) {
	der, err := (cert.DN{{{Type: "O", Value: "Müller"}}, {{Type: "CN", Value: "x"}, {Type: "UID", Value: "7"}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte("\x30\x00"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if name, err := cert.DNOf(der); err == nil {
			_, _ = cert.SubjectDiffers(name, name)
			if again, err := cert.ParseDN(name.String()); err == nil {
				if a, differs := cert.SubjectDiffers(again, name); differs {
					t.Fatalf("%s differs after text", a)
				}
			}
		}
	})
}
