package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
)

var (
	oidMessageType   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidSenderNonce   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidTransactionID = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

func TestSignIsVerifiedByOthers(t *testing.T) {
	judge.Need(t, "openssl")
	for name, id := range map[string]identity{"RSA": rsaOne(), "EC": ecOne()} {
		t.Run(name, func(t *testing.T) {
			cert, _ := id.files(t)
			content := []byte("<plist/>\n")
			signed := sign(t, content, id.signer(), cms.Attribute{Type: oidMessageType, Value: "3"})
			got := judge.Run(t, signed, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-CAfile", cert, "-purpose", "any")
			if !bytes.Equal(got, content) {
				t.Errorf("openssl verified %q, want %q", got, content)
			}
			parsed, err := pkcs7.Parse(signed)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(); err != nil {
				t.Errorf("pkcs7: %v", err)
			}
		})
	}
}

func TestSignStructure(t *testing.T) {
	judge.Need(t, "openssl")
	signed := sign(t, []byte("x"), rsaOne().signer(), cms.Attribute{Type: oidMessageType, Value: "3"})
	got := string(judge.Run(t, signed, "openssl", "cms", "-cmsout", "-print", "-inform", "DER"))
	for _, want := range []string{
		"contentType: pkcs7-signedData", "digestAlgorithm: algorithm: sha256 ", "signatureAlgorithm: algorithm: rsaEncryption (1.2.840.113549.1.1.1) parameter: NULL",
		"object: contentType", "object: messageDigest", "object: signingTime", "PRINTABLESTRING:3",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestSignDetached(t *testing.T) {
	judge.Need(t, "openssl")
	id := rsaOne()
	cert, _ := id.files(t)
	content := []byte("body\r\n")
	sig, err := cms.SignDetached(content, id.signer())
	if err != nil {
		t.Fatal(err)
	}
	judge.Run(t, sig, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-content", file(t, "body", content), "-CAfile", cert, "-purpose", "any")
	judge.Refuses(t, sig, "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-content", file(t, "body", []byte("other")), "-CAfile", cert, "-purpose", "any")
	if _, err := verifyDetached(sig, content, cms.Accept{}); err != nil {
		t.Error(err)
	}
}

func TestSignRoundTrip(t *testing.T) {
	id, extra := rsaOne(), ecOne()
	s := id.signer()
	s.Include = []*x509.Certificate{extra.cert}
	s.Time = time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)
	nonce := bytes.Repeat([]byte{7}, 16)
	signed := sign(t, []byte("content"), s,
		cms.Attribute{Type: oidTransactionID, Value: "ABC"},
		cms.Attribute{Type: oidSenderNonce, Value: nonce},
		cms.Attribute{Type: oidMessageType, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("19")}})
	got, err := cms.Verify(signed, cms.Accept{})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Content) != "content" || !got.Signer.Equal(id.cert) || got.Digest != crypto.SHA256 {
		t.Errorf("got %q by %v with %v", got.Content, got.Signer.Subject, got.Digest)
	}
	if len(got.Certificates) != 2 || !got.Certificates[1].Equal(extra.cert) {
		t.Errorf("got %d certificates, want the signer's and the extra one", len(got.Certificates))
	}
	var (
		id7, typ string
		n        []byte
		at       time.Time
		none     string
	)
	for oid, v := range map[string]any{"7": &id7, "5": &n, "2": &typ} {
		arc := asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, int(oid[0] - '0')}
		if err := got.Attribute(arc, v); err != nil {
			t.Error(err)
		}
	}
	if err := got.Attribute(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, &at); err != nil || !at.Equal(s.Time) {
		t.Errorf("signingTime %v, %v, want %v", at, err, s.Time)
	}
	if id7 != "ABC" || typ != "19" || !bytes.Equal(n, nonce) {
		t.Errorf("got attributes %q %q %x", id7, typ, n)
	}
	if err := got.Attribute(asn1.ObjectIdentifier{1, 2, 3}, &none); err == nil {
		t.Error("an absent attribute was found")
	}
	if err := got.Attribute(oidSenderNonce, &none); err == nil {
		t.Error("an OCTET STRING was read as text")
	}
}

func TestSignWithoutContent(t *testing.T) {
	for name, content := range map[string][]byte{"absent": nil, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			got, err := cms.Verify(sign(t, content, rsaOne().signer()), cms.Accept{})
			if err != nil {
				t.Fatal(err)
			}
			if (got.Content == nil) != (content == nil) {
				t.Errorf("content %v, want %v", got.Content, content)
			}
		})
	}
}

func TestSignRefusesAStrangersKey(t *testing.T) {
	s := rsaOne().signer()
	s.Key = rsaTwo().key
	if _, err := cms.Sign(nil, s); err == nil {
		t.Error("signed with a key that is not the certificate's")
	}
}

func TestCertsOnlyKeepsOrder(t *testing.T) {
	judge.Need(t, "openssl")
	a, b, c := rsaOne().cert, ecOne().cert, rsaTwo().cert
	for _, want := range [][]*x509.Certificate{{a}, {a, b, c}, {c, b, a}} {
		bag, err := cms.CertsOnly(want...)
		if err != nil {
			t.Fatal(err)
		}
		out := judge.Run(t, bag, "openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout")
		if got := strings.Count(string(out), "subject="); got != len(want) {
			t.Errorf("openssl sees %d certificates, want %d", got, len(want))
		}
		got, err := cms.Certificates(bag, 0)
		if err != nil || len(got) != len(want) {
			t.Fatalf("got %d certificates, %v, want %d", len(got), err, len(want))
		}
		for i := range want {
			if !got[i].Equal(want[i]) {
				t.Errorf("certificate %d is %v, want %v", i, got[i].Subject, want[i].Subject)
			}
		}
	}
}

func sign(t testing.TB, content []byte, s cms.Signer, attrs ...cms.Attribute) []byte {
	t.Helper()
	signed, err := cms.Sign(content, s, attrs...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// containsOne takes alternatives separated by |.
func containsOne(text, alternatives string) bool {
	for _, a := range strings.Split(alternatives, "|") {
		if strings.Contains(text, a) {
			return true
		}
	}
	return false
}
