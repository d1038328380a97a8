package plist_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/plist"
)

const checkIn = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>MessageType</key>
	<string>TokenUpdate</string>
	<key>AwaitingConfiguration</key>
	<false/>
	<key>PushMagic</key>
	<string>A &amp; B</string>
	<key>Token</key>
	<data>
	AAEC
	AwQ=
	</data>
	<key>Level</key>
	<real>0.75</real>
	<key>Count</key>
	<integer>-3</integer>
	<key>When</key>
	<date>2026-01-02T03:04:05Z</date>
	<key>Unknown</key>
	<array><dict/></array>
</dict>
</plist>
`

type message struct {
	MessageType string
	Awaiting    bool    `plist:"AwaitingConfiguration"`
	Magic       string  `plist:"PushMagic"`
	Token       []byte  `plist:",omitempty"`
	Level       float64 `plist:",omitempty"`
	Count       int
	When        time.Time `plist:",omitempty"`
	Extra       any       `plist:",omitempty"`
}

func TestUnmarshal(t *testing.T) {
	want := message{
		MessageType: "TokenUpdate", Magic: "A & B", Token: []byte{0, 1, 2, 3, 4},
		Level: 0.75, Count: -3, When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for name, doc := range map[string]string{
		"as devices write":      checkIn,
		"with byte order mark":  "\ufeff" + checkIn,
		"with CRLF":             strings.ReplaceAll(checkIn, "\n", "\r\n"),
		"without plist element": checkIn[strings.Index(checkIn, "<dict>") : strings.Index(checkIn, "</dict>\n</plist>")+7],
	} {
		t.Run(name, func(t *testing.T) {
			var got message
			if err := plist.Unmarshal([]byte(doc), &got, plist.CheckIn); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnmarshalTypeMismatch(t *testing.T) {
	var got struct{ MessageType int }
	err := plist.Unmarshal([]byte(checkIn), &got, plist.CheckIn)
	if !errors.Is(err, plist.ErrShape) {
		t.Errorf("got %v, want %v", err, plist.ErrShape)
	}
}

func TestMarshalIsReadByOthers(t *testing.T) {
	judge.Need(t, "plistutil")
	in := message{MessageType: "<&>\"'\n\ttext ü", Token: []byte("data"), Level: 1, Count: math.MinInt64, When: time.Unix(1, 0)}
	xml, err := plist.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	back := judge.Run(t, judge.Run(t, xml, "plistutil", "-f", "bin", "-i", "-"), "plistutil", "-f", "xml", "-i", "-")
	var got message
	if err := plist.Unmarshal(back, &got, plist.CheckIn); err != nil {
		t.Fatal(err)
	}
	in.When = in.When.UTC()
	if diff := cmp.Diff(in, got); diff != "" {
		t.Error(diff)
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, v := range map[string]any{
		"nil":               nil,
		"nil in a map":      map[string]any{"a": nil},
		"nil in a list":     []any{1, nil},
		"nil deep inside":   map[string]any{"a": []any{map[string]any{"b": nil}}},
		"nil field":         struct{ A any }{},
		"nil pointer":       (*message)(nil),
		"not a number":      math.NaN(),
		"infinite":          map[string]any{"a": math.Inf(-1)},
		"map with int keys": map[int]string{1: "a"},
		"function":          func() {},
		"channel":           make(chan int),
	} {
		t.Run(name, func(t *testing.T) {
			xml, err := plist.Marshal(v)
			if !errors.Is(err, plist.ErrValue) || xml != nil {
				t.Errorf("got %q, %v, want %v", xml, err, plist.ErrValue)
			}
		})
	}
}

func TestMarshalTakesTextThatLooksLikeANumber(t *testing.T) {
	if _, err := plist.Marshal("<real>nan</real>"); err != nil {
		t.Error(err)
	}
}
