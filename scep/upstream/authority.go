package upstream

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/cms"
)

// caps is what the server says it can do.
//
// Spec: RFC 8894 section 3.5.2
type caps struct{ aes, sha2, post bool }

func (c *Client) caps(ctx context.Context) (caps, error) {
	_, body, err := c.get(ctx, "GetCACaps", "")
	if err != nil {
		return caps{}, err
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(strings.Fields(string(body)), func(said string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, said) })
		})
	}
	can := caps{aes: has("AES", "SCEPStandard"), sha2: has("SHA-256", "SHA-512", "SCEPStandard"), post: has("POSTPKIOperation", "SCEPStandard")}
	if !can.sha2 || !can.aes && !c.Legacy {
		return can, ErrAlgorithms
	}
	return can, nil
}

// cipher is what requests are encrypted with.
//
// Quirk: NDES lists DES3 and no AES.
func (can caps) cipher() cms.Cipher {
	if can.aes {
		return cms.AES128CBC
	}
	return cms.TripleDESCBC
}

// recipient asks to whom requests are encrypted: an RA that the CA made, or
// the CA itself.
//
// Spec: RFC 8894 section 4.2
func (c *Client) recipient(ctx context.Context) (*x509.Certificate, error) {
	contentType, body, err := c.get(ctx, "GetCACert", "")
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	if contentType == "application/x-x509-ca-cert" {
		one, err := x509.ParseCertificate(body)
		if err != nil {
			return nil, ErrAnswer.With(err)
		}
		list = append(list, one)
	} else if list, err = cms.Certificates(body, maxBody); err != nil {
		return nil, ErrAnswer.With(err)
	}
	return c.choose(list)
}

// choose prefers an RA to the CA. What does not lead to the CA is nobody.
//
// Quirk: NDES has one RA to sign and one to decrypt.
func (c *Client) choose(list []*x509.Certificate) (*x509.Certificate, error) {
	var own *x509.Certificate
	for _, x := range list {
		_, isRSA := x.PublicKey.(*rsa.PublicKey)
		switch {
		case !isRSA:
		case bytes.Equal(x.Raw, c.CA[0].Raw):
			own = x
		case !x.IsCA && c.vouches(x) && can(x, x509.KeyUsageKeyEncipherment) && serves(x):
			return x, nil
		}
	}
	if own == nil {
		return nil, ErrUntrusted
	}
	return own, nil
}

// can tells whether c may be used so; without the extension, for anything.
func can(c *x509.Certificate, usage x509.KeyUsage) bool {
	return c.KeyUsage == 0 || c.KeyUsage&usage != 0
}

// agents are the extended usages of an RA: Microsoft's certificate request
// agent, and id-kp-cmcRA.
var agents = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 28}}

// serves tells whether x may be the certificate of an RA. One that is for
// something else, such as mail or a web server, is that of anybody for whom the
// CA made one: whoever sits on the way would be told challenges by it.
func serves(x *x509.Certificate) bool {
	return len(x.ExtKeyUsage)+len(x.UnknownExtKeyUsage) == 0 || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny) ||
		slices.ContainsFunc(x.UnknownExtKeyUsage, func(u asn1.ObjectIdentifier) bool { return slices.ContainsFunc(agents, u.Equal) })
}

// vouches tells whether x is the CA itself, or a valid certificate that it or
// one above it signed.
func (c *Client) vouches(x *x509.Certificate) bool {
	if bytes.Equal(x.Raw, c.CA[0].Raw) {
		return true
	}
	now := c.Now()
	return !now.Before(x.NotBefore) && !now.After(x.NotAfter) && slices.ContainsFunc(c.CA, func(above *x509.Certificate) bool {
		return bytes.Equal(x.RawIssuer, above.RawSubject) && x.CheckSignatureFrom(above) == nil
	})
}
