package mdm_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

func newPhone(t *testing.T) *iphone {
	w := newWorld(t)
	return w.enrolled(w.user("alice@example.com"), "U-1")
}

func TestCommandsInOrder(t *testing.T) {
	p := newPhone(t)
	if got := p.ask("Idle", "", nil); got.CommandUUID != "" {
		t.Fatalf("an empty queue gave %s", got.kind())
	}
	p.queue("ProfileList", "SecurityInfo", "DeviceInformation")
	status, uuid := "Idle", ""
	for _, want := range []string{"ProfileList", "SecurityInfo", "DeviceInformation", ""} {
		got := p.ask(status, uuid, nil)
		if got.kind() != want {
			t.Fatalf("got %q, want %q", got.kind(), want)
		}
		status, uuid = "Acknowledged", got.CommandUUID
	}
	d := p.stored()
	if d.Open != 0 || !d.WakeAt.IsZero() {
		t.Errorf("afterwards: %d commands open, wake %v", d.Open, d.WakeAt)
	}
	for _, c := range d.Commands {
		if c.State != mdm.Acknowledged || !c.DoneAt.Equal(p.w.now) || c.Attempts != 1 {
			t.Errorf("%s: got %s, done %v, %d attempts", c.RequestType, c.State, c.DoneAt, c.Attempts)
		}
	}
	if n := p.w.entries(journal.DeviceReported, "status", "Acknowledged"); n != 3 {
		t.Errorf("journal has %d results, want 3", n)
	}
}

func TestFields(t *testing.T) {
	p := newPhone(t)
	c := mdm.NewCommand(p.id.Holder.Device, "InstallApplication", map[string]any{
		"iTunesStoreID": int64(951937596), "Configuration": map[string]any{"on": true, "list": []any{"a"}, "n": -3, "b": []byte{1, 2}}})
	c.CreatedAt = p.w.now
	p.w.must(p.w.Store.Queued(t.Context(), []mdm.Command{c}, journal.Entry{At: p.w.now, Actor: admin, Action: journal.DeviceRefresh}))
	got := p.ask("Idle", "", nil)
	want := map[string]any{"RequestType": "InstallApplication", "iTunesStoreID": uint64(951937596),
		"Configuration": map[string]any{"on": true, "list": []any{"a"}, "n": int64(-3), "b": []byte{1, 2}}}
	if diff := cmp.Diff(want, got.Command); diff != "" {
		t.Error(diff)
	}
}

func TestUnfitFieldsAreNotQueued(t *testing.T) {
	p := newPhone(t)
	c := mdm.NewCommand(p.id.Holder.Device, "Settings", map[string]any{"x": nil})
	c.CreatedAt = p.w.now
	good := mdm.CertificateList(p.id.Holder.Device)
	good.CreatedAt = p.w.now
	err := p.w.Store.Queued(t.Context(), []mdm.Command{good, c}, journal.Entry{At: p.w.now, Actor: admin, Action: journal.DeviceRefresh})
	wants(t, "Queued", err, mdm.ErrCommand)
	if d := p.stored(); d.Open != 0 {
		t.Errorf("%d commands were queued all the same", d.Open)
	}
}

