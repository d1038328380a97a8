package scep_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
)

func codeOf(err error) string { return fault.Code(err) }

// Each type of message meets each state of a challenge. One pair issues.
func TestTypesAndChallenges(t *testing.T) {
	states := map[string]func(w *world) string{
		"good":  func(w *world) string { return w.challenge(scep.MailSigning).RevealString() },
		"none":  func(*world) string { return "" },
		"wrong": func(*world) string { return "AAAAAAAAAAAAAAAAAAAAAAAAAA" },
		"used": func(w *world) string {
			c := w.challenge(scep.MailSigning).RevealString()
			if got := w.send(ask{challenge: c, from: newClient(2), transaction: "T-2"}); got.status != "0" {
				w.t.Fatal(got)
			}
			return c
		},
		"expired": func(w *world) string {
			c := w.challenge(scep.MailSigning).RevealString()
			w.sleep(25 * time.Hour)
			return c
		},
		"replaced": func(w *world) string {
			c := w.challenge(scep.MailSigning).RevealString()
			w.challenge(scep.MailSigning)
			return c
		},
		"of another profile": func(w *world) string { return w.challenge(scep.DeviceIdentity).RevealString() },
		"of a removed device": func(w *world) string {
			c := w.challenge(scep.MailSigning).RevealString()
			w.remove()
			return c
		},
	}
	refusals := map[string]error{
		"none": scep.ErrChallengeUnknown, "wrong": scep.ErrChallengeUnknown, "used": scep.ErrChallengeUsed, "expired": scep.ErrChallengeExpired,
		"replaced": scep.ErrChallengeVoid, "of another profile": scep.ErrChallengeProfile, "of a removed device": scep.ErrHolder,
	}
	for name, challenge := range states {
		for _, kind := range []string{"19", "17", "18", "20", "3", "21", "22", "99"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				w := newWorld(t)
				c := challenge(w)
				before := w.certificates()
				got := w.send(ask{kind: kind, challenge: c})
				switch {
				case kind == "19" && name == "good":
					if got.status != "0" || w.certificates() != before+1 {
						t.Errorf("got %v", got)
					}
					return
				case kind == "19" && !got.refused("2", refusals[name]):
					t.Errorf("got %v, want %v", got, refusals[name])
				case kind == "17" && !got.refused("2", scep.ErrRenewalUnknown):
					t.Errorf("got %v", got)
				case kind == "20" && !got.refused("1", scep.ErrUnreadable): // a poll holds no certificate request
					t.Errorf("got %v", got)
				case kind == "20" && !w.poll(ask{challenge: c}).refused("4", scep.ErrTransaction):
					t.Error("a poll without a request found one")
				case kind != "19" && kind != "17" && kind != "20" && !got.refused("2", scep.ErrMessageType):
					t.Errorf("got %v", got)
				}
				if w.certificates() != before {
					t.Error("a certificate was issued")
				}
			})
		}
	}
}

// What is issued says what our records say, whatever the request says.
func TestOnlyTheKeyIsTaken(t *testing.T) {
	mallory := x509.CertificateRequest{
		Subject:        pkix.Name{CommonName: "../..\t\n/etc", Organization: []string{"Other"}},
		EmailAddresses: []string{"mallory@example.com"}, DNSNames: []string{"mdm.example.com"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 9)},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "uuid:x"}},
	}
	for _, template := range []x509.CertificateRequest{{}, mallory} {
		t.Run("signing "+template.Subject.CommonName, func(t *testing.T) {
			w := newWorld(t)
			got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString(), template: template})
			if got.cert == nil {
				t.Fatal(got)
			}
			c := got.cert
			if c.Subject.String() != "CN=Alice Example" || fmt.Sprint(c.EmailAddresses) != "[alice@example.com]" ||
				len(c.DNSNames)+len(c.IPAddresses)+len(c.URIs) != 0 {
				t.Errorf("got %s for %v %v %v %v", c.Subject, c.EmailAddresses, c.DNSNames, c.IPAddresses, c.URIs)
			}
			if c.KeyUsage != x509.KeyUsageDigitalSignature || fmt.Sprint(c.ExtKeyUsage) != fmt.Sprint([]x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}) {
				t.Errorf("got usages %b %v", c.KeyUsage, c.ExtKeyUsage)
			}
		})
		t.Run("identity "+template.Subject.CommonName, func(t *testing.T) {
			w := newWorld(t)
			got := w.send(ask{profile: scep.DeviceIdentity, challenge: w.challenge(scep.DeviceIdentity).RevealString(), template: template})
			if got.cert == nil {
				t.Fatal(got)
			}
			if h, err := cert.HolderOf(got.cert); err != nil || h != (cert.Holder{User: w.user.ID, Device: w.device.ID}) {
				t.Errorf("got %v, %v", h, err)
			}
			r, err := w.s.Identity(t.Context(), got.cert)
			if err != nil || r.Fingerprint != cert.FingerprintOf(got.cert.Raw) || r.Use != cert.Identity {
				t.Errorf("Identity: got %v, %v", r.Fingerprint, err)
			}
		})
	}
}

