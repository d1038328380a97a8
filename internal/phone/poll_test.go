package phone_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/phone"
)

func TestCommands(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{Serial: "C39XK", OSVersion: "18.2"})
	t.Run("DeviceInformation", func(t *testing.T) {
		r := s.do(p, map[string]any{"RequestType": "DeviceInformation", "Queries": []any{"SerialNumber", "OSVersion", "EASDeviceIdentifier", "WiFiMAC", "NoSuchThing"}})
		q := r["QueryResponses"].(map[string]any)
		if q["SerialNumber"] != "C39XK" || q["OSVersion"] != "18.2" || q["EASDeviceIdentifier"] == nil {
			t.Errorf("got %v", q)
		}
		if q["WiFiMAC"] != nil || len(q) != 3 {
			t.Errorf("got %v, want no network facts without the right and no unknown ones", q)
		}
	})
	t.Run("SecurityInfo", func(t *testing.T) {
		info := s.do(p, map[string]any{"RequestType": "SecurityInfo"})["SecurityInfo"].(map[string]any)
		if info["HardwareEncryptionCaps"] == nil || info["PasscodePresent"] != true {
			t.Errorf("got %v", info)
		}
	})
	t.Run("CertificateList", func(t *testing.T) {
		list := s.do(p, map[string]any{"RequestType": "CertificateList", "ManagedOnly": true})["CertificateList"].([]any)
		if len(list) != 2 {
			t.Fatalf("got %d certificates, want the root and the identity", len(list))
		}
		id := list[1].(map[string]any)
		if id["IsIdentity"] != true || id["CommonName"] != "device" || !bytes.Equal(id["Data"].([]byte), identityOf(t, p).Raw) {
			t.Errorf("got %v", id)
		}
	})
	t.Run("ProfileList", func(t *testing.T) {
		list := s.do(p, map[string]any{"RequestType": "ProfileList"})["ProfileList"].([]any)
		one := list[0].(map[string]any)
		if len(list) != 1 || one["PayloadIdentifier"] != enrollment || one["IsEncrypted"] != false || len(one["PayloadContent"].([]any)) != 3 {
			t.Errorf("got %v", list)
		}
	})
	for name, c := range map[string]struct {
		command      map[string]any
		status, want string
	}{
		"unknown":              {map[string]any{"RequestType": "MakeCoffee"}, "Error", "MCMDMErrorDomain 12021"},
		"no type":              {map[string]any{}, "CommandFormatError", ""},
		"no payload":           {map[string]any{"RequestType": "InstallProfile"}, "CommandFormatError", ""},
		"payload as a string":  {map[string]any{"RequestType": "InstallProfile", "Payload": "x"}, "CommandFormatError", ""},
		"no queries":           {map[string]any{"RequestType": "DeviceInformation"}, "CommandFormatError", ""},
		"no identifier":        {map[string]any{"RequestType": "RemoveProfile"}, "CommandFormatError", ""},
		"right to lock is off": {map[string]any{"RequestType": "DeviceLock"}, "Error", "MCMDMErrorDomain 12007"},
		"right to erase":       {map[string]any{"RequestType": "EraseDevice"}, "Error", "MCMDMErrorDomain 12007"},
		"no such profile":      {map[string]any{"RequestType": "RemoveProfile", "Identifier": "x"}, "Error", "MCInstallationErrorDomain 4017"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := s.do(p, c.command); r["Status"] != c.status || !strings.HasPrefix(chain(r), c.want) {
				t.Errorf("got %v %s, want %s %s", r["Status"], chain(r), c.status, c.want)
			}
		})
	}
}

func TestAccessRights(t *testing.T) {
	s := newServer(t)
	p := s.phone(phone.Config{})
	if err := p.Enroll(t.Context(), xml(t, s.enrollment(map[string]any{"AccessRights": 1}))); err != nil {
		t.Fatal(err)
	}
	if a := s.said("Authenticate")[0].message; a["SerialNumber"] != nil {
		t.Errorf("serial number %v without the right to device information", a["SerialNumber"])
	}
	for kind, want := range map[string]string{
		"ProfileList": "Acknowledged", "CertificateList": "Acknowledged", "InstallProfile": "Error", "RemoveProfile": "Error",
		"DeviceInformation": "Error", "SecurityInfo": "Error", "InstallApplication": "Error", "Settings": "Error", "InstalledApplicationList": "Error",
	} {
		r := s.do(p, map[string]any{"RequestType": kind, "Payload": []byte("x"), "Identifier": "x", "Queries": []any{}, "Settings": []any{}})
		if r["Status"] != want {
			t.Errorf("%s: got %v %s, want %s", kind, r["Status"], chain(r), want)
		}
	}
	if r := s.do(p, map[string]any{"RequestType": "CertificateList"}); r["Status"] != "Acknowledged" {
		t.Errorf("got %v", r)
	}
	s.enqueue(map[string]any{"RequestType": "RemoveProfile", "Identifier": enrollment})
	if _, err := p.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Enrollment(); ok || len(s.said("CheckOut")) != 1 {
		t.Error("the enrollment profile could not be removed without the right to install profiles")
	}
}