// Many polls at once, on two servers with one database: every command goes to
// one of them.
func TestPollsAtOnce(t *testing.T) {
	p := newPhone(t)
	const commands, polls = 20, 40
	kinds := make([]string, commands)
	for i := range kinds {
		kinds[i] = fmt.Sprintf("Kind%d", i)
	}
	p.queue(kinds...)
	db, err := store.OpenSQLite(t.Context(), p.w.path)
	p.w.must(err)
	t.Cleanup(func() { db.Close() })
	other := mdm.New(mdm.Config{Store: db.MDM(box(t)), BaseURL: p.w.BaseURL, Topic: fixed(topic), Now: p.w.Now})
	body := encode(t, map[string]any{"Status": "Idle", "UDID": p.udid})

	var mu sync.Mutex
	given := map[string]int{}
	var wg sync.WaitGroup
	for i := range polls {
		server := p.w.Service
		if i%2 == 1 {
			server = other
		}
		wg.Go(func() {
			reply, err := server.Connect(t.Context(), p.id, "", body)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			given[string(reply)]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if given[""] != polls-commands || len(given) != commands+1 {
		t.Errorf("%d polls got nothing, %d different answers; want %d and %d", given[""], len(given), polls-commands, commands+1)
	}
}

func TestLeaseEnds(t *testing.T) {
	p := newPhone(t)
	p.queue("ProfileList")
	first := p.ask("Idle", "", nil)
	if got := p.ask("Idle", "", nil); got.CommandUUID != "" {
		t.Error("a second poll got the command too")
	}
	if d := p.stored(); !d.WakeAt.Equal(p.w.now.Add(10 * time.Second)) {
		t.Errorf("wake wanted at %v, want the end of the lease", d.WakeAt)
	}
	p.w.now = p.w.now.Add(10 * time.Second)
	if again := p.ask("Idle", "", nil); !cmp.Equal(first, again) {
		t.Errorf("after the lease: got %+v, want the same command", again)
	}
	if got := p.command(first.CommandUUID).Attempts; got != 2 {
		t.Errorf("attempts: got %d, want 2", got)
	}
}

// The answer to a report was lost: the device repeats the report and gets the
// same answer, in whatever order the queue stands.
func TestRepeatedReport(t *testing.T) {
	p := newPhone(t)
	p.queue("A", "B", "C")
	a := p.ask("Idle", "", nil)
	b := p.ask("Acknowledged", a.CommandUUID, nil)
	for range 5 {
		if again := p.ask("Acknowledged", a.CommandUUID, nil); !cmp.Equal(b, again) {
			t.Fatalf("got %q, want B again", again.kind())
		}
	}
	c := p.ask("Acknowledged", b.CommandUUID, nil)
	if c.kind() != "C" {
		t.Fatalf("got %q, want C", c.kind())
	}
	p.ask("Error", b.CommandUUID, nil) // late and different: no effect
	if got := p.command(b.CommandUUID).State; got != mdm.Acknowledged {
		t.Errorf("B: got %s, want acknowledged", got)
	}
	if n := p.w.entries(journal.DeviceReported, "", ""); n != 2 {
		t.Errorf("journal has %d results, want 2", n)
	}
}

func TestResultOfNoCommand(t *testing.T) {
	p := newPhone(t)
	p.queue("A")
	if got := p.ask("Acknowledged", "0B1C6B0E-5B0A-4B67-9C55-0D1B3F4E0001", nil); got.kind() != "A" {
		t.Errorf("got %q, want A", got.kind())
	}
}

// series runs one connection: the phone answers each command as answers says
// by its kind. It gives the kinds in the order they came.
func (p *iphone) series(answers map[string]string) (kinds []string, last string) {
	p.w.t.Helper()
	status, uuid := "Idle", ""
	for range 50 {
		o := p.ask(status, uuid, nil)
		if o.CommandUUID == "" {
			return kinds, status
		}
		kinds = append(kinds, o.kind())
		if status = answers[o.kind()]; status == "" {
			status = "Acknowledged"
		}
		uuid = o.CommandUUID
	}
	p.w.t.Fatalf("the series does not end: %v", kinds)
	return nil, ""
}

func TestNotNow(t *testing.T) {
	for name, c := range map[string]struct {
		queue   []string
		answers map[string]string
		want    []string
		last    string
	}{
		"alone":                   {[]string{"A"}, map[string]string{"A": "NotNow"}, []string{"A"}, "NotNow"},
		"others go on, then once": {[]string{"A", "B", "C"}, map[string]string{"A": "NotNow"}, []string{"A", "B", "C", "A"}, "NotNow"},
		"the last one":            {[]string{"A", "B"}, map[string]string{"B": "NotNow"}, []string{"A", "B"}, "NotNow"},
		"all":                     {[]string{"A", "B"}, map[string]string{"A": "NotNow", "B": "NotNow"}, []string{"A", "B"}, "NotNow"},
		"before an error":         {[]string{"A", "B"}, map[string]string{"A": "NotNow", "B": "Error"}, []string{"A", "B", "A"}, "NotNow"},
		"two of three":            {[]string{"A", "B", "C"}, map[string]string{"A": "NotNow", "B": "NotNow"}, []string{"A", "B", "C", "A"}, "NotNow"},
		"none":                    {[]string{"A", "B"}, nil, []string{"A", "B"}, "Acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPhone(t)
			p.queue(c.queue...)
			got, last := p.series(c.answers)
			if !cmp.Equal(got, c.want) || last != c.last {
				t.Errorf("got %v ending with %s, want %v ending with %s", got, last, c.want, c.last)
			}
			if got, last := p.series(nil); last != "Acknowledged" && len(c.answers) > 0 && c.answers["B"] != "Error" {
				t.Errorf("after unlocking: got %v ending with %s", got, last)
			}
			if d := p.stored(); d.Open != 0 {
				t.Errorf("%d commands stay open", d.Open)
			}
		})
	}
}

func TestNotNowWaitsLonger(t *testing.T) {
	p := newPhone(t)
	c := p.queue("A")[0]
	for i, want := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour} {
		p.series(map[string]string{"A": "NotNow"})
		stored := p.command(c.UUID)
		if stored.State != mdm.Queued || !stored.NotBefore.Equal(p.w.now.Add(want)) {
			t.Errorf("refusal %d: got %s until %v, want %v", i+1, stored.State, stored.NotBefore.Sub(p.w.now), want)
		}
		if d := p.stored(); !d.WakeAt.Equal(stored.NotBefore) {
			t.Errorf("refusal %d: wake wanted at %v, want %v", i+1, d.WakeAt, stored.NotBefore)
		}
		p.w.now = stored.NotBefore
	}
}

// A device that answers NotNow a hundred times gets each time one command.
func TestNotNowStorm(t *testing.T) {
	p := newPhone(t)
	c := p.queue("A")[0]
	for range 100 {
		if got := p.ask("NotNow", c.UUID, nil); got.CommandUUID != "" {
			t.Fatal("the refused command came straight back")
		}
	}
	if n := p.w.entries(journal.DeviceReported, "", ""); n != 0 {
		t.Errorf("the storm left %d journal entries", n)
	}
	p.ask("Acknowledged", p.ask("Idle", "", nil).CommandUUID, nil)
	p.ask("NotNow", c.UUID, nil) // too late
	if got := p.command(c.UUID).State; got != mdm.Acknowledged {
		t.Errorf("got %s: a command went backwards", got)
	}
}

func TestFailures(t *testing.T) {
	chain := map[string]any{"ErrorChain": []any{
		map[string]any{"ErrorCode": 4001, "ErrorDomain": "MCInstallationErrorDomain", "USEnglishDescription": "Profile\u202eInstallation Failed", "LocalizedDescription": "Fehler"},
		map[string]any{"ErrorCode": -1, "ErrorDomain": "X", "LocalizedDescription": "nur deutsch"}, "stray"}}
	silent := []mdm.ErrorItem{{Domain: "signet", Description: "The device gave no reason."}}
	for name, c := range map[string]struct {
		kind, status string
		keys         map[string]any
		want         []mdm.ErrorItem
	}{
		"error": {"InstallProfile", "Error", chain, []mdm.ErrorItem{
			{Code: 4001, Domain: "MCInstallationErrorDomain", Description: "ProfileInstallation Failed"}, {Code: -1, Domain: "X", Description: "nur deutsch"}}},
		"error without a chain": {"InstallProfile", "Error", nil, silent},
		"chain of another type": {"InstallProfile", "Error", map[string]any{"ErrorChain": "no"}, silent},
		"malformed command":     {"InstallProfile", "CommandFormatError", nil, []mdm.ErrorItem{{Code: 1, Domain: "signet", Description: "The device cannot read the command."}}},
		"setting, as array": {"Settings", "Acknowledged", map[string]any{"Settings": []any{
			map[string]any{"Status": "Acknowledged"}, map[string]any{"Status": "Error", "ErrorChain": []any{map[string]any{"ErrorCode": 7, "ErrorDomain": "S"}}}}},
			[]mdm.ErrorItem{{Code: 7, Domain: "S"}}},
		"setting, as dictionary": {"Settings", "Acknowledged", map[string]any{"Settings": map[string]any{"Status": "Error"}}, silent},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPhone(t)
			c2 := p.queue(c.kind, "Next")
			p.ask("Idle", "", nil)
			if next := p.ask(c.status, c2[0].UUID, c.keys); next.kind() != "Next" {
				t.Errorf("then got %q, want Next", next.kind())
			}
			got := p.command(c2[0].UUID)
			if diff := cmp.Diff(c.want, got.Errors); got.State != mdm.Failed || diff != "" {
				t.Errorf("got %s\n%s", got.State, diff)
			}
			list, err := p.w.DevicePage(t.Context(), mdm.Query{Limit: 100})
			if err != nil || list[0].LastError == nil || list[0].LastError.UUID != c2[0].UUID {
				t.Errorf("the list's last error: %v, %v", list, err)
			}
		})
	}
}

