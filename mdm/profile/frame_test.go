package profile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm/profile"
)

var noSecrets = cmpopts.IgnoreTypes(seal.Secret{})

func TestFrameRoundTrip(t *testing.T) {
	for name, want := range frames() {
		t.Run(name, func(t *testing.T) {
			want.RemovalDisallowed, want.Consent = true, map[string]string{"default": "Yes?"}
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got profile.Profile
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, noSecrets); diff != "" {
				t.Error(diff)
			}
			if a, b := encode(t, fill(want)), encode(t, fill(got)); string(a) != string(b) {
				t.Errorf("encodes otherwise:\n%s\n%s", a, b)
			}
		})
	}
}

func TestFrameCarriesNoSecret(t *testing.T) {
	secret := seal.SecretString("x")
	cases := map[string]profile.Profile{
		"challenge":         of(scep()),
		"p12":               of(pkcs12()),
		"p12 password":      of(pkcs12()),
		"Exchange password": of(exchange()),
		"incoming password": of(imap()),
		"outgoing password": of(imap()),
		"LDAP password":     of(ldap()),
	}
	edits := map[string]func(*profile.Profile){
		"challenge":         with(func(s *profile.SCEP) { s.Challenge = secret }),
		"p12":               with(func(p *profile.PKCS12) { p.Content = []byte{1} }),
		"p12 password":      with(func(p *profile.PKCS12) { p.Password = secret }),
		"Exchange password": with(func(e *profile.Exchange) { e.Password = secret }),
		"incoming password": with(func(m *profile.Mail) { m.IncomingPassword = secret }),
		"outgoing password": with(func(m *profile.Mail) { m.OutgoingPassword = secret }),
		"LDAP password":     with(func(l *profile.LDAP) { l.Password = secret }),
	}
	for name, p := range cases {
		if _, err := json.Marshal(p); err != nil {
			t.Errorf("%s: empty frame: %v", name, err)
		}
		edits[name](&p)
		if data, err := json.Marshal(p); !errors.Is(err, profile.ErrSecret) {
			t.Errorf("%s: got %s, %v, want %v", name, data, err, profile.ErrSecret)
		}
	}
}

func TestFrameRefuses(t *testing.T) {
	good, err := json.Marshal(of(root()))
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"type outside the list": strings.Replace(string(good), "com.apple.security.root", "com.apple.vpn.managed", 1),
		"unknown field":         strings.Replace(string(good), `"FileName"`, `"Challenge"`, 1),
		"unknown top field":     strings.Replace(string(good), `"Payloads"`, `"PayloadContent"`, 1),
		"p12 in a frame": fmt.Sprintf(`{"Identifier":"a","UUID":%q,"Payloads":[{"Type":"com.apple.security.pkcs12","Payload":{"Content":"AAAA"}}]}`,
			profile.UUID("a")),
		"null payload":     `{"Identifier":"a","UUID":"x","Payloads":[{"Type":"com.apple.mdm","Payload":null}]}`,
		"no payload value": `{"Payloads":[{"Type":"com.apple.mdm"}]}`,
		"list":             `[]`,
	} {
		var p profile.Profile
		if err := json.Unmarshal([]byte(doc), &p); !errors.Is(err, profile.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, profile.ErrInvalid)
		}
	}
	if _, err := json.Marshal(of(nil)); !errors.Is(err, profile.ErrInvalid) {
		t.Errorf("nil payload: got %v, want %v", err, profile.ErrInvalid)
	}
}

func TestFilledProfilePrintsNoSecret(t *testing.T) {
	p := fill(of(scep(), pkcs12()))
	for _, payload := range p.Payloads {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, payload); strings.Contains(s, "PASSWORD") || strings.Contains(s, "CHALLENGE") {
				t.Errorf("%s of %s prints it: %s", verb, payload.Type(), s)
			}
		}
	}
}

// FuzzFrame holds that a frame that is read is written again the same.
func FuzzFrame(f *testing.F) {
	for _, p := range frames() {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p, again profile.Profile
		if json.Unmarshal(data, &p) != nil {
			return
		}
		once, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(once, &again); err != nil {
			t.Fatal(err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(once) {
			t.Fatalf("not stable, %v:\n%s\n%s", err, once, twice)
		}
		_, _ = fill(p).Encode()
	})
}
