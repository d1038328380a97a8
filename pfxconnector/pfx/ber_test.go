package pfx_test

import (
	"bytes"
	"testing"

	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

func TestToDER(t *testing.T) {
	for name, c := range map[string]struct{ in, want, rest string }{
		"as it should be":             {"3003020103", "3003020103", ""},
		"what follows":                {"3003020103ffff", "3003020103", "ffff"},
		"long length":                 {"30840000000402810103", "3003020103", ""},
		"indefinite":                  {"30800201030000", "3003020103", ""},
		"indefinite in indefinite":    {"3080308002010300000000aa", "30053003020103", "aa"},
		"definite around indefinite":  {"30073080020103 0000", "30053003020103", ""},
		"string in pieces":            {"2480040201020401030000", "0403010203", ""},
		"definite string in pieces":   {"2407040201020401 03", "0403010203", ""},
		"pieces in pieces":            {"2480248004010100000401020000", "04020102", ""},
		"no pieces":                   {"24800000", "0400", ""},
		"explicit tag":                {"a08004010100 00", "a003040101", ""},
		"padded integer":              {"0203000001", "020101", ""},
		"padded negative integer":     {"0202ffff", "0201ff", ""},
		"needed zero":                 {"02020080", "02020080", ""},
		"needed ones":                 {"0202ff7f", "0202ff7f", ""},
		"zero":                        {"020100", "020100", ""},
		"integer without contents":    {"0200", "0200", ""},
		"inside of a string is as is": {"040630800201030 0", "0406308002010300", ""},
	} {
		in := unhex(string(bytes.ReplaceAll([]byte(c.in), []byte(" "), nil)))
		der, rest, err := pfx.ToDER(in, pfx.Default)
		if err != nil || !bytes.Equal(der, unhex(c.want)) || !bytes.Equal(rest, unhex(c.rest)) {
			t.Errorf("%s: got %x and %x, %v, want %s and %s", name, der, rest, err, c.want, c.rest)
		}
	}
}

func TestToDERRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                       "",
		"a tag":                         "30",
		"half a length":                 "3082ff",
		"no contents":                   "3003",
		"indefinite without end":        "3080020103",
		"indefinite with half an end":   "308002010300",
		"end of contents as an element": "30020000",
		"primitive of indefinite":       "04800000",
		"tag of several octets":         "3f8101020103",
		"length of five octets":         "30850000000000",
		"integer in a string":           "24030201030000",
		"child longer than parent":      "3003020203",
	} {
		if der, _, err := pfx.ToDER(unhex(in), pfx.Default); err == nil {
			t.Errorf("%s: got %x, want an error", name, der)
		}
	}
}

// TestToDERKeepsDER: what is DER stays as it is, and what was made DER is DER.
func TestToDERKeepsDER(t *testing.T) {
	for _, s := range testdata.PFXCorpus() {
		once, _, err := pfx.ToDER(s.Data, pfx.Default)
		if err != nil {
			continue
		}
		twice, rest, err := pfx.ToDER(once, pfx.Default)
		if err != nil || len(rest) > 0 || !bytes.Equal(once, twice) {
			t.Errorf("%s: the second pass changed it: %v", s.Name, err)
		}
	}
}