// What becomes of a command never depends on the code of its error: Apple changes
// them. It ends with the device's reason, the next one follows, and whether it
// is brought again is for the planner, by how often it failed.
func TestErrorCodes(t *testing.T) {
	p := newPhone(t)
	for domain, codes := range map[string][]int{
		"MCInstallationErrorDomain": {4000, 4001, 4008, 4012, 4015, 4017, 4018, 4025, 4026},
		"MCProfileErrorDomain":      {1000, 1009, 1010},
		"MCPayloadErrorDomain":      {2001, 2002, 2003, 2004, 2007},
		"MCCertificateErrorDomain":  {9000, 9005, 9006},
		"MCSCEPErrorDomain":         {22000, 22004, 22007, 22008, 22013},
		"MCMDMErrorDomain":          {12000, 12001, 12007, 12010, 12013, 12021, 12022, 12026, 12052, 12064, 12081},
		"NSPOSIXErrorDomain":        {28},
		"NSOSStatusErrorDomain":     {-25299, -26275},
		"unheard of":                {0, 1<<62 + 1},
	} {
		for _, code := range codes {
			waiting := p.queue("InstallProfile", "Next")
			p.ask("Idle", "", nil)
			chain := map[string]any{"ErrorChain": []any{map[string]any{"ErrorCode": code, "ErrorDomain": domain, "USEnglishDescription": "No"}}}
			for range 2 {
				if next := p.ask("Error", waiting[0].UUID, chain); next.CommandUUID != waiting[1].UUID {
					t.Errorf("%s %d: then got %q, want Next", domain, code, next.kind())
				}
			}
			p.ask("Acknowledged", waiting[1].UUID, nil)
			got, want := p.command(waiting[0].UUID), []mdm.ErrorItem{{Code: int64(code), Domain: domain, Description: "No"}}
			if got.State != mdm.Failed || !cmp.Equal(got.Errors, want) {
				t.Errorf("%s %d: got %s, %v", domain, code, got.State, got.Errors)
			}
			p.w.now = p.w.now.Add(time.Second)
		}
	}
	if d := p.stored(); d.LastError == nil || d.LastError.RequestType != "InstallProfile" || d.Open != 0 {
		t.Errorf("the device has %d open commands and the last error %v", d.Open, d.LastError)
	}
}