func TestNotNow(t *testing.T) {
	for name, c := range map[string]struct {
		os      string
		mood    phone.Mood
		command string
		want    string
	}{
		"InstallProfile locked":      {"18.2", phone.Mood{Locked: true}, "InstallProfile", "NotNow"},
		"SecurityInfo locked":        {"18.2", phone.Mood{Locked: true}, "SecurityInfo", "NotNow"},
		"InstallApplication locked":  {"18.2", phone.Mood{Locked: true}, "InstallApplication", "NotNow"},
		"CertificateList locked":     {"18.2", phone.Mood{Locked: true}, "CertificateList", "Acknowledged"},
		"CertificateList after boot": {"18.2", phone.Mood{FirstLocked: true}, "CertificateList", "NotNow"},
		"CertificateList, iOS 15.1":  {"15.1", phone.Mood{FirstLocked: true}, "CertificateList", "Acknowledged"},
		"ProfileList locked":         {"18.2", phone.Mood{FirstLocked: true}, "ProfileList", "Acknowledged"},
		"DeviceInformation locked":   {"18.2", phone.Mood{FirstLocked: true}, "DeviceInformation", "Acknowledged"},
		"InstalledApplicationList":   {"18.2", phone.Mood{FirstLocked: true}, "InstalledApplicationList", "Acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := s.enrolled(phone.Config{OSVersion: c.os})
			p.Behave(c.mood)
			command := map[string]any{"RequestType": c.command, "Payload": xml(t, s.mailSetup(nil)), "iTunesStoreID": 951937596, "Queries": []any{}}
			uuid := s.enqueue(command)
			if n, err := p.Poll(t.Context()); n != 1 || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
			if got := s.result(uuid)["Status"]; got != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if p.WillPoll() != (c.want == "NotNow") {
				t.Errorf("comes back by itself: got %v", p.WillPoll())
			}
			if c.os == "15.1" {
				if got := len(s.result(uuid)["CertificateList"].([]any)); got != 1 {
					t.Errorf("got %d certificates, want the identity left out", got)
				}
			}
			p.Behave(phone.Mood{})
			if c.want == "NotNow" {
				if _, err := p.Poll(t.Context()); err != nil || s.result(uuid)["Status"] != "Acknowledged" {
					t.Errorf("unlocked: got %v, %v", s.result(uuid)["Status"], err)
				}
			}
		})
	}
}

// A result is kept until a server has taken it, and sent again as it was.
func TestReplay(t *testing.T) {
	install := func(t *testing.T) (*server, *phone.Phone, string) {
		s := newServer(t)
		p := s.enrolled(phone.Config{})
		return s, p, s.enqueue(map[string]any{"RequestType": "InstallProfile", "Payload": xml(t, s.mailSetup(nil))})
	}
	t.Run("reply lost", func(t *testing.T) {
		s, p, uuid := install(t)
		p.Behave(phone.Mood{LoseReply: 1})
		if n, err := p.Poll(t.Context()); n != 0 || !errors.Is(err, phone.ErrLost) {
			t.Fatalf("got %d, %v, want ErrLost", n, err)
		}
		if len(p.Accounts()) != 1 || s.result(uuid) != nil {
			t.Fatal("want the command carried out and no result sent")
		}
		runs := len(s.scep.requests)
		if n, err := p.Poll(t.Context()); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		if s.result(uuid)["Status"] != "Acknowledged" || len(s.scep.requests) != runs || len(s.said("Idle")) != 1 {
			t.Errorf("want the cached result in place of Idle, and nothing done again")
		}
	})
	t.Run("answer lost", func(t *testing.T) {
		s, p, uuid := install(t)
		p.Behave(phone.Mood{LoseAnswer: 1})
		if _, err := p.Poll(t.Context()); !errors.Is(err, phone.ErrLost) {
			t.Fatalf("got %v, want ErrLost", err)
		}
		if _, err := p.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sent [][]byte
		for _, r := range s.said("Acknowledged") {
			if r.message["CommandUUID"] == uuid {
				sent = append(sent, r.body)
			}
		}
		if len(sent) != 2 || !bytes.Equal(sent[0], sent[1]) {
			t.Errorf("got %d results, want the same twice", len(sent))
		}
	})
	t.Run("server trouble", func(t *testing.T) {
		s, p, uuid := install(t)
		p.Behave(phone.Mood{LoseReply: 1})
		if _, err := p.Poll(t.Context()); !errors.Is(err, phone.ErrLost) {
			t.Fatal(err)
		}
		s.answer(503)
		for range 2 {
			if _, err := p.Poll(t.Context()); err == nil {
				t.Fatal("503 gave no error")
			}
		}
		s.answer(0)
		if _, err := p.Poll(t.Context()); err != nil || len(s.said("Acknowledged")) != 3 {
			t.Errorf("got %v and %d results, want 3 of them", err, len(s.said("Acknowledged")))
		}
		_ = uuid
	})
	t.Run("offline", func(t *testing.T) {
		s, p, _ := install(t)
		n := len(s.requests)
		p.Behave(phone.Mood{Offline: true})
		if _, err := p.Poll(t.Context()); !errors.Is(err, phone.ErrOffline) || len(s.requests) != n {
			t.Errorf("got %v and %d requests", err, len(s.requests)-n)
		}
	})
	t.Run("full", func(t *testing.T) {
		s, p, uuid := install(t)
		p.Behave(phone.Mood{Full: true})
		if _, err := p.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := s.result(uuid); r["Status"] != "Error" || !strings.Contains(chain(r), "NSPOSIXErrorDomain 28") {
			t.Errorf("got %v %s", r["Status"], chain(r))
		}
	})
}

