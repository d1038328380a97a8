package cert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

func TestHolder(t *testing.T) {
	want := cert.Holder{User: subject.NewUserID(), Device: subject.NewDeviceID()}
	name := pkix.Name{CommonName: string(want.Device)}
	uri := cert.HolderURI(want.User)
	got, err := cert.HolderOf(certificate(t, x509.Certificate{Subject: name, URIs: []*url.URL{uri}}))
	if got != want || err != nil {
		t.Errorf("what HolderURI wrote: got %v, %v; want %v", got, err, want)
	}
	for what, c := range map[string]x509.Certificate{
		"no user":         {Subject: name},
		"two users":       {Subject: name, URIs: []*url.URL{uri, cert.HolderURI(subject.NewUserID())}},
		"a web address":   {Subject: name, URIs: []*url.URL{{Scheme: "https", Host: "example.com"}}},
		"no UUID":         {Subject: name, URIs: []*url.URL{cert.HolderURI("alice")}},
		"a UUID in upper": {Subject: name, URIs: []*url.URL{cert.HolderURI("01A20FCB-B23A-7755-94E7-225285B671DD")}},
		"a name beside":   {Subject: name, URIs: []*url.URL{uri}, EmailAddresses: []string{"a@example.com"}},
		"a host beside":   {Subject: name, URIs: []*url.URL{uri}, DNSNames: []string{"example.com"}},
		"an IP beside":    {Subject: name, URIs: []*url.URL{uri}, IPAddresses: []net.IP{{127, 0, 0, 1}}},
		"no device":       {URIs: []*url.URL{uri}},
		"a device's name": {Subject: pkix.Name{CommonName: "iPhone"}, URIs: []*url.URL{uri}},
		"two devices": {Subject: pkix.Name{CommonName: string(want.Device), ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: []int{2, 5, 4, 3}, Value: string(want.Device)}, {Type: []int{2, 5, 4, 3}, Value: string(subject.NewDeviceID())}}},
			URIs: []*url.URL{uri}},
	} {
		if got, err := cert.HolderOf(certificate(t, c)); err == nil {
			t.Errorf("%s: got %v, want an error", what, got)
		}
	}
}
