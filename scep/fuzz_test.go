package scep_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// Whatever comes, it is answered without a panic and nothing is issued.
func FuzzPKIOperation(f *testing.F) {
	w := newWorld(f, legacy, func(c *scep.Config) { c.MaxSkew = -1 })
	f.Add(must(os.ReadFile("testdata/macos-10.11-pkcsreq.der"))(f))
	for _, kind := range []string{"19", "17", "20"} {
		f.Add(w.message(ask{kind: kind, challenge: "x"}))
	}
	f.Add(w.message(ask{envelope: ciphertext(func([]byte) []byte { return []byte("12345") })}))
	for _, s := range []string{"\x1f\x80", "\x1f\x05", "\x30\x81", "\x30\x84\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		reply, err := w.s.PKIOperation(context.Background(), scep.MailSigning, "192.0.2.1", message)
		if err != nil && (fault.Of(err) == nil || strings.Contains(err.Error(), "panic")) || bytes.Contains(reply, []byte("internal")) {
			t.Errorf("our failure: %v\n%s", err, w.log)
		}
		if contains(w.log.Bytes(), "certificate issued") {
			t.Error("something was issued")
		}
		w.log.Reset()
	})
}

// What is decoded is decoded the same when it is written properly.
func FuzzDecodeMessage(f *testing.F) {
	for _, s := range []string{"MIIB", "MII B_-/+=", "AA\r\nAA==", "====", "A", "%2B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := scep.DecodeMessage(query)
		if err != nil {
			if fault.Of(err) == nil || got != nil {
				t.Errorf("got %x, %v", got, err)
			}
			return
		}
		again, err := scep.DecodeMessage(base64.StdEncoding.EncodeToString(got))
		if len(got) == 0 || len(got) > scep.MaxMessage || err != nil || !bytes.Equal(got, again) {
			t.Errorf("got %x, then %x, %v", got, again, err)
		}
	})
}

// A request that is accepted is signed by its own key, which is a good one.
func FuzzCSR(f *testing.F) {
	for _, challenge := range []string{"", "ABCDEF"} {
		f.Add(must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: challenge}, rsaKey(1)))(f))
	}
	f.Add(withSHA1(rsaKey(1))(must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey(1)))(f)))
	f.Fuzz(func(t *testing.T, der []byte) {
		strict, lax := scep.ReadCSR(der, false), scep.ReadCSR(der, true)
		if strict == nil && lax != nil {
			t.Errorf("legacy accepts less: %v", lax)
		}
		for _, err := range []error{strict, lax} {
			if err != nil && fault.Of(err) == nil {
				t.Errorf("undeclared failure: %v", err)
			}
		}
		if lax != nil {
			return
		}
		r, err := x509.ParseCertificateRequest(der)
		if err != nil || r.CheckSignature() != nil || !ca.GoodKey(r.PublicKey) {
			t.Errorf("accepted: %v", err)
		}
	})
}
