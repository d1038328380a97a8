package phone

import (
	"crypto"
	"strings"
)

// caps is what a SCEP server says it can do.
type caps struct {
	aes, post bool
	hash      crypto.Hash
}

// readCaps reads a GetCACaps answer as Apple does: ASCII, split at "\n" only,
// words compared exactly. So "AES\r" is no AES. SCEPStandard and Renewal are
// not looked at.
// Spec: RFC 8894 section 3.5.2
func readCaps(body []byte) (caps, error) {
	var c caps
	for _, b := range body {
		if b >= 0x80 {
			return c, scepErr(22006, nil, "The SCEP server's capabilities are not ASCII.")
		}
	}
	for word := range strings.SplitSeq(string(body), "\n") {
		switch word {
		case "AES":
			c.aes = true
		case "POSTPKIOperation":
			c.post = true
		case "SHA-1":
			c.hash = max(c.hash, crypto.SHA1)
		case "SHA-256":
			c.hash = max(c.hash, crypto.SHA256)
		case "SHA-512":
			c.hash = max(c.hash, crypto.SHA512)
		}
	}
	if c.hash == 0 {
		return c, scepErr(22006, nil, "The SCEP server does not have the required capability.")
	}
	return c, nil
}

func (c caps) cipher() oid {
	if c.aes {
		return oidAES128
	}
	return oid3DES
}