// The record and the journal tell what was issued.
func TestIssuedIsOnRecord(t *testing.T) {
	w := newWorld(t)
	got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	list := must(w.db.Certificates().OfDevice(t.Context(), w.device.ID))(t)
	if len(list) != 1 || !bytes.Equal(list[0].DER, got.cert.Raw) {
		t.Fatalf("%d certificates on record, want the issued one", len(list))
	}
	r := list[0]
	if r.Holder != (cert.Holder{User: w.user.ID, Device: w.device.ID}) || r.Use != cert.Signing || r.Profile != scep.MailSigning ||
		r.Source != cert.Issued || fmt.Sprint(r.Addresses) != "[alice@example.com]" || r.Serial != cert.SerialOf(got.cert.SerialNumber) {
		t.Errorf("got %+v", r)
	}
	log := must(w.db.Journal().Lines(t.Context(), journal.Query{Device: w.device.ID, Limit: 1}))(t)
	if e := log[0]; e.Action != journal.CertificateIssued || e.Cert != r.Fingerprint || e.Actor.Kind != journal.Device ||
		e.Actor.ID != string(w.device.ID) || e.Actor.Remote != "192.0.2.1" || e.Detail["serial"] != string(r.Serial) {
		t.Errorf("got %+v", e)
	}
	if w.actions(journal.ChallengeIssued) != 1 {
		t.Error("the challenge is not in the journal")
	}
	if bytes.Contains(got.raw, []byte("alice@example.com")) {
		t.Error("the address is outside of the envelope")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	small, large := rsaKey(smallKey), &rsa.PublicKey{N: new(big.Int).Lsh(rsaKey(1).N, 32768-2048), E: 65537}
	basic := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}
	odd := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30}}
	end := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0}}
	for name, c := range map[string]struct {
		a        ask
		failInfo string
		want     error // nil: issued
	}{
		"honest":                       {ask{}, "", nil},
		"nonce of 8 octets":            {ask{nonce: []byte("12345678")}, "", nil},
		"transaction of 255":           {ask{transaction: string(bytes.Repeat([]byte("7"), 255))}, "", nil},
		"end entity constraints":       {ask{template: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{end}}}, "", nil},
		"CSR with a broken signature":  {ask{csr: flip(-1)}, "1", scep.ErrUnreadable},
		"CSR with another key in it":   {ask{csr: flip(200)}, "1", scep.ErrUnreadable},
		"CSR cut off":                  {ask{csr: func(b []byte) []byte { return b[:40] }}, "1", scep.ErrUnreadable},
		"CSR with a tail":              {ask{csr: func(b []byte) []byte { return append(b, 0) }}, "1", scep.ErrUnreadable},
		"CSR of nothing":               {ask{csr: func([]byte) []byte { return nil }}, "1", scep.ErrUnreadable},
		"CSR of 32768 bits":            {ask{csr: func([]byte) []byte { return csrWithKey(t, large) }}, "1", scep.ErrUnreadable},
		"CSR with a foreign key":       {ask{key: rsaKey(2)}, "2", scep.ErrKeyForeign},
		"RSA of 1024 bits":             {ask{from: selfSigned(small)}, "2", scep.ErrKey},
		"EC key for an RSA signer":     {ask{key: ecKey(elliptic.P256())}, "2", scep.ErrKeyForeign},
		"P-521":                        {ask{key: ecKey(elliptic.P521())}, "2", scep.ErrKey},
		"asks for a CA":                {ask{template: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{basic}}}, "2", scep.ErrWantsCA},
		"unreadable basic constraints": {ask{template: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{odd}}}, "2", scep.ErrWantsCA},
		"signed two days ago":          {ask{signed: start.Add(-48 * time.Hour)}, "3", scep.ErrClock},
		"signed in two days":           {ask{signed: start.Add(48 * time.Hour)}, "3", scep.ErrClock},
		"signed 20 hours ago":          {ask{signed: start.Add(-20 * time.Hour)}, "", nil},
		"SHA-1 in the CSR":             {ask{csr: withSHA1(newClient(1).key)}, "0", scep.ErrAlgorithm},
		"AES ciphertext of 5 bytes":    {ask{envelope: ciphertext(func([]byte) []byte { return []byte("12345") })}, "1", scep.ErrUnreadable},
		"no ciphertext":                {ask{envelope: ciphertext(func([]byte) []byte { return nil })}, "1", scep.ErrUnreadable},
		"plaintext of F0s":             {ask{csr: func([]byte) []byte { return bytes.Repeat([]byte{0xf0}, 16) }}, "1", scep.ErrUnreadable},
		"envelope that is none":        {ask{envelope: func([]byte) []byte { return []byte("hello") }}, "1", scep.ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.a.challenge = w.challenge(scep.MailSigning).RevealString()
			got := w.send(c.a)
			if c.want == nil {
				if got.status != "0" {
					t.Errorf("got %v, want a certificate", got)
				}
				return
			}
			if !got.refused(c.failInfo, c.want) || w.certificates() != 0 {
				t.Errorf("got %v with %d issued, want %v", got, w.certificates(), c.want)
			}
			if again := w.send(ask{challenge: c.a.challenge, from: newClient(3), transaction: "T-3"}); again.status != "0" {
				t.Errorf("the refusal spoiled the challenge: %v", again)
			}
		})
	}
}

