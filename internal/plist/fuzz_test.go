package plist_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/plist"
)

// FuzzUnmarshal holds that what is accepted can be written again, that this
// is stable, and that nothing panics whatever it is decoded into.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(checkIn))
	f.Add(bplist([]byte{0xa1, 0}))
	f.Add([]byte(`<!DOCTYPE plist [<!ENTITY a "x">]><plist><string>&a;</string></plist>`))
	f.Add([]byte("<plist><array><real>1e3</real><integer>18446744073709551615</integer><data/><string/></array></plist>"))
	f.Add([]byte("<dict><key/><string><![CDATA[<x>]]>&#13;</string><key>a</key><x:array xmlns:x='y'><true/></x:array></dict>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := plist.Limits{Bytes: 1 << 16, Depth: 16, Tokens: 2000}
		var m message
		_ = plist.Unmarshal(data, &m, limits)
		var v map[string]any
		if plist.Unmarshal(data, &v, limits) != nil {
			return
		}
		once, err := plist.Marshal(v)
		if err != nil {
			t.Fatalf("accepted but not written again: %v", err)
		}
		if bytes.Contains(once, []byte("<date>")) {
			return // a zone can carry a date over the year 9999
		}
		var again map[string]any
		if err := plist.Unmarshal(once, &again, plist.Report); err != nil {
			t.Fatalf("not read again: %v\n%s", err, once)
		}
		twice, err := plist.Marshal(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("not stable, %v:\n%s\n%s", err, once, twice)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	for b.Loop() {
		var m message
		if err := plist.Unmarshal([]byte(checkIn), &m, plist.CheckIn); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReport is a list of 300 installed apps.
func BenchmarkReport(b *testing.B) {
	doc := report(300)
	b.Run("guard", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if _, err := plist.Guard(doc, plist.Report); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			var v struct {
				InstalledApplicationList []struct{ Identifier, Name string }
			}
			if err := plist.Unmarshal(doc, &v, plist.Report); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func report(apps int) []byte {
	app := "\t\t<dict>\n\t\t\t<key>Identifier</key>\n\t\t\t<string>com.example.app</string>\n\t\t\t<key>Name</key>\n\t\t\t<string>Example</string>\n" +
		"\t\t\t<key>BundleSize</key>\n\t\t\t<integer>123456789</integer>\n\t\t\t<key>IsValidated</key>\n\t\t\t<true/>\n\t\t</dict>\n"
	return []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n" +
		"<plist version=\"1.0\">\n<dict>\n\t<key>InstalledApplicationList</key>\n\t<array>\n" + strings.Repeat(app, apps) + "\t</array>\n</dict>\n</plist>\n")
}
