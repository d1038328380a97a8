package phone_test

import (
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/phone"
)

const outlook = "com.microsoft.Office.Outlook"

func installOutlook(keys map[string]any) map[string]any {
	c := map[string]any{"RequestType": "InstallApplication", "iTunesStoreID": 951937596, "ManagementFlags": 1, "Configuration": map[string]any{"a": true}}
	for k, v := range keys {
		c[k] = v
	}
	return c
}

func configure(id string, config any) map[string]any {
	item := map[string]any{"Item": "ApplicationConfiguration", "Identifier": id}
	if config != nil {
		item["Configuration"] = config
	}
	return map[string]any{"RequestType": "Settings", "Settings": []any{item}}
}

func setting(r map[string]any) map[string]any {
	return r["Settings"].([]any)[0].(map[string]any)
}

func status(t *testing.T, s *server, p *phone.Phone) any {
	t.Helper()
	list := s.do(p, map[string]any{"RequestType": "ManagedApplicationList"})["ManagedApplicationList"].(map[string]any)
	app, _ := list[outlook].(map[string]any)
	return app["Status"]
}

func TestManagedApp(t *testing.T) {
	s := newServer(t)
	p := s.enrolled(phone.Config{})
	if r := setting(s.do(p, configure(outlook, map[string]any{"x": 1}))); r["Status"] != "Error" || !strings.Contains(chain(r), "12029") {
		t.Errorf("configuring an app that is not managed: got %v %s", r["Status"], chain(r))
	}
	r := s.do(p, installOutlook(nil))
	if r["Status"] != "Acknowledged" || r["State"] != "Prompting" || r["Identifier"] != outlook {
		t.Fatalf("got %v", r)
	}
	if got := status(t, s, p); got != "Managed" {
		t.Errorf("after the user agreed: got %v, want Managed", got)
	}
	if got := p.AppConfig(outlook); got["a"] != true {
		t.Errorf("configuration: got %v", got)
	}
	config := map[string]any{"com.microsoft.outlook.Mail.SMIMEEnabled": true, "n": int64(3)}
	if r := setting(s.do(p, configure(outlook, config))); r["Status"] != "Acknowledged" {
		t.Errorf("got %v %s", r["Status"], chain(r))
	}
	if got := p.AppConfig(outlook); len(got) != 2 || got["com.microsoft.outlook.Mail.SMIMEEnabled"] != true {
		t.Errorf("configuration: got %v, want it replaced", got)
	}
	back := s.do(p, map[string]any{"RequestType": "ManagedApplicationConfiguration", "Identifiers": []any{outlook}})["ApplicationConfigurations"].([]any)
	if len(back) != 1 || back[0].(map[string]any)["Configuration"].(map[string]any)["com.microsoft.outlook.Mail.SMIMEEnabled"] != true {
		t.Errorf("read back: got %v", back)
	}
	list := s.do(p, map[string]any{"RequestType": "InstalledApplicationList", "ManagedAppsOnly": true, "Items": []any{"Identifier"}})["InstalledApplicationList"].([]any)
	if len(list) != 1 || len(list[0].(map[string]any)) != 1 {
		t.Errorf("InstalledApplicationList: got %v", list)
	}
	s.do(p, configure(outlook, nil))
	if got := p.AppConfig(outlook); got != nil {
		t.Errorf("configuration after its removal: got %v", got)
	}
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, there := p.App(outlook); there {
		t.Error("an app with flag 1 outlived the management")
	}
}

func TestInstallApplication(t *testing.T) {
	s := newServer(t)
	t.Run("refused by the user", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		p.Behave(phone.Mood{RefusesApps: true})
		s.do(p, installOutlook(nil))
		if first, second := status(t, s, p), status(t, s, p); first != "UserRejected" || second != nil {
			t.Errorf("got %v and then %v, want it reported once", first, second)
		}
		if p.AppConfig(outlook) != nil {
			t.Error("a configuration for an app that was refused")
		}
	})
	t.Run("installed by the user", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		p.Download(outlook)
		r := s.do(p, installOutlook(nil))
		if r["Status"] != "Error" || r["RejectionReason"] != "AppAlreadyInstalled" {
			t.Errorf("got %v", r)
		}
		if r = s.do(p, installOutlook(map[string]any{"ChangeManagementState": "Managed"})); r["State"] != "PromptingForManagement" {
			t.Errorf("taking over: got %v", r)
		}
		if got := status(t, s, p); got != "Managed" {
			t.Errorf("got %v, want Managed", got)
		}
	})
	t.Run("take-over refused", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		p.Download(outlook)
		p.Behave(phone.Mood{RefusesApps: true})
		s.do(p, installOutlook(map[string]any{"ChangeManagementState": "Managed"}))
		if got := status(t, s, p); got != "ManagementRejected" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("unknown app", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		if r := s.do(p, map[string]any{"RequestType": "InstallApplication", "iTunesStoreID": 1}); !strings.Contains(chain(r), "12023") {
			t.Errorf("got %v %s", r["Status"], chain(r))
		}
		if r := s.do(p, map[string]any{"RequestType": "InstallApplication", "Identifier": "org.example.none"}); r["Status"] != "Error" {
			t.Errorf("got %v", r["Status"])
		}
		if r := s.do(p, map[string]any{"RequestType": "InstallApplication", "Identifier": outlook}); r["Identifier"] != outlook {
			t.Errorf("by bundle identifier: got %v %s", r["Status"], chain(r))
		}
		if r := setting(s.do(p, map[string]any{"RequestType": "Settings", "Settings": []any{map[string]any{"Item": "Wallpaper"}}})); r["Status"] != "Error" {
			t.Errorf("an unknown setting: got %v", r["Status"])
		}
		if r := setting(s.do(p, configure(outlook, "text"))); r["Status"] != "CommandFormatError" {
			t.Errorf("a configuration that is text: got %v", r["Status"])
		}
		if r := s.do(p, map[string]any{"RequestType": "InstallApplication"}); r["Status"] != "CommandFormatError" {
			t.Errorf("got %v", r["Status"])
		}
	})
	t.Run("full", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		p.Behave(phone.Mood{Full: true})
		if r := s.do(p, installOutlook(nil)); r["Status"] != "Error" {
			t.Errorf("got %v", r["Status"])
		}
	})
	t.Run("again without configuration", func(t *testing.T) {
		p := s.enrolled(phone.Config{})
		s.do(p, installOutlook(nil))
		s.do(p, installOutlook(map[string]any{"Configuration": map[string]any{}}))
		if got := p.AppConfig(outlook); len(got) != 0 {
			t.Errorf("got %v, want it cleared", got)
		}
		if r := s.do(p, map[string]any{"RequestType": "RemoveApplication", "Identifier": outlook}); r["Status"] != "Acknowledged" {
			t.Errorf("got %v %s", r["Status"], chain(r))
		}
		if r := s.do(p, map[string]any{"RequestType": "RemoveApplication", "Identifier": outlook}); r["Status"] != "Error" {
			t.Errorf("removing it twice: got %v", r["Status"])
		}
	})
}
