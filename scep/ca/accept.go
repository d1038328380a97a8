package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// offered is a chain that somebody else signed for a key of ours.
type offered struct {
	chain []*x509.Certificate // ours, those above, the root
	form  form
	key   crypto.PublicKey
	names Names
	now   time.Time
}

// acceptance is held against certificates of ours that others sign.
//
// Spec: RFC 5280 section 4.2.1; CA/Browser Forum S/MIME BR 7.1.2.2
var acceptance = []struct {
	name string
	why  string
	kept func(o offered) bool
}{
	{"signature", "A signature is not RSA (PKCS #1) or ECDSA with SHA-256, SHA-384 or SHA-512.", offered.goodSignatures},
	{"chain", "A certificate is signed by none of the others, or the self-signed root is not there.", func(o offered) bool { return checkChain(o.chain) == nil }},
	{"key", "The certificate is for another key than the request.", func(o offered) bool { return cert.SameKey(o.chain[0].PublicKey, o.key) }},
	{"parent-key", "The key of a CA above is too weak.", offered.strongParents},
	{"own-key", "A CA above has the same key.", func(o offered) bool {
		return !slices.ContainsFunc(o.chain[1:], func(c *x509.Certificate) bool { return cert.SameKey(c.PublicKey, o.key) })
	}},
	{"subject", "The certificate names somebody else than the request.", offered.sameSubject},
	{"basic-constraints", "The certificate is not that of a CA with path length 0, or the constraint is not critical.", offered.goodConstraints},
	{"key-usage", "The key usage is not keyCertSign and cRLSign.", func(o offered) bool { return o.chain[0].KeyUsage == o.form.usage }},
	{"extended-key-usage", "The extended key usage is not the one that was requested.", offered.goodExtended},
	{"name-constraints", "The mail domains are not those that were requested.", func(o offered) bool {
		return len(o.names.Permitted) == 0 || slices.Equal(sorted(o.chain[0].PermittedEmailAddresses), sorted(o.names.Permitted))
	}},
	{"key-id", "The certificate has no subject key identifier.", func(o offered) bool { return len(o.chain[0].SubjectKeyId) > 0 }},
	{"parents", "A certificate above is not that of a CA.", offered.goodParents},
	{"validity", "A certificate of the chain is not valid now.", func(o offered) bool {
		return !slices.ContainsFunc(o.chain, func(c *x509.Certificate) bool { return o.now.Before(c.NotBefore) || o.now.After(c.NotAfter) })
	}},
	{"path", "The CAs above do not allow this one.", offered.verifies},
}

// Accept judges the certificate of one of our CAs that an authority elsewhere
// signed for the request of [NewCSR]: its chain goes up to the self-signed root.
// The first rule that it breaks comes back as a [*BrokenRule].
func Accept(kind Kind, key crypto.PublicKey, names Names, chain []*x509.Certificate, now time.Time) error {
	o := offered{chain, forms[kind], key, names, now}
	if len(chain) < 2 {
		return &BrokenRule{"chain", "The certificates above, up to the self-signed root, are not there."}
	}
	for _, r := range acceptance {
		if !r.kept(o) {
			return &BrokenRule{r.name, r.why}
		}
	}
	return nil
}

func (o offered) goodSignatures() bool {
	good := []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}
	return !slices.ContainsFunc(o.chain, func(c *x509.Certificate) bool { return !slices.Contains(good, c.SignatureAlgorithm) })
}

func (o offered) strongParents() bool {
	for _, c := range o.chain[1:] {
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < minRSABits {
				return false
			}
		case *ecdsa.PublicKey:
			if key.Curve.Params().BitSize < 256 {
				return false
			}
		}
	}
	return true
}

// sameSubject compares by structure: another authority may encode a name anew.
func (o offered) sameSubject() bool {
	got, err := cert.DNOf(o.chain[0].RawSubject)
	if err != nil {
		return false
	}
	_, differs := cert.SubjectDiffers(got, o.names.DN())
	return !differs
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func (o offered) goodConstraints() bool {
	c := o.chain[0]
	return c.BasicConstraintsValid && c.IsCA && c.MaxPathLenZero && draft{c: c}.critical(oidBasicConstraints)
}

// goodExtended wants what separates the CAs from each other, and no more.
func (o offered) goodExtended() bool {
	c := o.chain[0]
	return slices.Equal(c.ExtKeyUsage, o.form.extended) && len(c.UnknownExtKeyUsage) == 0
}

func (o offered) goodParents() bool {
	for _, c := range o.chain[1:] {
		if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || len(c.SubjectKeyId) == 0 {
			return false
		}
	}
	return true
}

// verifies has the standard library build the path, with its path lengths, name
// constraints and nested usages.
func (o offered) verifies() bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(o.chain[len(o.chain)-1])
	for _, c := range o.chain[1 : len(o.chain)-1] {
		between.AddCert(c)
	}
	usages := o.form.extended
	if len(usages) == 0 {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	_, err := o.chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: o.now, KeyUsages: usages})
	return err == nil
}
