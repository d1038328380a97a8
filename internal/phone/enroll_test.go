package phone_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

func TestEnroll(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{OSVersion: "18.2", Serial: "C39XK"})

	auth, token := s.said("Authenticate"), s.said("TokenUpdate")
	if len(auth) != 1 || len(token) != 1 {
		t.Fatalf("got %d Authenticate and %d TokenUpdate, want one each", len(auth), len(token))
	}
	for key, want := range map[string]any{
		"UDID": p.UDID(), "SerialNumber": "C39XK", "OSVersion": "18.2", "Topic": "com.apple.mgmt.External.1",
	} {
		if got := auth[0].message[key]; got != want {
			t.Errorf("Authenticate %s: got %v, want %v", key, got, want)
		}
	}
	if got := auth[0].contentType; got != "application/x-apple-aspen-mdm-checkin" {
		t.Errorf("content type of a check-in: got %q", got)
	}
	e, ok := p.Enrollment()
	if !ok {
		t.Fatal("the phone says it is not enrolled")
	}
	m := token[0].message
	if !bytes.Equal(m["Token"].([]byte), e.Token) || m["PushMagic"] != e.PushMagic || m["UnlockToken"] != nil {
		t.Errorf("TokenUpdate: got %v, want token and magic of %+v and no UnlockToken without the right", m, e)
	}
	ids := p.Identities()
	if len(ids) != 1 || ids[0].Kind != "scep" || ids[0].PayloadUUID != uuid(2) || ids[0].Profile != enrollment {
		t.Errorf("identities: got %+v, want the SCEP one", ids)
	}
	if n, err := p.Poll(t.Context()); n != 0 || err != nil {
		t.Errorf("poll without commands: got %d, %v", n, err)
	}
	if got := s.said("Idle")[0].contentType; got != "application/x-apple-aspen-mdm; charset=UTF-8" {
		t.Errorf("content type of a result: got %q", got)
	}
}

func TestEnrollmentRefused(t *testing.T) {
	s := newServer(t)
	scep := map[string]any{"IdentityCertificateUUID": uuid(2)}
	for name, c := range map[string]struct {
		change func(profile map[string]any)
		keys   map[string]any
		want   string
	}{
		"http server":             {keys: map[string]any{"ServerURL": "http://127.0.0.1/mdm"}, want: "12011"},
		"foreign topic":           {keys: map[string]any{"Topic": "org.example"}, want: "12022"},
		"no rights":               {keys: map[string]any{"AccessRights": 0}, want: "12000"},
		"install without inspect": {keys: map[string]any{"AccessRights": 2}, want: "12000"},
		"identity elsewhere":      {keys: map[string]any{"IdentityCertificateUUID": uuid(99)}, want: "names no identity"},
		"identity is the root":    {keys: map[string]any{"IdentityCertificateUUID": uuid(4)}, want: "names no identity"},
		"misspelt key":            {keys: map[string]any{"SignMessages": true}, want: "SignMessages"},
		"rights as a string":      {keys: map[string]any{"AccessRights": "7443"}, want: "2003"},
		"same UUID twice": {keys: scep, want: "1007", change: func(d map[string]any) {
			d["PayloadContent"].([]any)[2].(map[string]any)["PayloadUUID"] = uuid(2)
		}},
		"same identifier twice": {keys: scep, want: "1008", change: func(d map[string]any) {
			d["PayloadContent"].([]any)[2].(map[string]any)["PayloadIdentifier"] = "org.example.payload.2"
		}},
		"not an iPhone's":  {want: "1010", change: func(d map[string]any) { d["TargetDeviceType"] = 5 }},
		"payload version":  {want: "1001", change: func(d map[string]any) { d["PayloadVersion"] = 2 }},
		"no UUID":          {want: "1003", change: func(d map[string]any) { d["PayloadUUID"] = "x" }},
		"no content":       {want: "1005", change: func(d map[string]any) { d["PayloadContent"] = []any{} }},
		"not a profile":    {want: "1010", change: func(d map[string]any) { d["PayloadType"] = "Profile Service" }},
		"no identifier":    {want: "PayloadIdentifier", change: func(d map[string]any) { delete(d, "PayloadIdentifier") }},
		"unknown payload":  {want: "does not know", change: func(d map[string]any) { d["PayloadContent"].([]any)[2].(map[string]any)["PayloadType"] = "com.apple.x" }},
		"TLS root missing": {want: "could not be reached", change: func(d map[string]any) { d["PayloadContent"] = d["PayloadContent"].([]any)[:2] }},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.phone(phone.Config{})
			d := s.enrollment(c.keys)
			if c.change != nil {
				c.change(d)
			}
			err := p.Enroll(t.Context(), xml(t, d))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if _, ok := p.Enrollment(); ok || len(p.Profiles())+len(p.Identities()) != 0 {
				t.Errorf("something stayed of a failed enrollment: %v", p.Profiles())
			}
		})
	}
}

