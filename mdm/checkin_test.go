package mdm_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
)

func TestEnroll(t *testing.T) {
	w := newWorld(t)
	p := w.invited(w.user("alice@example.com"), "00008140-000A1B2C3D4E001C")
	w.must(p.checkIn("Authenticate", map[string]any{"OSVersion": "18.2", "ProductName": "iPhone17,1", "SerialNumber": "C39XY1234",
		"DeviceName": "Alice\u202e's \x07iPhone", "BuildVersion": "22C152", "Challenge": []byte{1}}))
	if d := p.stored(); d.State != mdm.Enrolling || !d.EnrolledAt.IsZero() {
		t.Errorf("after Authenticate: got %s, enrolled %v", d.State, d.EnrolledAt)
	}
	w.must(p.checkIn("TokenUpdate", tokens))
	d := p.stored()
	want := subject.Device{ID: p.id.Holder.Device, User: p.id.Holder.User, UDID: p.udid, Serial: "C39XY1234",
		Model: "iPhone17,1", Name: "Alice's iPhone", OSVersion: "18.2"}
	if d.State != mdm.Enrolled || !d.EnrolledAt.Equal(w.now) || d.Device.Device != want || d.Identity != p.id.Fingerprint {
		t.Errorf("after TokenUpdate: got %+v\nwant %+v", d.Device, want)
	}
	if n := w.entries(journal.DeviceEnrolled, "", ""); n != 1 {
		t.Errorf("journal has %d enrollments, want 1", n)
	}
}

func TestTokensAreBoxed(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	w.must(p.checkIn("TokenUpdate", map[string]any{"Token": []byte("push-token-canary"), "PushMagic": "push-magic-canary",
		"UnlockToken": []byte("unlock-canary")}))
	for _, file := range []string{w.path, w.path + "-wal"} {
		dump, err := os.ReadFile(file)
		w.must(err)
		if bytes.Contains(dump, []byte("canary")) {
			t.Errorf("%s holds a token in the clear", file)
		}
	}
}

func TestMessagesMayRepeat(t *testing.T) {
	w := newWorld(t)
	p := w.invited(w.user("alice@example.com"), "U-1")
	for range 2 {
		w.must(p.checkIn("Authenticate", nil))
	}
	for range 5 {
		w.must(p.checkIn("TokenUpdate", tokens))
	}
	if n := w.entries(journal.DeviceEnrolled, "", ""); n != 1 {
		t.Errorf("enrolled %d times, want 1", n)
	}
	w.must(p.checkIn("Authenticate", nil))
	if d := p.stored(); d.State != mdm.Enrolled || d.Identity != p.id.Fingerprint || !d.Previous.IsZero() {
		t.Errorf("late Authenticate: got %s, identity kept %v, previous %v", d.State, d.Identity == p.id.Fingerprint, d.Previous)
	}
	for range 2 {
		w.must(p.checkIn("CheckOut", nil))
	}
	if n := w.entries(journal.DeviceRemoved, "", ""); n != 1 {
		t.Errorf("removed %d times, want 1", n)
	}
}

