package seal_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
)

func TestSecretNeverPrints(t *testing.T) {
	const canary = "canary-4711"
	type holder struct {
		S seal.Secret
		P *seal.Secret
	}
	s := seal.SecretString(canary)
	h := holder{s, &s}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", h)
	for _, enc := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		b, err := enc(h)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the secret shows as %q in:\n%s", leak, out.String())
		}
	}
}

func TestRandomIsLongAndFresh(t *testing.T) {
	a, b := seal.Random(), seal.Random()
	if len(a.Reveal()) < 26 || a.Equal(b) {
		t.Errorf("got %d characters, equal %v", len(a.Reveal()), a.Equal(b))
	}
}

func TestBox(t *testing.T) {
	root := seal.RandomRoot()
	box, err := seal.NewBox(root, "push")
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.NewBox(root, "unlock")
	if err != nil {
		t.Fatal(err)
	}
	sealed := box.Close(seal.SecretString("token"), "device-1")

	if got, err := box.Open(sealed, "device-1"); err != nil || got.RevealString() != "token" {
		t.Errorf("Open: got %q, %v", got.RevealString(), err)
	}
	if _, err := box.Open(sealed, "device-2"); err == nil {
		t.Error("another row's value opened")
	}
	if _, err := other.Open(sealed, "device-1"); err == nil {
		t.Error("another purpose's key opened it")
	}
	if _, err := box.Open(sealed[:5], "device-1"); err == nil {
		t.Error("a stump opened")
	}
	if _, err := seal.NewBox(seal.SecretString("short"), "x"); err == nil {
		t.Error("a short root was taken")
	}
}
