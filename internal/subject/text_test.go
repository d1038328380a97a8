package subject_test

import (
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/subject"
)

func TestUnshowable(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"a name":              {"Zoë O'Neil-Łuk 李", false},
		"Hebrew by itself":    {"\u05d0\u05dc", false},
		"escape":              {"\x1b", true},
		"line feed":           {"\n", true},
		"delete":              {"\x7f", true},
		"C1 control sequence": {"\u009b", true},
		"next line":           {"\u0085", true},
		"line separator":      {"\u2028", true},
		"paragraph separator": {"\u2029", true},
		"right-to-left mark":  {"\u200f", true},
		"Arabic letter mark":  {"\u061c", true},
		"override":            {"\u202e", true},
		"isolate":             {"\u2067", true},
	} {
		if got := strings.ContainsFunc(c.text, subject.Unshowable); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
