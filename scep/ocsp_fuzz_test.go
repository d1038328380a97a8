package scep_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep"
)

// Whatever stands in the path of a GET or in a POST gets an OCSP answer: signed
// for a certificate that we issued, and else an error that nobody may keep.
func FuzzOCSP(f *testing.F) {
	w := newWorld(f)
	c := w.enrolled(scep.MailSigning, 1).cert
	mail, device := theHouse().mail.Issuer.Certificate(), theHouse().device.Issuer.Certificate()
	for _, request := range [][]byte{
		question(f, c, mail, crypto.SHA1), question(f, c, mail, crypto.SHA256), question(f, c, device, crypto.SHA1),
		question(f, theHouse().mail.RA.Certificate, mail, crypto.SHA1), {0x30, 0x80, 0, 0}, {0x30, 0x84, 1}, {},
	} {
		f.Add(request)
		f.Add([]byte(base64.StdEncoding.EncodeToString(request)))
		f.Add([]byte(base64.RawURLEncoding.EncodeToString(request)))
	}
	unsigned := [][]byte{ocsp.MalformedRequestErrorResponse, ocsp.UnauthorizedErrorResponse}
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, request := range [][]byte{sent, scep.DecodeOCSP(string(sent))} {
			a, err := w.s.OCSP(t.Context(), "smime", request)
			if err != nil {
				t.Fatal(err)
			}
			if a.ThisUpdate.IsZero() {
				if !bytes.Equal(a.DER, unsigned[0]) && !bytes.Equal(a.DER, unsigned[1]) {
					t.Fatalf("unsigned: %x", a.DER)
				}
				continue
			}
			r, err := ocsp.ParseResponse(a.DER, mail)
			if err != nil || r.Status != ocsp.Good || cert.SerialOf(r.SerialNumber) != cert.SerialOf(c.SerialNumber) {
				t.Fatalf("signed: %+v, %v", r, err)
			}
			if !a.NextUpdate.After(a.ThisUpdate.Add(8 * time.Hour)) {
				t.Fatalf("good until %v", a.NextUpdate)
			}
		}
	})
}
