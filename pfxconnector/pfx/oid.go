package pfx

import (
	"crypto"
	_ "crypto/sha1" // what old files have; linked in for crypto.Hash
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers in dotted form.
const (
	oidData          = "1.2.840.113549.1.7.1"
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidEnvelopedData = "1.2.840.113549.1.7.3"
	oidEncryptedData = "1.2.840.113549.1.7.6"

	oidKeyBag      = "1.2.840.113549.1.12.10.1.1"
	oidShroudedBag = "1.2.840.113549.1.12.10.1.2"
	oidCertBag     = "1.2.840.113549.1.12.10.1.3"
	oidCRLBag      = "1.2.840.113549.1.12.10.1.4"
	oidSecretBag   = "1.2.840.113549.1.12.10.1.5"
	oidSafeBag     = "1.2.840.113549.1.12.10.1.6"

	oidX509Certificate = "1.2.840.113549.1.9.22.1"
	oidFriendlyName    = "1.2.840.113549.1.9.20"
	oidLocalKeyID      = "1.2.840.113549.1.9.21"

	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	oidPBMAC1 = "1.2.840.113549.1.5.14"

	oidPBE3DES    = "1.2.840.113549.1.12.1.3"
	oidPBE2Key    = "1.2.840.113549.1.12.1.4"
	oidPBERC2128  = "1.2.840.113549.1.12.1.5"
	oidPBERC240   = "1.2.840.113549.1.12.1.6"
	oidDESEDE3CBC = "1.2.840.113549.3.7"
	oidAES128CBC  = "2.16.840.1.101.3.4.1.2"
	oidAES192CBC  = "2.16.840.1.101.3.4.1.22"
	oidAES256CBC  = "2.16.840.1.101.3.4.1.42"

	oidRSA        = "1.2.840.113549.1.1.1"
	oidHMACSHA1   = "1.2.840.113549.2.7"
	oidHMACSHA256 = "1.2.840.113549.2.9"
	oidSHA1       = "1.3.14.3.2.26"
	oidSHA256     = "2.16.840.1.101.3.4.2.1"
)

var digests = map[string]crypto.Hash{
	oidSHA1:                  crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	oidSHA256:                crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
	"2.16.840.1.101.3.4.2.6": crypto.SHA512_256,
}

var hmacs = map[string]crypto.Hash{
	oidHMACSHA1:           crypto.SHA1,
	"1.2.840.113549.2.8":  crypto.SHA224,
	oidHMACSHA256:         crypto.SHA256,
	"1.2.840.113549.2.10": crypto.SHA384,
	"1.2.840.113549.2.11": crypto.SHA512,
	"1.2.840.113549.2.13": crypto.SHA512_256,
}

// refused names what old or unusual files have and we do not do.
var refused = map[string]string{
	"1.2.840.113549.1.12.1.1":   "RC4 with 128 bits",
	"1.2.840.113549.1.12.1.2":   "RC4 with 40 bits",
	"1.2.840.113549.1.5.3":      "MD5 with DES",
	"1.2.840.113549.1.5.6":      "MD5 with RC2",
	"1.2.840.113549.1.5.10":     "SHA-1 with DES",
	"1.2.840.113549.1.5.11":     "SHA-1 with RC2",
	"1.2.840.113549.2.5":        "MD5",
	"1.3.6.1.4.1.11591.4.11":    "scrypt",
	"2.16.840.1.101.3.4.2.8":    "SHA3-256",
	"1.2.156.10197.1.401":       "SM3",
	"1.2.392.200011.61.1.1.1.4": "Camellia-256",
}

// unsupported says which algorithm it was. The text is ours, or digits and
// dots.
func unsupported(oid string) error {
	name, known := refused[oid]
	switch {
	case known:
		name = " (" + name + ")"
	case len(oid) <= 64 && strings.Trim(oid, "0123456789.") == "" && oid != "":
		name = " (" + oid + ")"
	}
	return ErrAlgorithm.Saying("The file is protected by an algorithm that is not supported" + name + ".")
}

// algorithm is an AlgorithmIdentifier: params is one element, or nothing.
type algorithm struct {
	oid    string
	params cryptobyte.String
}

func readAlgorithm(s *cryptobyte.String) (a algorithm, ok bool) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !readOID(&seq, &a.oid) {
		return a, false
	}
	a.params = seq
	return a, true
}

// sequence opens the parameters when they are a SEQUENCE.
func (a algorithm) sequence() (seq cryptobyte.String, ok bool) {
	params := a.params
	ok = params.ReadASN1(&seq, cbasn1.SEQUENCE) && params.Empty()
	return seq, ok
}

func readOID(s *cryptobyte.String, oid *string) bool {
	var id asn1.ObjectIdentifier
	if !s.ReadASN1ObjectIdentifier(&id) {
		return false
	}
	*oid = id.String()
	return true
}