func TestEraseAndLock(t *testing.T) {
	s := newServer(t)
	p := s.phone(phone.Config{})
	if err := p.Enroll(t.Context(), xml(t, s.enrollment(map[string]any{"AccessRights": 8191}))); err != nil {
		t.Fatal(err)
	}
	if s.said("TokenUpdate")[0].message["UnlockToken"] == nil {
		t.Error("no UnlockToken with the right to clear the passcode")
	}
	q := s.do(p, map[string]any{"RequestType": "DeviceInformation", "Queries": []any{"WiFiMAC"}})["QueryResponses"].(map[string]any)
	if mac, ok := q["WiFiMAC"].(string); !ok || len(mac) != 17 {
		t.Errorf("network facts with the right to them: got %v", q)
	}
	s.do(p, map[string]any{"RequestType": "DeviceLock"})
	if r := s.do(p, map[string]any{"RequestType": "SecurityInfo"}); r["Status"] != "NotNow" {
		t.Errorf("after DeviceLock: got %v, want NotNow", r["Status"])
	}
	s.queue = nil
	if r := s.do(p, map[string]any{"RequestType": "EraseDevice"}); r["Status"] != "Acknowledged" {
		t.Errorf("got %v %s", r["Status"], chain(r))
	}
	if _, ok := p.Enrollment(); ok || len(p.Profiles()) != 0 || len(s.said("CheckOut")) != 0 {
		t.Error("the phone is not empty, or it checked out")
	}
}

func TestBadAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"html":         "<html></html>",
		"no command":   `<plist version="1.0"><array/></plist>`,
		"no uuid":      `<plist version="1.0"><dict><key>Command</key><dict/></dict></plist>`,
		"binary plist": "bplist00\xd0",
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := s.enrolled(phone.Config{})
			s.mu.Lock()
			s.status, s.body = 200, body
			s.mu.Unlock()
			if _, err := p.Poll(t.Context()); err == nil {
				t.Error("taken for a command")
			}
		})
	}
}

func TestSend(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	status, _, err := p.Send(t.Context(), phone.CheckIn, map[string]any{"MessageType": "GetToken", "UDID": "someone else"})
	if err != nil || status != 200 || s.said("GetToken")[0].message["UDID"] != "someone else" {
		t.Errorf("got %d, %v", status, err)
	}
	stranger := p.Identities()[0]
	stranger.Certificate = newAuthority().root
	_, _, err = p.Probe(t.Context(), phone.Message{Kind: phone.Connect, Body: map[string]any{"Status": "Probe"}, Identity: &stranger, Header: http.Header{"Content-Type": nil}})
	probe := s.said("Probe")[0]
	if sig, _ := base64.StdEncoding.DecodeString(probe.signature); err != nil || probe.contentType != "" || !bytes.Contains(sig, newAuthority().root.Raw) {
		t.Errorf("probe: got %v, content type %q, want the stranger's certificate", err, probe.contentType)
	}
	if _, _, err = p.Probe(t.Context(), phone.Message{Kind: phone.Connect, Body: map[string]any{"Status": "Bare"}, Header: http.Header{"Mdm-Signature": nil}}); err != nil || s.said("Bare")[0].signature != "" {
		t.Errorf("without a signature: got %v, %q", err, s.said("Bare")[0].signature)
	}
	s.answer(400)
	if status, _, err = p.Send(t.Context(), phone.Connect, xml(t, map[string]any{})); err != nil || status != 400 {
		t.Errorf("got %d, %v, want 400 without an error", status, err)
	}
}

func TestWake(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	e, _ := p.Enrollment()
	s.enqueue(map[string]any{"RequestType": "ProfileList"})
	if n, err := p.Wake(t.Context(), "another magic"); n != 0 || err != nil {
		t.Errorf("a push for someone else: got %d, %v", n, err)
	}
	if n, err := p.Wake(t.Context(), e.PushMagic); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1", n, err)
	}
}
