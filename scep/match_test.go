package scep_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/scep"
)

// A profile may want that a request asks for the names that it will get.
func TestMatchNames(t *testing.T) {
	name := func(parts ...pkix.AttributeTypeAndValue) pkix.Name { return pkix.Name{ExtraNames: parts} }
	cn := func(v any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: v}
	}
	utf8 := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("Alice Example")}
	for what, c := range map[string]struct {
		asks x509.CertificateRequest
		says string // of the refusal; empty for none
	}{
		"the same":          {x509.CertificateRequest{Subject: name(cn("Alice Example")), EmailAddresses: []string{"alice@example.com"}}, ""},
		"in another form":   {x509.CertificateRequest{Subject: name(cn(utf8)), EmailAddresses: []string{"alice@EXAMPLE.com"}}, ""},
		"another name":      {x509.CertificateRequest{Subject: name(cn("Eve")), EmailAddresses: []string{"alice@example.com"}}, "CN differs"},
		"no subject":        {x509.CertificateRequest{EmailAddresses: []string{"alice@example.com"}}, "CN differs"},
		"more":              {x509.CertificateRequest{Subject: pkix.Name{CommonName: "Alice Example", Organization: []string{"Evil"}}, EmailAddresses: []string{"alice@example.com"}}, "O differs"},
		"another address":   {x509.CertificateRequest{Subject: name(cn("Alice Example")), EmailAddresses: []string{"eve@example.com"}}, "mail differs"},
		"one address more":  {x509.CertificateRequest{Subject: name(cn("Alice Example")), EmailAddresses: []string{"alice@example.com", "eve@example.com"}}, "mail differs"},
		"no address":        {x509.CertificateRequest{Subject: name(cn("Alice Example"))}, "mail differs"},
		"a host as well":    {x509.CertificateRequest{Subject: name(cn("Alice Example")), EmailAddresses: []string{"alice@example.com"}, DNSNames: []string{"x.example.com"}}, "dns differs"},
		"not a SubjectAlt…": {x509.CertificateRequest{Subject: name(cn("Alice Example")), ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{0x30, 3, 0x81, 1, 'x'}}}}, "cannot be read"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, func(c *scep.Config) { profiles(c)[1].MatchNames = true })
			a := ask{challenge: w.challenge(scep.MailSigning).RevealString(), template: c.asks}
			got := w.send(a)
			if c.says == "" {
				if got.cert == nil || w.send(a).cert == nil {
					t.Errorf("got %v\n%s", got, w.log)
				}
				return
			}
			if !got.refused("2", scep.ErrNamesDiffer) || !strings.Contains(w.log.String(), c.says) || w.certificates() != 0 {
				t.Errorf("got %v\n%s", got, w.log)
			}
			if log := w.log.String(); strings.Contains(log, "Eve") || strings.Contains(log, "eve@") || strings.Contains(log, "Evil") {
				t.Errorf("the log has what the client asked for: %s", log)
			}
		})
	}
}

// Where a person approves, what does not match is not shown to him.
func TestMatchBeforeApproval(t *testing.T) {
	w := approving(t, func(c *scep.Config) { profiles(c)[1].MatchNames = true })
	if got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()}); !got.refused("2", scep.ErrNamesDiffer) {
		t.Errorf("got %v", got)
	}
	list, err := w.s.Requests(t.Context(), scep.RequestQuery{Limit: 1})
	if err != nil || len(list) != 0 {
		t.Errorf("%d requests wait, %v", len(list), err)
	}
}
