package phone

import (
	"crypto"
	"crypto/hmac"
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// What tests open of the inside.
var (
	DER        = der
	CheckPlist = checkPlist
	ReadPlist  = readPlist
	ReadCaps   = func(b []byte) (aes, post bool, hash crypto.Hash, err error) {
		c, err := readCaps(b)
		return c.aes, c.post, c.hash, err
	}
	NewRC2     = newRC2
	ReadSigned = func(b []byte) error { _, err := readSigned(b); return err }
	Acceptable = acceptable
	ReadSealed = func(b []byte) error { _, err := readSealed(b); return err }
	TLV        = tlv
)

// OpenProfile reads a profile for a phone without identities and gives the
// number of its payloads.
func OpenProfile(b []byte) (int, error) {
	doc, err := openProfile(b, nil, x509.NewCertPool(), time.Now())
	if err != nil {
		return 0, err
	}
	return len(doc.payloads), nil
}

// EditPKCS12 changes the authenticated part of a file with a SHA-1 MAC and
// computes the MAC again.
func EditPKCS12(raw []byte, password string, edit func(safe []byte) []byte) []byte {
	var pfx pfxASN1
	var content []byte
	var m macASN1
	for _, err := range []error{
		unmarshal(raw, &pfx, ""),
		unmarshal(pfx.Safe.Content.Bytes, &content, ""),
		unmarshal(pfx.MAC.FullBytes, &m, ""),
	} {
		if err != nil {
			panic(err)
		}
	}
	content = edit(content)
	n, _ := iterations(m.Iterations)
	mac := hmac.New(crypto.SHA1.New, newPassword(password).derive(crypto.SHA1, 3, m.Salt, n, 20))
	mac.Write(content)
	digest := tlv(0x30, algorithm(m.Digest.Algorithm.ID), tlv(0x04, mac.Sum(nil)))
	return tlv(0x30, marshal(3),
		tlv(0x30, marshal(oidData), tlv(0xa0, tlv(0x04, content))),
		tlv(0x30, digest, tlv(0x04, m.Salt), marshal(n)))
}

// Safe gives the authenticated part of a file.
func Safe(raw []byte) []byte {
	var out []byte
	EditPKCS12(raw, "", func(b []byte) []byte { out = b; return b })
	return out
}

// Sequence joins values into one SEQUENCE.
func Sequence(parts ...[]byte) []byte { return tlv(0x30, parts...) }

// Members gives the content of a SEQUENCE.
func Members(b []byte) []byte {
	var v asn1.RawValue
	if err := unmarshal(b, &v, ""); err != nil {
		panic(err)
	}
	return v.Bytes
}
