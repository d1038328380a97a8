package phone_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

func TestPlistGrammar(t *testing.T) {
	doc := func(inner string) string { return `<?xml version="1.0"?><plist version="1.0">` + inner + `</plist>` }
	for name, c := range map[string]struct {
		in string
		ok bool
	}{
		"dict":             {doc(`<dict><key>a</key><string>b</string></dict>`), true},
		"comment and room": {doc(" <!-- c --> <dict>\n <key>a</key> <true/> </dict> "), true},
		"nested":           {doc(`<array><dict><key>a</key><array><integer>1</integer></array></dict></array>`), true},
		"date":             {doc(`<date>2026-01-02T03:04:05Z</date>`), true},
		"no version":       {`<plist><dict/></plist>`, false},
		"no root":          {`<dict/>`, false},
		"two values":       {doc(`<dict/><dict/>`), false},
		"two documents":    {doc(`<dict/>`) + doc(`<dict/>`), false},
		"nothing":          {doc(``), false},
		"key twice":        {doc(`<dict><key>a</key><true/><key>a</key><true/></dict>`), false},
		"key alone":        {doc(`<dict><key>a</key></dict>`), false},
		"key key":          {doc(`<dict><key>a</key><key>b</key></dict>`), false},
		"value alone":      {doc(`<dict><true/></dict>`), false},
		"key in array":     {doc(`<array><key>a</key></array>`), false},
		"text between":     {doc(`<dict>x</dict>`), false},
		"element in text":  {doc(`<string><true/></string>`), false},
		"unknown element":  {doc(`<float>1</float>`), false},
		"not a date":       {doc(`<date>today</date>`), false},
		"cut off":          {doc(`<dict>`)[:40], false},
		"too deep":         {doc(strings.Repeat("<array>", 70) + strings.Repeat("</array>", 70)), false},
		"empty":            {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := phone.CheckPlist([]byte(c.in)); (err == nil) != c.ok {
				t.Errorf("got %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestDER(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"definite":          {"3003020105", "3003020105"},
		"indefinite":        {"30800201050000", "3003020105"},
		"nested":            {"308030800201050000" + "0000", "30053003020105"},
		"octets in pieces":  {"2480040101040202030000", "0403010203"},
		"definite pieces":   {"24070401010402" + "0203", "0403010203"},
		"long form":         {"30810302010" + "5", "3003020105"},
		"high tag":          {"bf8101020500", "bf8101020500"},
		"trailing":          {"020105ff", ""},
		"no end":            {"3080020105", ""},
		"primitive open":    {"0480010100", ""},
		"length too long":   {"30850000000001", ""},
		"past the end":      {"3004020105", ""},
		"octets of another": {"2403020101", ""},
		"empty":             {"", ""},
		"tag alone":         {"1f", ""},
		"endless tag":       {"1fffffffffffff", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := hex.DecodeString(c.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := phone.DER(in)
			if hex.EncodeToString(got) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %x, %v, want %s", got, err, c.want)
			}
		})
	}
}

// Spec: RFC 2268 section 5
func TestRC2(t *testing.T) {
	for _, c := range []struct {
		key, plain, cipher string
		bits               int
	}{
		{"0000000000000000", "0000000000000000", "ebb773f993278eff", 63},
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49", 64},
		{"88", "0000000000000000", "61a8a244adacccf0", 64},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "1a807d272bbe5db1", 64},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6", 128},
	} {
		key, _ := hex.DecodeString(c.key)
		text, _ := hex.DecodeString(c.cipher)
		block, err := phone.NewRC2(key, c.bits)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		if block.Decrypt(got, text); hex.EncodeToString(got) != c.plain {
			t.Errorf("key %s, %d bits: got %x, want %s", c.key, c.bits, got, c.plain)
		}
	}
}

func FuzzDER(f *testing.F) {
	for _, s := range []string{"3003020105", "30800201050000", "2480040101040202030000", "bf8101020500", "30810302010500"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := phone.DER(b)
		if err != nil {
			return
		}
		again, err := phone.DER(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("DER of DER: got %x, %v, want %x", again, err, out)
		}
	})
}

