package device_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/scep/ca"
)

// FuzzSignature holds that a header either gives a certificate or is the one
// declared failure, and that a signature fits no body but its own.
func FuzzSignature(f *testing.F) {
	k := keys()
	root := must(ca.NewRoot(k.root, ca.Names{CommonName: "Fuzz"}, time.Now()))
	der := must(cms.SignDetached([]byte("body"), cms.Signer{Certificate: root, Key: k.root}))
	f.Add(base64.StdEncoding.EncodeToString(der), []byte("body"))
	f.Add(base64.StdEncoding.EncodeToString(der), []byte("other"))
	f.Add("MIAGCSqGSIb3DQEHAqCAMIACAQExCzAJBgUrDgMCGgUAMIAGCSqGSIb3DQEHAQAAMQAAAAAAAAA=", []byte("body"))
	f.Add("", []byte(nil))
	f.Add("====", []byte("x"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		c, err := device.SignerOf(header, body)
		if (c == nil) != (err != nil) || err != nil && fault.Code(err) != device.ErrSignature.Code {
			t.Errorf("got %v, %v", c, err)
		}
		if err != nil {
			return
		}
		if _, err := device.SignerOf(header, append([]byte("x"), body...)); err == nil {
			t.Error("the signature fits another body too")
		}
	})
}