// Everything a device must not be let to do is refused, written down, and
// changes nothing.
func TestRefused(t *testing.T) {
	type scene struct {
		w           *world
		alice, bob  *iphone // enrolled
		fresh       *iphone // invited for Alice
		commandOfBo string
	}
	cases := []struct {
		name string
		do   func(s scene) error
		want *fault.Error
	}{
		{"device that we never invited", func(s scene) error {
			p := &iphone{s.w, s.w.identity(s.alice.id.Holder.User, subject.NewDeviceID()), "U-9"}
			return p.checkIn("Authenticate", nil)
		}, mdm.ErrDeviceUnknown},
		{"certificate that names another user", func(s scene) error {
			p := &iphone{s.w, s.w.identity(s.bob.id.Holder.User, s.fresh.id.Holder.Device), "U-9"}
			return p.checkIn("Authenticate", nil)
		}, mdm.ErrIdentity},
		{"certificate for mail", func(s scene) error {
			s.fresh.id.Use = cert.Signing
			return s.fresh.checkIn("Authenticate", nil)
		}, mdm.ErrIdentity},
		{"expired certificate", func(s scene) error {
			s.alice.id.NotAfter = s.w.now.Add(-90 * 24 * time.Hour)
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now, TokenUpdate", func(s scene) error {
			s.alice.id.NotAfter = s.w.now.Add(-time.Second)
			return s.alice.checkIn("TokenUpdate", tokens)
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now, CheckOut", func(s scene) error {
			s.alice.id.NotAfter = s.w.now.Add(-time.Second)
			return s.alice.checkIn("CheckOut", nil)
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now, Authenticate", func(s scene) error {
			s.alice.id.NotAfter = s.w.now.Add(-time.Second)
			return s.alice.checkIn("Authenticate", nil)
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now, of Bob's UDID", func(s scene) error {
			s.alice.id.NotAfter, s.alice.udid = s.w.now.Add(-time.Second), s.bob.udid
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now, Bob's command", func(s scene) error {
			s.alice.id.NotAfter = s.w.now.Add(-time.Second)
			_, err := s.alice.says("Acknowledged", s.commandOfBo, nil)
			return err
		}, mdm.ErrCommandForeign},
		{"expired certificate that was never used", func(s scene) error {
			s.alice.id = s.w.identity(s.alice.id.Holder.User, s.alice.id.Holder.Device)
			s.alice.id.NotAfter = s.w.now.Add(-time.Second)
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentityExpired},
		{"certificate that expired just now and is revoked", func(s scene) error {
			s.alice.id.NotAfter, s.alice.id.RevokedAt = s.w.now.Add(-time.Second), s.w.now
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentityRevoked},
		{"certificate of tomorrow", func(s scene) error {
			s.alice.id.NotBefore = s.w.now.Add(time.Hour)
			return s.alice.checkIn("TokenUpdate", tokens)
		}, mdm.ErrIdentityExpired},
		{"revoked certificate", func(s scene) error {
			s.alice.id.RevokedAt = s.w.now
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentityRevoked},
		{"revoked certificate authenticates", func(s scene) error {
			s.fresh.id.RevokedAt = s.w.now
			return s.fresh.checkIn("Authenticate", nil)
		}, mdm.ErrIdentityRevoked},
		{"UDID of Bob in Alice's poll", func(s scene) error {
			s.alice.udid = s.bob.udid
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentity},
		{"UDID of Bob in Alice's CheckOut", func(s scene) error {
			s.alice.udid = s.bob.udid
			return s.alice.checkIn("CheckOut", nil)
		}, mdm.ErrIdentity},
		{"UDID of Bob in Alice's token", func(s scene) error {
			s.alice.udid = s.bob.udid
			return s.alice.checkIn("TokenUpdate", tokens)
		}, mdm.ErrIdentity},
		{"unknown UDID", func(s scene) error {
			s.alice.udid = "U-unheard"
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentity},
		{"UDID that changes on the way", func(s scene) error {
			s.alice.udid = "U-other"
			return s.alice.checkIn("Authenticate", nil)
		}, mdm.ErrIdentity},
		{"stolen UDID under an own invitation", func(s scene) error {
			s.fresh.udid = s.bob.udid
			return s.fresh.checkIn("Authenticate", nil)
		}, mdm.ErrDeviceTaken},
		{"TokenUpdate before Authenticate", func(s scene) error { return s.fresh.checkIn("TokenUpdate", tokens) }, mdm.ErrIdentity},
		{"CheckOut before Authenticate", func(s scene) error { return s.fresh.checkIn("CheckOut", nil) }, mdm.ErrIdentity},
		{"poll before Authenticate", func(s scene) error {
			_, err := s.fresh.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentity},
		{"identity that never authenticated", func(s scene) error {
			s.alice.id = s.w.identity(s.alice.id.Holder.User, s.alice.id.Holder.Device)
			_, err := s.alice.says("Idle", "", nil)
			return err
		}, mdm.ErrIdentity},
		{"result for Bob's command", func(s scene) error {
			_, err := s.alice.says("Acknowledged", s.commandOfBo, nil)
			return err
		}, mdm.ErrCommandForeign},
		{"NotNow for Bob's command", func(s scene) error {
			_, err := s.alice.says("NotNow", s.commandOfBo, nil)
			return err
		}, mdm.ErrCommandForeign},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.user("alice@example.com")
			s := scene{w: w, alice: w.enrolled(alice, "U-1"), bob: w.enrolled(w.user("bob@example.com"), "U-2"), fresh: w.invited(alice, "U-3")}
			s.commandOfBo = s.bob.queue("ProfileList")[0].UUID
			before, err := w.DevicePage(t.Context(), mdm.Query{Limit: 100})
			w.must(err)
			command := s.bob.command(s.commandOfBo)

			wants(t, "refusal", c.do(s), c.want)
			if n := w.refusals(c.want.Code); n != 1 {
				t.Errorf("journal has %d refusals %s, want 1", n, c.want.Code)
			}
			after, err := w.DevicePage(t.Context(), mdm.Query{Limit: 100})
			w.must(err)
			if !equal(before, after) {
				t.Errorf("devices changed:\n%+v\n%+v", before, after)
			}
			if now := s.bob.command(s.commandOfBo); now.State != command.State || !now.NotBefore.Equal(command.NotBefore) {
				t.Errorf("Bob's command changed to %s", now.State)
			}
		})
	}
}

func equal(a, b []mdm.Device) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestMalformedMessages(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	send := func(m map[string]any) error {
		_, err := w.CheckIn(t.Context(), p.id, "", encode(t, m))
		return err
	}
	for name, c := range map[string]struct {
		m    map[string]any
		want *fault.Error
	}{
		"unknown type":      {map[string]any{"MessageType": "GetBootstrapToken", "UDID": "U-1", "Topic": topic}, mdm.ErrMessage},
		"no type":           {map[string]any{"UDID": "U-1", "Topic": topic}, mdm.ErrMessage},
		"no identifier":     {map[string]any{"MessageType": "CheckOut", "Topic": topic}, mdm.ErrMessage},
		"no topic":          {map[string]any{"MessageType": "CheckOut", "UDID": "U-1"}, mdm.ErrMessage},
		"odd topic":         {map[string]any{"MessageType": "CheckOut", "UDID": "U-1", "Topic": "com.example"}, mdm.ErrMessage},
		"user channel":      {map[string]any{"MessageType": "TokenUpdate", "UDID": "U-1", "Topic": topic, "UserID": "x"}, mdm.ErrUserChannel},
		"long identifier":   {map[string]any{"MessageType": "CheckOut", "UDID": strings.Repeat("x", 256), "Topic": topic}, mdm.ErrMessage},
		"control character": {map[string]any{"MessageType": "CheckOut", "UDID": "U-1\n", "Topic": topic}, mdm.ErrMessage},
		"no token":          {map[string]any{"MessageType": "TokenUpdate", "UDID": "U-1", "Topic": topic, "PushMagic": "x"}, mdm.ErrMessage},
		"no magic":          {map[string]any{"MessageType": "TokenUpdate", "UDID": "U-1", "Topic": topic, "Token": []byte("x")}, mdm.ErrMessage},
		"huge token":        {map[string]any{"MessageType": "TokenUpdate", "UDID": "U-1", "Topic": topic, "PushMagic": "x", "Token": make([]byte, 1<<15)}, mdm.ErrMessage},
		"number for a name": {map[string]any{"MessageType": "Authenticate", "UDID": 7, "Topic": topic}, plist.ErrShape},
	} {
		wants(t, name, send(c.m), c.want)
	}
	_, err := w.CheckIn(t.Context(), p.id, "", []byte("bplist00\xa1\x00\x08"))
	wants(t, "binary", err, plist.ErrBinary)
	if d := p.stored(); d.State != mdm.Enrolled {
		t.Errorf("the device is %s", d.State)
	}
}

func TestRenewalKeepsTheQueue(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	old := *p
	waiting := p.queue("ProfileList", "SecurityInfo")
	first := p.ask("Idle", "", nil)

	w.now = w.now.Add(time.Minute)
	p.id = w.identity(p.id.Holder.User, p.id.Holder.Device)
	w.must(p.checkIn("Authenticate", nil))
	w.must(p.checkIn("TokenUpdate", tokens))
	if d := p.stored(); d.State != mdm.Enrolled || d.Open != 2 || d.Identity != p.id.Fingerprint || d.Previous != old.id.Fingerprint {
		t.Errorf("after renewal: got %s with %d commands", d.State, d.Open)
	}
	if got := p.ask("Acknowledged", first.CommandUUID, nil); got.CommandUUID != waiting[1].UUID {
		t.Errorf("got command %q, want the second", got.CommandUUID)
	}
	old.ask("Acknowledged", waiting[1].UUID, nil) // cached under the old identity
	wants(t, "old identity takes the device back", old.checkIn("Authenticate", nil), mdm.ErrIdentity)
	w.must(p.checkIn("Authenticate", nil)) // the new one may come again
	w.now = w.now.Add(24 * time.Hour)
	_, err := old.says("Idle", "", nil)
	wants(t, "old identity a day later", err, mdm.ErrIdentity)
	wants(t, "old identity takes it back a day later", old.checkIn("Authenticate", nil), mdm.ErrIdentity)
	if d := p.stored(); d.Identity != p.id.Fingerprint || d.Previous != old.id.Fingerprint {
		t.Errorf("the old identity changed what the device is bound to")
	}
	if n := w.entries(journal.DeviceRefused, "code", mdm.ErrIdentity.Code); n != 3 {
		t.Errorf("journal has %d refusals, want 3", n)
	}
	p.ask("Idle", "", nil)
}

func TestNewInvitationReplacesTheDevice(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice@example.com")
	p := w.enrolled(alice, "U-1")
	waiting := p.queue("ProfileList")

	again := w.enrolled(alice, "U-1")
	if d := p.stored(); d.State != mdm.Removed || d.UDID != "" || d.Open != 0 {
		t.Errorf("old: got %s, UDID %q, %d commands", d.State, d.UDID, d.Open)
	}
	if c := p.command(waiting[0].UUID); c.State != mdm.Cancelled {
		t.Errorf("old command: got %s, want cancelled", c.State)
	}
	if d := again.stored(); d.State != mdm.Enrolled || d.UDID != "U-1" {
		t.Errorf("new: got %s, UDID %q", d.State, d.UDID)
	}
	if n := w.entries(journal.DeviceRemoved, "replaced_by", string(again.id.Holder.Device)); n != 1 {
		t.Errorf("journal has %d replacements, want 1", n)
	}
	_, err := p.says("Idle", "", nil)
	wants(t, "old identity", err, mdm.ErrDeviceRemoved)
	wants(t, "old identity authenticates", p.checkIn("Authenticate", nil), mdm.ErrDeviceRemoved)
}

// A phone passes to a colleague once it was removed.
func TestPhoneChangesHands(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	bob := w.invited(w.user("bob@example.com"), "U-1")
	wants(t, "while it is Alice's", bob.checkIn("Authenticate", nil), mdm.ErrDeviceTaken)
	w.must(w.Remove(t.Context(), admin, p.id.Holder.Device, false))
	wants(t, "afterwards", bob.checkIn("Authenticate", nil), nil)
	wants(t, "afterwards", bob.checkIn("TokenUpdate", tokens), nil)
}

func TestCheckOut(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	c := p.queue("ProfileList")[0]
	w.must(p.checkIn("CheckOut", nil))
	if d := p.stored(); d.State != mdm.Removed || d.Open != 0 || !d.WakeAt.IsZero() {
		t.Errorf("got %s, %d commands, wake %v", d.State, d.Open, d.WakeAt)
	}
	if got := p.command(c.UUID).State; got != mdm.Cancelled {
		t.Errorf("command: got %s, want cancelled", got)
	}
	_, err := p.says("Idle", "", nil)
	wants(t, "poll", err, mdm.ErrDeviceRemoved)
	wants(t, "TokenUpdate", p.checkIn("TokenUpdate", tokens), mdm.ErrDeviceRemoved)
}

func TestUserEnrollmentHasNoUDID(t *testing.T) {
	w := newWorld(t)
	p := w.invited(w.user("alice@example.com"), "")
	id := "8d1c0d2e-0000-4000-8000-00000000beef"
	for _, kind := range []string{"Authenticate", "TokenUpdate"} {
		m := map[string]any{"MessageType": kind, "EnrollmentID": id, "Topic": topic, "Token": []byte("x"), "PushMagic": "y"}
		if _, err := w.CheckIn(t.Context(), p.id, "", encode(t, m)); err != nil {
			t.Fatal(err)
		}
	}
	if d := p.stored(); d.UDID != id || d.State != mdm.Enrolled {
		t.Errorf("got %q, %s", d.UDID, d.State)
	}
}

func TestEnrollmentProfile(t *testing.T) {
	w := newWorld(t)
	d := subject.Device{ID: subject.NewDeviceID()}
	profile := func(challenge string) map[string]any {
		laidOut, err := w.EnrollmentProfile(t.Context(), d, "https://mdm.example.org/scep/device-identity", seal.SecretString(challenge))
		w.must(err)
		b, err := laidOut.Encode()
		w.must(err)
		var v map[string]any
		w.must(plist.Unmarshal(b, &v, plist.Upload))
		return v
	}
	p := profile("one")
	payloads := p["PayloadContent"].([]any)
	scep, com := payloads[0].(map[string]any), payloads[1].(map[string]any)
	for key, want := range map[string]any{
		"PayloadType": "com.apple.mdm", "AccessRights": uint64(7443), "SignMessage": true, "CheckOutWhenRemoved": true, "Topic": topic,
		"ServerURL": "https://mdm.example.org/mdm/connect", "CheckInURL": "https://mdm.example.org/mdm/checkin",
		"IdentityCertificateUUID": scep["PayloadUUID"],
	} {
		if com[key] != want {
			t.Errorf("MDM payload: %s is %v (%T), want %v", key, com[key], com[key], want)
		}
	}
	again := profile("two")["PayloadContent"].([]any)
	if p["PayloadIdentifier"] != "org.example.mdm.enroll" || again[1].(map[string]any)["PayloadUUID"] != com["PayloadUUID"] {
		t.Error("identifiers are not stable")
	}
	if again[0].(map[string]any)["PayloadUUID"] == scep["PayloadUUID"] {
		t.Error("a new challenge must make a new key, so it needs a new UUID")
	}
}

// A device renews under the topic that it enrolled with, or would refuse.
func TestRenewalProfile(t *testing.T) {
	w := newWorld(t)
	const own = "com.apple.mgmt.External.of-last-year"
	d := subject.Device{ID: subject.NewDeviceID()}
	first, err := w.EnrollmentProfile(t.Context(), d, "", seal.Secret{})
	w.must(err)
	again := w.RenewalProfile(d, own)
	old, renewed := first.Payloads[1].(*profile.MDM), again.Payloads[1].(*profile.MDM)
	if renewed.Topic != own || old.Topic != topic {
		t.Errorf("got topics %s and %s", old.Topic, renewed.Topic)
	}
	if again.Identifier != first.Identifier || renewed.ServerURL != old.ServerURL || renewed.CheckInURL != old.CheckInURL || renewed.AccessRights != old.AccessRights {
		t.Error("what may never change has changed")
	}
}

func TestPrefix(t *testing.T) {
	for url, want := range map[string]string{
		"https://mdm.example.org":      "org.example.mdm",
		"https://MDM.Example.org:8443": "org.example.mdm",
		"https://127.0.0.1:8443":       "signet.127-0-0-1",
		"https://[::1]:8443":           "signet.--1",
		"https://localhost":            "localhost",
	} {
		if got := mdm.Prefix(url); got != want {
			t.Errorf("Prefix(%s): got %q, want %q", url, got, want)
		}
	}
}
