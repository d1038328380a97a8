package pfx_test

import (
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"

	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// The keys and certificates of which the corpus is made.
var (
	aliceKey, bobKey, ecKey           = pkcs8("alice.key"), pkcs8("bob.key"), pkcs8("P-256.key")
	aliceCert, bobCert, ecCert        = der("alice.crt"), der("bob.crt"), der("P-256.crt")
	renewedCert, caCert, rootCert     = der("renewed.crt"), der("sub.crt"), der("root.crt")
	alicePrivate                      = must(x509.ParsePKCS8PrivateKey(aliceKey))
	bobPrivate                        = must(x509.ParsePKCS8PrivateKey(bobKey))
	ecPrivate                         = must(x509.ParsePKCS8PrivateKey(ecKey))
	aliceLeaf, ecLeaf, authority, top = parse(aliceCert), parse(ecCert), parse(caCert), parse(rootCert)
)

func parse(der []byte) *x509.Certificate { return must(x509.ParseCertificate(der)) }

func der(name string) []byte {
	block, _ := pem.Decode(testdata.PFXKey(name))
	return block.Bytes
}

// pkcs8 gives a key of any PEM form as PKCS #8.
func pkcs8(name string) []byte {
	b := der(name)
	var key crypto.PrivateKey
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(b); err != nil {
		key = must(x509.ParsePKCS1PrivateKey(b))
	}
	return must(x509.MarshalPKCS8PrivateKey(key))
}

// Attributes of bags.

func attr(id string, values ...[]byte) []byte { return seq(oid(id), set(values...)) }

func friendly(name string) []byte {
	text := pfx.BMPString([]byte(name))
	return attr("1.2.840.113549.1.9.20", tlv(0x1e, text[:len(text)-2]))
}

func keyID(b []byte) []byte { return attr("1.2.840.113549.1.9.21", octets(b)) }

func thumb(der []byte) []byte { h := sha1.Sum(der); return h[:] }

// withAttributes puts a PKCS #8 key into version 0 with attributes, as Windows
// does.
func withAttributes(pkcs8 []byte, attrs ...[]byte) []byte {
	var outer struct {
		Version int
		Alg     pemRaw
		Key     pemRaw
	}
	unmarshal(pkcs8, &outer)
	return seq(integer(0), outer.Alg.FullBytes, outer.Key.FullBytes, context0(attrs...))
}
