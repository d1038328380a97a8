package plist_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/plist"
)

// binary plists in the shapes that end a process which parses them
// (apple's format: header, objects, offset table, 32-byte trailer).

func bplist(objects ...[]byte) []byte {
	out := []byte("bplist00")
	var offsets []byte
	for _, o := range objects {
		offsets = append(offsets, byte(len(out)))
		out = append(out, o...)
	}
	table := len(out)
	out = append(out, offsets...)
	trailer := make([]byte, 32)
	trailer[6], trailer[7] = 1, 1
	binary.BigEndian.PutUint64(trailer[8:], uint64(len(objects)))
	binary.BigEndian.PutUint64(trailer[24:], uint64(table))
	return append(out, trailer...)
}

func exponential(levels int) []byte {
	objects := make([][]byte, 0, levels+1)
	for i := range levels {
		objects = append(objects, []byte{0xa2, byte(i + 1), byte(i + 1)})
	}
	return bplist(append(objects, []byte{0x09})...)
}

func TestHostileDocuments(t *testing.T) {
	nested := func(n int) []byte {
		return []byte("<plist>" + strings.Repeat("<array>", n) + strings.Repeat("</array>", n) + "</plist>")
	}
	big := plist.Limits{Bytes: 64 << 20, Depth: 64, Tokens: 200_000}
	utf16 := append([]byte{0xff, 0xfe}, bytes.ReplaceAll([]byte("<plist><dict/></plist>"), nil, []byte{0})...)
	cases := []struct {
		name   string
		data   []byte
		limits plist.Limits
		want   error
	}{
		{"array holds itself", bplist([]byte{0xa1, 0}), plist.Report, plist.ErrBinary},
		{"dict holds itself", bplist([]byte{0xd1, 1, 0}, []byte{0x51, 'k'}), plist.Report, plist.ErrBinary},
		{"2^31 elements", bplist([]byte{0xaf, 0x12, 0x7f, 0xff, 0xff, 0xff}), plist.Report, plist.ErrBinary},
		{"2^31 bytes of data", bplist([]byte{0x4f, 0x12, 0x7f, 0xff, 0xff, 0xff}), plist.Report, plist.ErrBinary},
		{"2^40 bytes of data", bplist([]byte{0x4f, 0x13, 0, 0, 1, 0, 0, 0, 0, 0}), plist.Report, plist.ErrBinary},
		{"doubling 36 times", exponential(36), plist.Report, plist.ErrBinary},
		{"binary after white space", append([]byte("\n "), bplist([]byte{0xa1, 0})...), plist.Report, plist.ErrBinary},
		{"2 million levels", nested(2_000_000), plist.Report, plist.ErrTooLarge},
		{"2 million levels under a huge size limit", nested(2_000_000), big, plist.ErrTooDeep},
		{"64 levels", nested(63), plist.CheckIn, nil},
		{"65 levels", nested(64), plist.CheckIn, plist.ErrTooDeep},
		{"half a million elements", []byte("<array>" + strings.Repeat("<true/>", 500_000) + "</array>"), big, plist.ErrTooMany},
		{"text of 10 MiB", []byte("<string>" + strings.Repeat("A", 10<<20) + "</string>"), plist.Report, plist.ErrTooLarge},
		{"text of 10 MiB at check-in", []byte("<string>" + strings.Repeat("A", 10<<20) + "</string>"), plist.CheckIn, plist.ErrTooLarge},
		{"own entities", []byte(`<!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><plist><string>&b;</string></plist>`), plist.CheckIn, plist.ErrDoctype},
		{"entity outside a DOCTYPE", []byte(`<!ENTITY a "x"><plist><string>&a;</string></plist>`), plist.CheckIn, plist.ErrDoctype},
		{"foreign DOCTYPE", []byte(`<!DOCTYPE html><plist><dict/></plist>`), plist.CheckIn, plist.ErrDoctype},
		{"DOCTYPE after the root", []byte(`<plist><dict/></plist><!DOCTYPE plist>`), plist.CheckIn, plist.ErrDoctype},
		{"undeclared entity", []byte("<plist><string>&lol;</string></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"UTF-16", utf16, plist.CheckIn, plist.ErrEncoding},
		{"UTF-16 without mark", utf16[2:], plist.CheckIn, plist.ErrEncoding},
		{"UTF-16 declared", []byte(`<?xml version="1.0" encoding="UTF-16"?><plist><dict/></plist>`), plist.CheckIn, plist.ErrInvalid},
		{"Latin-1", []byte("<plist><string>\xe9</string></plist>"), plist.CheckIn, plist.ErrEncoding},
		{"empty", nil, plist.CheckIn, plist.ErrInvalid},
		{"white space", []byte(" \n"), plist.CheckIn, plist.ErrInvalid},
		{"JSON", []byte(`{"a":1}`), plist.CheckIn, plist.ErrInvalid},
		{"only a comment", []byte("<!-- x -->"), plist.CheckIn, plist.ErrInvalid},
		{"two roots", []byte("<plist><dict/></plist><plist><dict/></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"text after the root", []byte("<plist><dict/></plist>x"), plist.CheckIn, plist.ErrInvalid},
		{"cut off", []byte("<plist><dict><key>a</key>"), plist.CheckIn, plist.ErrInvalid},
		{"crossed tags", []byte("<plist><dict></plist></dict>"), plist.CheckIn, plist.ErrInvalid},
		{"end first", []byte("</plist>"), plist.CheckIn, plist.ErrInvalid},
		{"unknown element", []byte("<plist><set/></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"not a number", []byte("<plist><real>nan</real></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"not a number in pieces", []byte("<plist><real>n<!-- -->an</real></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"infinite", []byte("<plist><real>-Infinity</real></plist>"), plist.CheckIn, plist.ErrInvalid},
		{"huge number", []byte("<plist><real>1e999</real></plist>"), plist.CheckIn, plist.ErrInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var v any
			var err error
			grown := allocated(func() { err = plist.Unmarshal(c.data, &v, c.limits) })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if grown > 32<<20 {
				t.Errorf("allocated %d bytes for a document of %d", grown, len(c.data))
			}
		})
	}
}

func TestErrorsQuoteNothing(t *testing.T) {
	for _, doc := range []string{
		"<plist><secret-name>x</secret-name></plist>",
		"<plist><secret-name>x</other></plist>",
		"<plist><integer>secret-name</integer></plist>",
		"<plist><date>secret-name</date></plist>",
		"<plist><string>secret-name</string></plist>",
	} {
		var n int
		err := plist.Unmarshal([]byte(doc), &n, plist.CheckIn)
		if err == nil || strings.Contains(err.Error(), "secret-name") {
			t.Errorf("%s: got %v, want an error without the text", doc, err)
		}
	}
}

// allocated counts bytes that f allocates, dead or alive.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