// report queues a command of that kind and acknowledges it with keys.
func (p *iphone) report(c mdm.Command, keys map[string]any) mdm.Detail {
	p.w.t.Helper()
	c.Device, c.CreatedAt = p.id.Holder.Device, p.w.now
	p.w.must(p.w.Store.Queued(p.w.t.Context(), []mdm.Command{c}, journal.Entry{At: p.w.now, Actor: admin, Action: journal.DeviceRefresh}))
	p.ask("Idle", "", nil)
	p.ask("Acknowledged", c.UUID, keys)
	return p.stored()
}

func TestCertificateList(t *testing.T) {
	p := newPhone(t)
	held := func(name string, identity bool) map[string]any {
		return map[string]any{"CommonName": name, "IsIdentity": identity, "Data": []byte(name)}
	}
	list := func(items ...any) map[string]any { return map[string]any{"CertificateList": items} }
	d := p.report(mdm.CertificateList(""), list(held("a", true), held("b", false), held("a", false), "stray", map[string]any{"Data": 7}))
	want := map[cert.Fingerprint]bool{cert.FingerprintOf([]byte("a")): true, cert.FingerprintOf([]byte("b")): false}
	if len(d.Certificates) != 2 || !d.ListedAt.Equal(p.w.now) {
		t.Errorf("got %v at %v", d.Certificates, d.ListedAt)
	}
	for _, h := range d.Certificates {
		if identity, known := want[h.Fingerprint]; !known || identity != h.Identity {
			t.Errorf("got %v", h)
		}
	}
	if d := p.report(mdm.CertificateList(""), nil); len(d.Certificates) != 2 {
		t.Errorf("an answer without a list changed it to %v", d.Certificates)
	}
	if d := p.report(mdm.CertificateList(""), map[string]any{"CertificateList": []any{}}); len(d.Certificates) != 0 {
		t.Errorf("an empty list left %v", d.Certificates)
	}
}

