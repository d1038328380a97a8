package scep_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/scep"
)

// What clients make of base64 in an address is repaired.
func TestDecodeMessage(t *testing.T) {
	message := []byte("\xfb\xef\xbe\xff\xff\x00 a message whose base64 has + and / in it, and padding too")
	std := base64.StdEncoding.EncodeToString(message)
	if !strings.ContainsAny(std, "+") || !strings.ContainsAny(std, "/") || !strings.HasSuffix(std, "=") {
		t.Fatalf("the sample is too tame: %s", std)
	}
	for name, query := range map[string]string{
		"as it should be":         std,
		"plus as space (iOS 11)":  strings.ReplaceAll(std, "+", " "),
		"base64url (micromdm)":    base64.URLEncoding.EncodeToString(message),
		"base64url, no padding":   base64.RawURLEncoding.EncodeToString(message),
		"no padding":              strings.TrimRight(std, "="),
		"lines (strongSwan)":      std[:64] + "\n" + std[64:] + "\n",
		"lines with CR":           std[:30] + "\r\n" + std[30:],
		"padding and a line feed": std + "\r\n",
	} {
		if got, err := scep.DecodeMessage(query); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: got %x, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		query string
		want  error
	}{
		"nothing":       {"", scep.ErrMessage},
		"padding alone": {"====", scep.ErrMessage},
		"percent left":  {"%2B%2B", scep.ErrMessage},
		"one character": {"A", scep.ErrMessage},
		"too large":     {base64.StdEncoding.EncodeToString(make([]byte, scep.MaxMessage+1)), scep.ErrTooLarge},
		"far too large": {strings.Repeat("\n", 3*scep.MaxMessage), scep.ErrTooLarge},
	} {
		if got, err := scep.DecodeMessage(c.query); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %d bytes, %v; want %v", name, len(got), err, c.want)
		}
	}
	if got, err := scep.DecodeMessage(base64.StdEncoding.EncodeToString(make([]byte, scep.MaxMessage))); err != nil || len(got) != scep.MaxMessage {
		t.Errorf("as large as may be: got %d bytes, %v", len(got), err)
	}
}

// A message that a Mac sent once is read up to its envelope, which is for
// another server. Its nonce has 8 octets.
func TestMessageOfAMac(t *testing.T) {
	message := must(os.ReadFile("testdata/macos-10.11-pkcsreq.der"))(t)
	for name, c := range map[string]struct {
		change func(*scep.Config)
		want   string
	}{
		"usual":            {func(*scep.Config) {}, "scep_algorithm"},
		"legacy":           {func(c *scep.Config) { c.AllowLegacy = true }, "scep_clock"},
		"legacy, no clock": {func(c *scep.Config) { c.AllowLegacy, c.MaxSkew = true, -1 }, "scep_unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			raw := must(w.s.PKIOperation(t.Context(), scep.MailSigning, "192.0.2.1", message))(t)
			if !bytes.Contains(raw, []byte(c.want)) {
				t.Errorf("no %s in the reply", c.want)
			}
		})
	}
}

// No secret and nothing foreign gets into the log.
func TestLogTellsNoSecret(t *testing.T) {
	w := newWorld(t)
	secret := w.challenge(scep.MailSigning).RevealString()
	for _, a := range []ask{{challenge: secret, kind: "18"}, {challenge: "FOREIGN"}, {challenge: secret, key: rsaKey(2)}, {challenge: secret}, {challenge: secret, transaction: "FOREIGN"}, {challenge: secret, transaction: "0123456789ABCDEF"}} {
		w.send(a)
	}
	log := w.log.String()
	for _, s := range []string{secret, "FOREIGN", "BEGIN"} {
		if strings.Contains(log, s) {
			t.Errorf("the log has %q:\n%s", s, log)
		}
	}
	for _, s := range []string{"scep_challenge_unknown", "scep_key_foreign", "certificate issued", "transaction=0123456789ABCDEF", fmt.Sprint("user=", w.user.ID), fmt.Sprint("device=", w.device.ID)} {
		if !strings.Contains(log, s) {
			t.Errorf("the log has no %q:\n%s", s, log)
		}
	}
}
