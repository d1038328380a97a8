package phone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Spec: Apple MDM, DeviceInformation: what is not known is left out; network
// facts need their own right.
func (p *Phone) deviceInformation(_ context.Context, c dict) (dict, error) {
	if !c.has("Queries") {
		return nil, errFormat
	}
	facts := p.facts()
	if p.state().enrollment.AccessRights&rightNetwork != 0 {
		facts["WiFiMAC"], facts["BluetoothMAC"] = p.mac(1), p.mac(2)
		facts["DataRoamingEnabled"], facts["IsRoaming"] = false, false
	}
	out := map[string]any{}
	for _, q := range c.strings("Queries") {
		if v, known := facts[q]; known {
			out[q] = v
		}
	}
	return dict{"QueryResponses": out}, nil
}

func (p *Phone) facts() map[string]any {
	return map[string]any{
		"UDID": p.cfg.UDID, "SerialNumber": p.cfg.Serial, "IMEI": p.imei,
		"DeviceName": p.cfg.Name, "OSVersion": p.cfg.OSVersion, "BuildVersion": p.os.build(),
		"ModelName": "iPhone", "Model": "MU793", "ModelNumber": "MU793ZD/A", "ProductName": p.cfg.Model,
		"DeviceCapacity": 256.0, "AvailableDeviceCapacity": p.room(), "BatteryLevel": 0.8, "CellularTechnology": 3,
		"IsSupervised": false, "IsMultiUser": false, "IsDeviceLocatorServiceEnabled": true,
		"DiagnosticSubmissionEnabled": false, "AppAnalyticsEnabled": false, "IsNetworkTethered": false,
		"iTunesStoreAccountIsActive": true, "TimeZone": "Europe/Berlin",
		"EASDeviceIdentifier": hex.EncodeToString([]byte(p.cfg.Serial)),
		"MDMOptions":          map[string]any{},
	}
}

// room is the free space in gigabytes.
func (p *Phone) room() float64 {
	if p.feels().Full {
		return 0
	}
	return 128
}

func (p *Phone) mac(n byte) string {
	b := sha256.Sum256([]byte(p.cfg.UDID))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], n)
}

// Spec: Apple MDM, SecurityInfo
func (p *Phone) securityInfo(context.Context, dict) (dict, error) {
	return dict{"SecurityInfo": map[string]any{
		"HardwareEncryptionCaps": 3, "PasscodePresent": true,
		"PasscodeCompliant": true, "PasscodeCompliantWithProfiles": true,
		"ManagementStatus": map[string]any{"IsUserEnrollment": false, "EnrolledViaDEP": false},
	}}, nil
}

// eraseDevice empties the phone but for what it needs to acknowledge; that
// goes when the server has taken the result. An erased phone checks out from
// nothing.
// Spec: Apple MDM, EraseDevice
func (p *Phone) eraseDevice(context.Context, dict) (dict, error) {
	next := &state{enrollment: p.state().enrollment, erased: true}
	p.commit(next)
	return nil, nil
}
