package phone

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

type oid = asn1.ObjectIdentifier

var (
	oidData          = oid{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = oid{1, 2, 840, 113549, 1, 7, 2}
	oidEnvelopedData = oid{1, 2, 840, 113549, 1, 7, 3}
	oidEncryptedData = oid{1, 2, 840, 113549, 1, 7, 6}

	oidAuthEnvelopedData = oid{1, 2, 840, 113549, 1, 9, 16, 1, 23}

	oidContentType   = oid{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = oid{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = oid{1, 2, 840, 113549, 1, 9, 5}

	oidRSA       = oid{1, 2, 840, 113549, 1, 1, 1}
	oidOAEP      = oid{1, 2, 840, 113549, 1, 1, 7}
	oidAES128    = oid{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192    = oid{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256    = oid{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oid3DES      = oid{1, 2, 840, 113549, 3, 7}
	oidRC2       = oid{1, 2, 840, 113549, 3, 2}
	oidEmail     = oid{1, 2, 840, 113549, 1, 9, 1}
	oidSAN       = oid{2, 5, 29, 17}
	oidKU        = oid{2, 5, 29, 15}
	oidUPN       = oid{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidExtReq    = oid{1, 2, 840, 113549, 1, 9, 14}
	oidChallenge = oid{1, 2, 840, 113549, 1, 9, 7}
)

// digest is a digest algorithm and the signature algorithms that include it.
type digest struct {
	hash       crypto.Hash
	id         oid
	rsa, ecdsa oid
}

// digests are those a phone knows.
var digests = []digest{
	{crypto.SHA1, oid{1, 3, 14, 3, 2, 26}, oid{1, 2, 840, 113549, 1, 1, 5}, oid{1, 2, 840, 10045, 4, 1}},
	{crypto.SHA224, oid{2, 16, 840, 1, 101, 3, 4, 2, 4}, oid{1, 2, 840, 113549, 1, 1, 14}, oid{1, 2, 840, 10045, 4, 3, 1}},
	{crypto.SHA256, oid{2, 16, 840, 1, 101, 3, 4, 2, 1}, oid{1, 2, 840, 113549, 1, 1, 11}, oid{1, 2, 840, 10045, 4, 3, 2}},
	{crypto.SHA384, oid{2, 16, 840, 1, 101, 3, 4, 2, 2}, oid{1, 2, 840, 113549, 1, 1, 12}, oid{1, 2, 840, 10045, 4, 3, 3}},
	{crypto.SHA512, oid{2, 16, 840, 1, 101, 3, 4, 2, 3}, oid{1, 2, 840, 113549, 1, 1, 13}, oid{1, 2, 840, 10045, 4, 3, 4}},
}

func digestOf(id oid) (crypto.Hash, error) {
	for _, d := range digests {
		if d.id.Equal(id) {
			return d.hash, nil
		}
	}
	return 0, fmt.Errorf("unknown digest algorithm %v", id)
}

func ofHash(h crypto.Hash) digest {
	for _, d := range digests {
		if d.hash == h {
			return d
		}
	}
	panic(fmt.Sprintf("no identifiers for %v", h))
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// marshal writes DER of what this package put together itself.
func marshal(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// algorithm writes an AlgorithmIdentifier with NULL parameters.
func algorithm(id oid) []byte {
	return marshal(pkix.AlgorithmIdentifier{Algorithm: id, Parameters: asn1.NullRawValue})
}
