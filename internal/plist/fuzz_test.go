package plist_test

import (
	"bytes"
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