func FuzzPlist(f *testing.F) {
	f.Add([]byte(`<plist version="1.0"><dict><key>a</key><array><data>AA==</data></array></dict></plist>`))
	f.Add([]byte(`<plist version="1.0"><date>2026-01-02T03:04:05Z</date></plist>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := phone.ReadPlist(b)
		if err == nil && v == nil {
			t.Error("no error and no value")
		}
	})
}

func FuzzCMS(f *testing.F) {
	seeds(f, "cms")
	f.Fuzz(func(t *testing.T, b []byte) {
		signed, sealed := phone.ReadSigned(b) == nil, phone.ReadSealed(b) == nil
		if signed && sealed {
			t.Error("a message of both kinds")
		}
	})
}

func FuzzPKCS12(f *testing.F) {
	seeds(f, "pkcs12")
	template, err := os.ReadFile("testdata/pkcs12/3des.p12")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(phone.Safe(template))
	f.Fuzz(func(t *testing.T, b []byte) {
		behindMAC := phone.EditPKCS12(template, "secret", func([]byte) []byte { return b })
		for _, file := range [][]byte{b, behindMAC} {
			if ids, err := phone.OpenPKCS12(file, "secret", "18.0"); err != nil && ids != nil {
				t.Error("identities beside an error")
			}
		}
	})
}

const binaryMail = "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"

func FuzzMail(f *testing.F) {
	f.Add([]byte("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHA6CAMIACAQAxADCABgkqhkiG9w0BBwEAAAAAAAAAAA==\r\n"))
	f.Add([]byte("Content-Type: text/plain\n\nhello"))
	seeds(f, "cms")
	ids := keptIdentity(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, eml := range [][]byte{b, append([]byte(binaryMail), b...)} {
			if plain, used, err := phone.ReadMail(eml, nil); err == nil {
				t.Errorf("opened without a key: %q %v", plain, used)
			}
			if plain, used, err := phone.ReadMail(eml, ids); (err == nil) != (used == ids[0].Certificate) {
				t.Errorf("got %q, %v, %v", plain, used, err)
			}
		}
	})
}

// keptIdentity gives the EC identity to which agreed-*.der are sealed.
func keptIdentity(t testing.TB) []phone.Identity {
	t.Helper()
	file, err := os.ReadFile("testdata/pkcs12/modern.p12")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := phone.OpenPKCS12(file, "secret", "18.0")
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(`<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
		<key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>00000000-0000-4000-9000-000000000001</string>
		<key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.security.pem</string><key>PayloadVersion</key><integer>1</integer>
		<key>PayloadIdentifier</key><string>a.b</string><key>PayloadUUID</key><string>00000000-0000-4000-9000-000000000002</string>
		<key>PayloadContent</key><data>AA==</data></dict></array></dict></plist>`))
	seeds(f, "cms")
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := phone.OpenProfile(b); err == nil && n == 0 {
			t.Error("a profile without payloads was taken")
		}
	})
}

// seeds adds the files of a folder below testdata.
func seeds(f *testing.F, folder string) {
	names, err := os.ReadDir("testdata/" + folder)
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds in testdata/%s: %v", folder, err)
	}
	for _, n := range names {
		b, err := os.ReadFile("testdata/" + folder + "/" + n.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// What the phone writes, a plist tool reads.
func TestPlistForOthers(t *testing.T) {
	judge.Need(t, "plistutil")
	s := newServer(t)
	s.enrolled(phone.Config{})
	for _, r := range s.requests {
		if out := judge.Run(t, r.body, "plistutil", "-i", "-", "-f", "bin"); !bytes.Contains(out, []byte("com.apple.mgmt")) {
			t.Errorf("plistutil reads %q", out)
		}
	}
}
