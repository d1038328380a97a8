package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

func TestHolder(t *testing.T) {
	user, device := subject.NewUserID(), subject.NewDeviceID()
	uris := func(list ...string) []*url.URL {
		var out []*url.URL
		for _, s := range list {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u)
		}
		return out
	}
	cn := func(s string) pkix.Name { return pkix.Name{CommonName: s} }
	good := cert.HolderURI(user)
	upn := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: append([]byte{0x30, 56, 0xa0, 7, 6, 1, 0x2a, 0xa0, 2, 0x0c, 0, 0x86, 45}, good...)}
	for name, c := range map[string]struct {
		template x509.Certificate
		ok       bool
	}{
		"device and user":     {x509.Certificate{Subject: cn(string(device)), URIs: uris(good)}, true},
		"no user":             {x509.Certificate{Subject: cn(string(device))}, false},
		"no device":           {x509.Certificate{URIs: uris(good)}, false},
		"two users":           {x509.Certificate{Subject: cn(string(device)), URIs: uris(good, good)}, false},
		"a mail address too":  {x509.Certificate{Subject: cn(string(device)), URIs: uris(good), EmailAddresses: []string{"a@example.com"}}, false},
		"an unknown name too": {x509.Certificate{Subject: cn(string(device)), ExtraExtensions: []pkix.Extension{upn}}, false},
		"another URI":         {x509.Certificate{Subject: cn(string(device)), URIs: uris("https://example.com/" + string(user))}, false},
		"user is no id":       {x509.Certificate{Subject: cn(string(device)), URIs: uris("urn:uuid:alice")}, false},
		"device is no id":     {x509.Certificate{Subject: cn("iPhone"), URIs: uris(good)}, false},
		"more of a subject":   {x509.Certificate{Subject: pkix.Name{CommonName: string(device), Organization: []string{"x"}}, URIs: uris(good)}, false},
		"a CA":                {x509.Certificate{Subject: cn(string(device)), URIs: uris(good), IsCA: true, BasicConstraintsValid: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cert.HolderOf(selfSigned(t, c.template))
			if c.ok && (err != nil || got != cert.Holder{User: user, Device: device}) {
				t.Errorf("got %v, %v; want user and device", got, err)
			}
			if !c.ok && (!errors.Is(err, cert.ErrHolder) || got != cert.Holder{}) {
				t.Errorf("got %v, %v; want ErrHolder", got, err)
			}
		})
	}
}

func selfSigned(t *testing.T, template x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