// By a clock from before the program was made nothing is issued, and the
// challenge stays good until it is set.
func TestClockBeforeTheProgram(t *testing.T) {
	w := newWorld(t)
	w.built = start.Add(time.Minute)
	w.restart()
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	for range 2 * scep.MaxAttempts {
		if got := w.send(a); !got.refused("2", scep.ErrOwnClock) || w.certificates() != 0 {
			t.Fatalf("got %v with %d issued, want ErrOwnClock", got, w.certificates())
		}
	}
	if !bytes.Contains(w.log.Bytes(), []byte("level=ERROR")) {
		t.Error("nobody is told")
	}
	w.sleep(time.Minute)
	if got := w.send(a); got.status != "0" {
		t.Errorf("with the clock set: got %v", got)
	}
}

// What is no message of ours gets no CertRep.
func TestMessagesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	good := w.message(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	without := func(oid asn1.ObjectIdentifier) ask {
		return ask{attributes: func(list []cms.Attribute) []cms.Attribute {
			var out []cms.Attribute
			for _, a := range list {
				if !a.Type.Equal(oid) {
					out = append(out, a)
				}
			}
			return out
		}}
	}
	twoSigners := bytes.Clone(good)
	for name, c := range map[string]struct {
		message []byte
		want    error
	}{
		"nothing":                 {nil, scep.ErrMessage},
		"garbage":                 {[]byte("garbage"), scep.ErrMessage},
		"1F 80":                   {[]byte{0x1f, 0x80}, scep.ErrMessage},
		"1F 05":                   {[]byte{0x1f, 0x05}, scep.ErrMessage},
		"30 81":                   {[]byte{0x30, 0x81}, scep.ErrMessage},
		"30 84 01":                {[]byte{0x30, 0x84, 0x01}, scep.ErrMessage},
		"cut off":                 {good[:len(good)-9], scep.ErrMessage},
		"broken signature":        {flip(-1)(good), scep.ErrMessage},
		"3 MiB":                   {make([]byte, 3<<20), scep.ErrTooLarge},
		"no message type":         {w.message(without(oidMessageType)), scep.ErrMessage},
		"no transaction":          {w.message(without(oidTransactionID)), scep.ErrMessage},
		"no nonce":                {w.message(without(oidSenderNonce)), scep.ErrMessage},
		"nonce of 65":             {w.message(ask{nonce: make([]byte, 65)}), scep.ErrMessage},
		"transaction of 256":      {w.message(ask{transaction: string(make([]byte, 256))}), scep.ErrMessage},
		"transaction with a line": {w.message(ask{transaction: "a\nb"}), scep.ErrMessage},
		"message type of 3":       {w.message(ask{kind: "190"}), scep.ErrMessage},
		"two signers":             {secondSigner(t, twoSigners), scep.ErrMessage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.deliver(ask{}, c.message); !errors.Is(got.err, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := w.send(ask{profile: "other"}); !errors.Is(got.err, scep.ErrProfileUnknown) {
		t.Errorf("got %v, want ErrProfileUnknown", got)
	}
	if w.certificates() != 0 {
		t.Error("something was issued")
	}
}

// flip changes one byte, counted from the end when negative.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		out := bytes.Clone(b)
		if at < 0 {
			at += len(out)
		}
		out[at] ^= 1
		return out
	}
}

// withSHA1 signs a request again as old clients do.
func withSHA1(key *rsa.PrivateKey) func([]byte) []byte {
	return func(der []byte) []byte {
		csr := made(x509.ParseCertificateRequest(der))
		digest := sha1.Sum(csr.RawTBSCertificateRequest)
		signature := made(rsa.SignPKCS1v15(nil, key, crypto.SHA1, digest[:]))
		return made(asn1.Marshal(struct {
			Body      asn1.RawValue
			Algorithm pkix.AlgorithmIdentifier
			Signature asn1.BitString
		}{asn1.RawValue{FullBytes: csr.RawTBSCertificateRequest},
			pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, Parameters: asn1.NullRawValue},
			asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}}))
	}
}