func TestEnrollmentNeedsAnAcceptedAuthenticate(t *testing.T) {
	s := newServer(t)
	p := s.phone(phone.Config{})
	s.answer(http.StatusBadRequest)
	err := p.Enroll(t.Context(), xml(t, s.enrollment(nil)))
	if status, ok := errors.AsType[*phone.StatusError](err); !ok || status.Status != 400 {
		t.Errorf("got %v, want the status 400 inside", err)
	}
	if len(p.Profiles()) != 0 {
		t.Error("the profile stayed")
	}
}

func TestTokenUpdateIsRepeated(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	s.answer(http.StatusServiceUnavailable)
	if err := p.NewToken(t.Context()); err == nil {
		t.Error("a refused TokenUpdate gave no error")
	}
	s.answer(0)
	if _, err := p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, _ := p.Enrollment()
	all := s.said("TokenUpdate")
	if got := all[len(all)-1].message["Token"].([]byte); len(all) != 3 || !bytes.Equal(got, e.Token) {
		t.Errorf("got %d TokenUpdates, the last with %x, want 3 and %x", len(all), got, e.Token)
	}
}

// What an Mdm-Signature is worth is OpenSSL's to say.
func TestMdmSignature(t *testing.T) {
	judge.Need(t, "openssl")
	for name, c := range map[string]struct {
		shape  phone.SignatureShape
		digest string
		attrs  bool
		ber    bool
	}{
		"Apple's":               {phone.SignatureShape{}, "sha1", false, true},
		"SHA-256 BER":           {phone.SignatureShape{Hash: crypto.SHA256}, "sha256", false, true},
		"another client's":      {phone.SignatureShape{Hash: crypto.SHA256, DER: true, Attributes: true}, "sha256", true, false},
		"attributes in BER too": {phone.SignatureShape{Attributes: true}, "sha1", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := s.enrolled(phone.Config{Signature: c.shape})
			r := s.said("TokenUpdate")[0]
			sig, err := base64.StdEncoding.DecodeString(r.signature)
			if err != nil {
				t.Fatal(err)
			}
			if ber := sig[1] == 0x80; ber != c.ber {
				t.Errorf("indefinite length: got %v, want %v", ber, c.ber)
			}
			dir := t.TempDir()
			file := func(name string, b []byte) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			body, sigFile := file("body", r.body), file("sig", sig)
			out := judge.Run(t, nil, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", sigFile,
				"-content", body, "-noverify", "-signer", filepath.Join(dir, "signer.pem"))
			if !bytes.Equal(out, r.body) {
				t.Error("openssl verified another content")
			}
			judge.Refuses(t, nil, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", sigFile,
				"-content", file("other", append(bytes.Clone(r.body), '\n')), "-noverify")
			printed := string(judge.Run(t, nil, "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", sigFile))
			if !strings.Contains(printed, c.digest) || strings.Contains(printed, "messageDigest") != c.attrs {
				t.Errorf("want digest %s and attributes %v:\n%s", c.digest, c.attrs, printed)
			}
			e, _ := p.Enrollment()
			if pem, err := os.ReadFile(filepath.Join(dir, "signer.pem")); err != nil || !bytes.Contains(pem, []byte(base64.StdEncoding.EncodeToString(e.Identity.Certificate.Raw[:30]))) {
				t.Errorf("the signer is not the MDM identity: %v", err)
			}
		})
	}
}