func TestProfileList(t *testing.T) {
	p := newPhone(t)
	listed := func() ([]string, time.Time) {
		f, err := p.w.db.Delivery().Facts(t.Context(), []subject.DeviceID{p.id.Holder.Device})
		p.w.must(err)
		return f[0].Profiles, f[0].ProfilesAt
	}
	item := func(id any) map[string]any { return map[string]any{"PayloadIdentifier": id, "IsManaged": true} }
	p.report(mdm.ProfileList(""), map[string]any{"ProfileList": []any{item("org.example.mail"), item("org.example.mail"), item("bad\nid"), item(7), "stray"}})
	if got, when := listed(); !cmp.Equal(got, []string{"org.example.mail"}) || !when.Equal(p.w.now) {
		t.Errorf("got %v at %v", got, when)
	}
	p.report(mdm.ProfileList(""), nil)
	if got, _ := listed(); len(got) != 1 {
		t.Errorf("an answer without a list changed it to %v", got)
	}
	p.report(mdm.ProfileList(""), map[string]any{"ProfileList": []any{}})
	if got, _ := listed(); len(got) != 0 {
		t.Errorf("an empty list left %v", got)
	}
}

func TestDeviceInformation(t *testing.T) {
	p := newPhone(t)
	p.report(mdm.DeviceInformation(""), map[string]any{"QueryResponses": map[string]any{
		"DeviceName": "Alice's iPhone", "OSVersion": "18.3", "ProductName": "iPhone17,1", "SerialNumber": "C39", "WiFiMAC": "02:00",
		"ServiceSubscriptions": []any{map[string]any{"Slot": "CTSubscriptionSlotOne", "IMEI": "35 1"}, 7, map[string]any{"IMEI": "36", "MEID": "A0"}}}})
	d := p.report(mdm.DeviceInformation(""), map[string]any{"QueryResponses": map[string]any{"OSVersion": "18.4", "DeviceName": 7}})
	want := subject.Device{ID: p.id.Holder.Device, User: p.id.Holder.User, UDID: "U-1", Name: "Alice's iPhone", OSVersion: "18.4", Model: "iPhone17,1", Serial: "C39",
		IMEI: "35 1", MEID: "A0", WiFiMAC: "02:00"}
	if d.Device.Device != want {
		t.Errorf("got %+v, want %+v", d.Device.Device, want)
	}
}

func TestApps(t *testing.T) {
	const outlook, other = "com.microsoft.Office.Outlook", "com.example.other"
	p := newPhone(t)
	d := p.report(mdm.NewCommand("", "InstallApplication", nil), map[string]any{"Identifier": outlook, "State": "Queued"})
	if want := []mdm.App{{Bundle: outlook, State: "Queued"}}; !cmp.Equal(d.Apps, want) {
		t.Errorf("got %v, want %v", d.Apps, want)
	}
	state := func(s string) map[string]any { return map[string]any{"Status": s, "HasConfiguration": true} }
	ask := mdm.ManagedApplicationList("", outlook, other)
	d = p.report(ask, map[string]any{"ManagedApplicationList": map[string]any{outlook: state("Managed"), other: state("UserRejected"), "b\nad": state("x")}})
	if want := []mdm.App{{other, "UserRejected", true}, {outlook, "Managed", true}}; !cmp.Equal(d.Apps, want) {
		t.Errorf("got %v, want %v", d.Apps, want)
	}
	d = p.report(mdm.ManagedApplicationList("", outlook, other), map[string]any{"ManagedApplicationList": map[string]any{}})
	if want := []mdm.App{{other, "UserRejected", true}}; !cmp.Equal(d.Apps, want) {
		t.Errorf("what is told once only must stay: got %v, want %v", d.Apps, want)
	}
}

func TestRefresh(t *testing.T) {
	p := newPhone(t)
	p.w.must(p.w.Refresh(t.Context(), admin, p.id.Holder.Device, false))
	if got, _ := p.series(nil); !cmp.Equal(got, []string{"DeviceInformation", "CertificateList"}) {
		t.Errorf("got %v", got)
	}
	fresh := p.w.invited(p.w.user("bob@example.com"), "U-2")
	wants(t, "not enrolled", p.w.Refresh(t.Context(), admin, fresh.id.Holder.Device, false), mdm.ErrNotEnrolled)
	wants(t, "unknown", p.w.Refresh(t.Context(), admin, subject.NewDeviceID(), false), mdm.ErrDeviceUnknown)
}

