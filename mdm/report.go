package mdm

import (
	"cmp"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/plist"
)

// The statuses of a report.
const (
	statusIdle         = "Idle"
	statusNotNow       = "NotNow"
	statusAcknowledged = "Acknowledged"
	statusError        = "Error"
	statusFormat       = "CommandFormatError"
)

// report is what a device says at its server URL.
type report struct {
	udid    string
	status  string
	command string // "" with Idle
	keys    dict
}

// dict is a dictionary whose values are looked at one by one: a single value
// of an unexpected type must not make a report unreadable, because the device
// would repeat it for ever.
type dict map[string]any

func (d dict) text(key string) string { s, _ := d[key].(string); return s }
func (d dict) flag(key string) bool   { b, _ := d[key].(bool); return b }
func (d dict) data(key string) []byte { b, _ := d[key].([]byte); return b }

func (d dict) dict(key string) dict { m, _ := d[key].(map[string]any); return m }

// dicts gives the dictionaries of an array, and whether the key holds one.
func (d dict) dicts(key string) ([]dict, bool) {
	list, ok := d[key].([]any)
	var out []dict
	for _, v := range list {
		if m, is := v.(map[string]any); is {
			out = append(out, m)
		}
	}
	return out, ok
}

func (d dict) number(key string) int64 {
	switch n := d[key].(type) {
	case int64:
		return n
	case uint64:
		return int64(n)
	}
	return 0
}

func parseReport(body []byte) (report, error) {
	var keys map[string]any
	if err := plist.Unmarshal(body, &keys, plist.Report); err != nil {
		return report{}, err
	}
	d := dict(keys)
	r := report{udid: d.text("UDID"), status: d.text("Status"), command: d.text("CommandUUID"), keys: d}
	if r.udid == "" {
		r.udid = d.text("EnrollmentID")
	}
	if d.text("UserID") != "" {
		return r, ErrUserChannel
	}
	if r.udid == "" || !plain(r.udid) || !plain(r.command) {
		return r, ErrMessage
	}
	switch r.status {
	case statusIdle:
		r.command = ""
		return r, nil
	case statusNotNow, statusAcknowledged, statusError, statusFormat:
		if r.command != "" {
			return r, nil
		}
	}
	return r, ErrMessage
}

// outcome is what a report says of a command.
func (r report) outcome(c Command, now time.Time) Outcome {
	o := Outcome{Device: c.Device, Command: c.UUID, At: now, State: Acknowledged}
	switch r.status {
	case statusNotNow:
		o.State, o.NotBefore = Queued, now.Add(patience(c.Attempts))
		return o
	case statusError:
		return o.failed(errorChain(r.keys))
	case statusFormat:
		return o.failed([]ErrorItem{{Code: CodeFormat, Domain: OwnDomain, Description: "The device cannot read the command."}})
	}
	switch c.RequestType {
	case "CertificateList":
		o.Certificates, o.Listed = r.certificates()
	case "ProfileList":
		o.Profiles, o.Shown = r.profiles()
	case "DeviceInformation":
		o.Information = r.information()
	case "ManagedApplicationList":
		o.Apps, o.Gone = r.apps(c.Fields)
		o.Configured = true
	case "InstallApplication":
		if app := r.app(); app.Bundle != "" && app.State != "" {
			o.Apps = []App{app}
		}
	case "Settings":
		return r.settings(o)
	}
	return o
}

// failed makes it a failure that has a reason in any case.
func (o Outcome) failed(chain []ErrorItem) Outcome {
	if len(chain) == 0 {
		chain = []ErrorItem{{Domain: OwnDomain, Description: "The device gave no reason."}}
	}
	o.State, o.Errors = Failed, chain[:min(len(chain), maxErrors)]
	return o
}

// maxErrors bounds what is kept of an ErrorChain.
const maxErrors = 8

// Spec: Apple MDM, ErrorChain
func errorChain(d dict) []ErrorItem {
	list, _ := d.dicts("ErrorChain")
	var out []ErrorItem
	for _, item := range list[:min(len(list), maxErrors)] {
		e := ErrorItem{Code: item.number("ErrorCode"), Domain: label(item.text("ErrorDomain")), Description: label(item.text("USEnglishDescription"))}
		if e.Description == "" {
			e.Description = label(item.text("LocalizedDescription"))
		}
		out = append(out, e)
	}
	return out
}

