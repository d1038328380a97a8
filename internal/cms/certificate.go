package cms

import (
	"crypto/x509"

	"github.com/smallstep/pkcs7"
)

// Certificates reads the certificates of a SignedData, signed or not, in
// order: what GetCACert answers and what a signed profile carries. Those that
// cannot be parsed are left out.
func Certificates(ber []byte, maxBytes int) ([]*x509.Certificate, error) {
	contentType, c, err := openContentInfo(ber, maxBytes)
	if err != nil {
		return nil, err
	}
	c.take(tagInteger)
	c.take(tagSet)
	c.take(tagSequence)
	if c.bad || contentType != oidSignedData {
		return nil, ErrMalformed
	}
	if !c.at(tagExplicit0) {
		return nil, nil
	}
	return parseCertificates(c.next())
}

// parseCertificates leaves out what cannot be parsed: a strange certificate
// beside the signer's does not spoil the message.
func parseCertificates(set element) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	c := set.inside()
	for n := 0; !c.empty(); n++ {
		if n == maxCertificates {
			return nil, ErrTooLarge
		}
		e := c.next()
		if e.id != tagSequence || len(e.raw) > maxCertificate {
			continue
		}
		if cert := parseCertificate(e.raw); cert != nil {
			certs = append(certs, cert)
		}
	}
	if c.bad {
		return nil, ErrMalformed
	}
	return certs, nil
}

func parseCertificate(der []byte) *x509.Certificate {
	if cert, err := x509.ParseCertificate(der); err == nil {
		return cert
	}
	return parseLenient(der)
}

// The switch belongs to the library's process-wide state; it is set once, at
// start, and nobody else may import the library.
func init() { pkcs7.SetFallbackLegacyX509CertificateParserEnabled(true) }

// parseLenient reads what crypto/x509 refuses.
//
// Quirk: Windows marks the authority key identifier of its self-signed SCEP
// certificate critical; the library keeps an older parser for these.
func parseLenient(der []byte) *x509.Certificate {
	bag, err := CertsOnly(&x509.Certificate{Raw: der})
	if err != nil {
		return nil
	}
	p, err := pkcs7.Parse(bag)
	if err != nil || len(p.Certificates) != 1 {
		return nil
	}
	return p.Certificates[0]
}