// csrWithKey makes an unsigned request for a public key.
func csrWithKey(t *testing.T, pub crypto.PublicKey) []byte {
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey(1)))(t)
	csr := must(x509.ParseCertificateRequest(der))(t)
	type body struct {
		Version int
		Subject asn1.RawValue
		Key     asn1.RawValue
	}
	spki := must(x509.MarshalPKIXPublicKey(pub))(t)
	return must(asn1.Marshal(struct {
		Body      body
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{body{0, asn1.RawValue{FullBytes: csr.RawSubject}, asn1.RawValue{FullBytes: spki}},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: make([]byte, 4096), BitLength: 32768}}))(t)
}

// signedData is the parts of a message that tests exchange.
type signedData struct {
	Version int
	Digests asn1.RawValue
	Content asn1.RawValue
	Certs   asn1.RawValue   `asn1:"optional,tag:0"`
	Signers []asn1.RawValue `asn1:"set"`
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

// secondSigner repeats the SignerInfo.
func secondSigner(t *testing.T, message []byte) []byte {
	var info contentInfo
	var data signedData
	if _, err := asn1.Unmarshal(message, &info); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(info.Content.Bytes, &data); err != nil {
		t.Fatal(err)
	}
	data.Signers = append(data.Signers, data.Signers[0])
	inner := must(asn1.Marshal(data))(t)
	return must(asn1.Marshal(contentInfo{info.Type, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: inner}}))(t)
}

// The parts that spliced moves.
func content(into, from *signedData)      { into.Content = from.Content }
func certificates(into, from *signedData) { into.Certs = from.Certs }

// spliced puts a part of one message into another, whose signature stays.
func spliced(t *testing.T, into, from []byte, part func(into, from *signedData)) []byte {
	var outer [2]contentInfo
	var inner [2]signedData
	for i, der := range [][]byte{into, from} {
		if _, err := asn1.Unmarshal(der, &outer[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(outer[i].Content.Bytes, &inner[i]); err != nil {
			t.Fatal(err)
		}
	}
	part(&inner[0], &inner[1])
	outer[0].Content = asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: must(asn1.Marshal(inner[0]))(t)}
	return must(asn1.Marshal(outer[0]))(t)
}

// remove ends the management of the world's device.
func (w *world) remove() {
	w.t.Helper()
	e := journal.Entry{At: w.clock(), Actor: worker, Action: journal.DeviceRemoved}
	if err := w.mdm().DeviceRemoved(w.t.Context(), w.device.ID, nil, e); err != nil {
		w.t.Fatal(err)
	}
}