func TestRemove(t *testing.T) {
	p := newPhone(t)
	waiting := p.queue("InstallProfile")[0]
	for range 2 {
		p.w.must(p.w.Remove(t.Context(), admin, p.id.Holder.Device, false))
	}
	if got := p.command(waiting.UUID).State; got != mdm.Cancelled {
		t.Errorf("queued command: got %s, want cancelled", got)
	}
	if d := p.stored(); d.State != mdm.Removed || d.WakeAt.IsZero() {
		t.Errorf("got %s, wake %v; it must be woken for its last command", d.State, d.WakeAt)
	}
	p.id.RevokedAt = p.w.now // its certificates go at once
	last := p.ask("Idle", "", nil)
	if last.kind() != "RemoveProfile" || last.Command["Identifier"] != "org.example.mdm.enroll" {
		t.Errorf("got %v, want RemoveProfile", last.Command)
	}
	_, err := p.says("Acknowledged", last.CommandUUID, nil)
	wants(t, "then", err, mdm.ErrDeviceRemoved)
	wants(t, "CheckOut", p.checkIn("CheckOut", nil), nil)
	if n := p.w.entries(journal.DeviceRemoved, "", ""); n != 1 {
		t.Errorf("journal has %d removals, want 1", n)
	}
	wants(t, "unknown", p.w.Remove(t.Context(), admin, subject.NewDeviceID(), false), mdm.ErrDeviceUnknown)
}

func TestMalformedReports(t *testing.T) {
	p := newPhone(t)
	for name, m := range map[string]map[string]any{
		"no status":         {"UDID": "U-1"},
		"unknown status":    {"UDID": "U-1", "Status": "Later"},
		"no UDID":           {"Status": "Idle"},
		"UDID is a number":  {"Status": "Idle", "UDID": 7},
		"no command":        {"Status": "Acknowledged", "UDID": "U-1"},
		"odd command":       {"Status": "Acknowledged", "UDID": "U-1", "CommandUUID": "a b"},
		"an array for both": {"Status": []any{}, "UDID": []any{}},
	} {
		_, err := p.w.Connect(t.Context(), p.id, "", encode(t, m))
		wants(t, name, err, mdm.ErrMessage)
	}
	_, err := p.w.Connect(t.Context(), p.id, "", encode(t, map[string]any{"Status": "Idle", "UDID": "U-1", "UserID": "x"}))
	wants(t, "user channel", err, mdm.ErrUserChannel)
}

// A poll that finds nothing writes nothing, save the minute it was seen.
func TestSeen(t *testing.T) {
	p := newPhone(t)
	start := p.w.now
	p.w.now = start.Add(30 * time.Second)
	p.ask("Idle", "", nil)
	if d := p.stored(); !d.SeenAt.Equal(start) {
		t.Errorf("after half a minute: seen at %v, want %v", d.SeenAt, start)
	}
	p.w.now = start.Add(time.Minute)
	p.ask("Idle", "", nil)
	if d := p.stored(); !d.SeenAt.Equal(p.w.now) {
		t.Errorf("after a minute: seen at %v, want %v", d.SeenAt, p.w.now)
	}
}

// A device is lost by its own user only.
func TestLost(t *testing.T) {
	p := newPhone(t)
	id, user := p.id.Holder.Device, p.id.Holder.User
	wants(t, "another user", p.w.Lost(t.Context(), admin, subject.NewUserID(), id), mdm.ErrDeviceUnknown)
	wants(t, "unknown", p.w.Lost(t.Context(), admin, user, subject.NewDeviceID()), mdm.ErrDeviceUnknown)
	if d := p.stored(); d.State != mdm.Enrolled {
		t.Fatalf("got %s", d.State)
	}
	for range 2 {
		p.w.must(p.w.Lost(t.Context(), admin, user, id))
	}
	if last := p.ask("Idle", "", nil); last.kind() != "RemoveProfile" || p.stored().State != mdm.Removed {
		t.Errorf("got %v, state %s", last.Command, p.stored().State)
	}
	if n := p.w.entries(journal.DeviceLost, "", ""); n != 1 {
		t.Errorf("journal has %d losses, want 1", n)
	}
}