// Spec: Apple MDM, CertificateList
func (r report) certificates() ([]Held, bool) {
	list, ok := r.keys.dicts("CertificateList")
	at := map[cert.Fingerprint]int{}
	held := []Held{}
	for _, item := range list {
		der := item.data("Data")
		if len(der) == 0 {
			continue
		}
		fp := cert.FingerprintOf(der)
		i, seen := at[fp]
		if !seen {
			i, held = len(held), append(held, Held{Fingerprint: fp})
			at[fp] = i
		}
		held[i].Identity = held[i].Identity || item.flag("IsIdentity")
	}
	return held, ok
}

// profiles gives the identifiers of what a device has; ours are all plain.
//
// Spec: Apple MDM, ProfileList
func (r report) profiles() ([]string, bool) {
	list, ok := r.keys.dicts("ProfileList")
	ids := []string{}
	for _, item := range list {
		if id := item.text("PayloadIdentifier"); id != "" && plain(id) && !slices.Contains(ids, id) && len(ids) < maxProfiles {
			ids = append(ids, id)
		}
	}
	return ids, ok
}

// maxProfiles bounds what is kept of a ProfileList.
const maxProfiles = 1000

// Spec: Apple MDM, DeviceInformation
func (r report) information() *Information {
	q := r.keys.dict("QueryResponses")
	if q == nil {
		return nil
	}
	i := &Information{Name: label(q.text("DeviceName")), Model: label(q.text("ProductName")),
		OSVersion: label(q.text("OSVersion")), Serial: label(q.text("SerialNumber")),
		IMEI: label(q.text("IMEI")), MEID: label(q.text("MEID")), WiFiMAC: label(q.text("WiFiMAC"))}
	i.subscribed(q)
	return i
}

// subscribed takes the numbers of the modem from the first line that has them.
//
// Quirk: a device with two lines tells them with each line and not above.
func (i *Information) subscribed(q dict) {
	lines, _ := q["ServiceSubscriptions"].([]any)
	for _, l := range lines {
		line, _ := l.(map[string]any)
		i.IMEI = cmp.Or(i.IMEI, label(dict(line).text("IMEI")))
		i.MEID = cmp.Or(i.MEID, label(dict(line).text("MEID")))
	}
}

// apps gives what was told of apps, and which of those asked for were not
// told of.
//
// Spec: Apple MDM, ManagedApplicationList
func (r report) apps(asked dict) (apps []App, gone []string) {
	list := r.keys.dict("ManagedApplicationList")
	if list == nil {
		return nil, nil
	}
	for bundle := range list {
		app := list.dict(bundle)
		if plain(bundle) && app.text("Status") != "" {
			apps = append(apps, App{Bundle: bundle, State: label(app.text("Status")), Configured: app.flag("HasConfiguration")})
		}
	}
	bundles, _ := asked["Identifiers"].([]any)
	for _, b := range bundles {
		if bundle, _ := b.(string); list.dict(bundle) == nil {
			gone = append(gone, bundle)
		}
	}
	return apps, gone
}

// Spec: Apple MDM, InstallApplication
func (r report) app() App {
	if bundle := r.keys.text("Identifier"); plain(bundle) {
		return App{Bundle: bundle, State: label(r.keys.text("State"))}
	}
	return App{}
}

// settings fails the command when one of its items failed.
//
// Quirk: Apple's schema says that Settings is a dictionary, older text that it
// is an array.
//
// Spec: Apple MDM, Settings
func (r report) settings(o Outcome) Outcome {
	items, ok := r.keys.dicts("Settings")
	if !ok {
		items = []dict{r.keys.dict("Settings")}
	}
	bad, chain := false, []ErrorItem(nil)
	for _, item := range items {
		if item.text("Status") == statusError {
			bad, chain = true, append(chain, errorChain(item)...)
		}
	}
	if bad {
		return o.failed(chain)
	}
	return o
}