func TestStatusRemovesEnrollment(t *testing.T) {
	const code = `{"code":"com.apple.unrecognized.device"}`
	for name, c := range map[string]struct {
		os, kind, body string
		status         int
		removed        bool
	}{
		"401":                      {"18.2", "", "", 401, true},
		"401 on an old phone":      {"12.0", "", "", 401, true},
		"403":                      {"18.2", "", "", 403, false},
		"403 unrecognized":         {"18.2", "application/json", code, 403, true},
		"403 unrecognized as text": {"18.2", "text/plain", code, 403, false},
		"403 unrecognized, iOS 16": {"16.7", "application/json", code, 403, false},
		"403 something else":       {"18.2", "application/json", `{"code":"com.apple.other"}`, 403, false},
		"404":                      {"18.2", "", "", 404, false},
		"500":                      {"18.2", "", "", 500, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := s.enrolled(phone.Config{OSVersion: c.os})
			s.mu.Lock()
			s.status, s.body, s.header = c.status, c.body, http.Header{"Content-Type": {c.kind}}
			s.mu.Unlock()
			_, err := p.Poll(t.Context())
			if errors.Is(err, phone.ErrRemoved) != c.removed {
				t.Errorf("got %v, want removal %v", err, c.removed)
			}
			_, enrolled := p.Enrollment()
			if enrolled == c.removed || (len(p.Profiles()) == 0) != c.removed {
				t.Errorf("enrolled: got %v with %d profiles", enrolled, len(p.Profiles()))
			}
		})
	}
}

func TestRemoveManagement(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.said("CheckOut")) != 1 || len(p.Profiles()) != 0 {
		t.Errorf("got %d CheckOut and %d profiles, want 1 and 0", len(s.said("CheckOut")), len(p.Profiles()))
	}
	if _, err := p.Poll(t.Context()); !errors.Is(err, phone.ErrNotEnrolled) {
		t.Errorf("poll afterwards: got %v, want ErrNotEnrolled", err)
	}
}

// A renewal is the whole enrollment profile once more, with a new key.
func TestRenewal(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	before, _ := p.Enrollment()
	for name, c := range map[string]struct {
		keys map[string]any
		want string
	}{
		"more rights":    {map[string]any{"AccessRights": 8191}, "12012"},
		"other server":   {map[string]any{"ServerURL": s.URL + "/other"}, "12012"},
		"other check-in": {map[string]any{"CheckInURL": s.URL + "/mdm"}, "12012"},
		"other topic":    {map[string]any{"Topic": "com.apple.mgmt.External.2"}, "12012"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.install(p, xml(t, s.enrollment(c.keys)))
			if r["Status"] != "Error" || !strings.Contains(chain(r), c.want) {
				t.Errorf("got %v %s, want an error %s", r["Status"], chain(r), c.want)
			}
			if now, _ := p.Enrollment(); !now.Identity.Certificate.Equal(before.Identity.Certificate) {
				t.Error("the identity changed")
			}
		})
	}
	t.Run("without MDM payload", func(t *testing.T) {
		d := profile(enrollment, 1, s.scepPayload(2, nil))
		if r := s.install(p, xml(t, d)); !strings.Contains(chain(r), "4015") {
			t.Errorf("got %v %s, want 4015", r["Status"], chain(r))
		}
	})
	t.Run("other profile", func(t *testing.T) {
		d := s.enrollment(nil)
		d["PayloadIdentifier"] = "org.example.second"
		if r := s.install(p, xml(t, d)); !strings.Contains(chain(r), "12001") {
			t.Errorf("got %v %s, want 12001", r["Status"], chain(r))
		}
	})
	t.Run("renewal", func(t *testing.T) {
		n := len(s.said("Authenticate"))
		if r := s.install(p, xml(t, s.enrollment(nil))); r["Status"] != "Acknowledged" {
			t.Fatalf("got %v %s", r["Status"], chain(r))
		}
		after, _ := p.Enrollment()
		if after.Identity.Certificate.Equal(before.Identity.Certificate) {
			t.Error("the identity is still the old one")
		}
		if got := len(s.said("Authenticate")) - n; got != 1 {
			t.Errorf("got %d Authenticate, want 1", got)
		}
		if tokens := s.said("TokenUpdate"); len(tokens) != 2 || tokens[1].message["PushMagic"] != after.PushMagic {
			t.Errorf("got %d TokenUpdate, want the second with the new magic", len(tokens))
		}
		if len(p.Profiles()) != 1 || len(p.Identities()) != 1 {
			t.Errorf("got %d profiles and %d identities, want one each", len(p.Profiles()), len(p.Identities()))
		}
	})
}
