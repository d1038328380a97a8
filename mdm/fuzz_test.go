package mdm_test

import (
	"testing"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/mdm"
)

const head = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>`

// FuzzCheckIn holds that whatever is said at check-in is taken or refused by a
// declared failure that is no 401.
func FuzzCheckIn(f *testing.F) {
	f.Add([]byte(head + `<key>MessageType</key><string>Authenticate</string><key>UDID</key><string>00008140-000A1B2C3D4E001C</string><key>Topic</key><string>com.apple.mgmt.External.0</string><key>SerialNumber</key><string>C39</string></dict></plist>`))
	f.Add([]byte(head + `<key>MessageType</key><string>TokenUpdate</string><key>EnrollmentID</key><string>x</string><key>Topic</key><string>com.apple.mgmt.X</string><key>PushMagic</key><string>m</string><key>Token</key><data>AAECAw==</data><key>AwaitingConfiguration</key><false/></dict></plist>`))
	f.Add([]byte("bplist00\xa1\x00\x08"))
	f.Add([]byte(head + `<key>UDID</key><array><array/></array></dict></plist>`))
	f.Fuzz(func(t *testing.T, body []byte) { declared(t, mdm.ParseMessage(body)) })
}

// FuzzReport holds the same for reports, and that what is kept of them can be
// stored and shown.
func FuzzReport(f *testing.F) {
	f.Add([]byte(head+`<key>UDID</key><string>U</string><key>Status</key><string>Idle</string></dict></plist>`), uint8(0))
	f.Add([]byte(head+`<key>UDID</key><string>U</string><key>CommandUUID</key><string>c</string><key>Status</key><string>Error</string><key>ErrorChain</key><array><dict><key>ErrorCode</key><integer>-4001</integer><key>ErrorDomain</key><string>&#x202e;</string></dict></array></dict></plist>`), uint8(1))
	f.Add([]byte(head+`<key>UDID</key><string>U</string><key>CommandUUID</key><string>c</string><key>Status</key><string>Acknowledged</string><key>CertificateList</key><array><dict><key>Data</key><data>MIIB</data><key>IsIdentity</key><true/></dict></array></dict></plist>`), uint8(0))
	f.Add([]byte(head+`<key>UDID</key><string>U</string><key>CommandUUID</key><string>c</string><key>Status</key><string>Acknowledged</string><key>ManagedApplicationList</key><dict><key>a</key><dict><key>Status</key><string>Managed</string></dict></dict></dict></plist>`), uint8(2))
	f.Add([]byte(head+`<key>UDID</key><string>U</string><key>CommandUUID</key><string>c</string><key>Status</key><string>Acknowledged</string><key>Settings</key><dict><key>Status</key><string>Error</string></dict></dict></plist>`), uint8(4))
	kinds := []string{"CertificateList", "DeviceInformation", "ManagedApplicationList", "InstallApplication", "Settings", "ProfileList"}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		o, err := mdm.ParseReport(body, kinds[int(kind)%len(kinds)])
		declared(t, err)
		for _, e := range o.Errors {
			shown(t, e.Domain, e.Description)
		}
		for _, a := range o.Apps {
			shown(t, a.Bundle, a.State)
		}
		if i := o.Information; i != nil {
			shown(t, i.Name, i.Model, i.OSVersion, i.Serial)
		}
		shown(t, o.Profiles...)
		if err == nil && o.State == mdm.Failed && len(o.Errors) == 0 {
			t.Error("a failure without a reason")
		}
	})
}

func declared(t *testing.T, err error) {
	if err == nil {
		return
	}
	if f := fault.Of(err); f == nil || f.Kind == fault.Unauthenticated || f.Kind == fault.Internal {
		t.Errorf("undeclared failure or one that would be 401 or 500: %v", err)
	}
}

func shown(t *testing.T, texts ...string) {
	for _, s := range texts {
		if len(s) > 255 || !utf8.ValidString(s) {
			t.Errorf("kept %q of %d bytes", s, len(s))
		}
	}
}
