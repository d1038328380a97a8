package phone

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// csr writes the certificate request as Apple's encoder does.
// Spec: RFC 2986; Apple SecCertificateRequest.c
func csr(rand io.Reader, key *rsa.PrivateKey, hash crypto.Hash, r SCEPRequest) ([]byte, error) {
	subject, err := r.subject()
	if err != nil {
		return nil, err
	}
	attributes, err := r.attributes()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	info := tlv(0x30, marshal(0), subject, spki, tlv(0xa0, attributes...))
	sig, err := key.Sign(rand, sum(hash, info), hash)
	if err != nil {
		return nil, err
	}
	return tlv(0x30, info, algorithm(ofHash(hash).rsa), bitString(sig, 0)), nil
}

func bitString(b []byte, unused byte) []byte { return tlv(0x03, []byte{unused}, b) }

// subject writes the name: an array of RDNs, each an array of pairs. Two
// levels instead of three fail, as on iOS.
func (r SCEPRequest) subject() ([]byte, error) {
	if len(r.Subject) == 0 {
		return tlv(0x30, tlv(0x31, rdnPair(oid{2, 5, 4, 3}, r.fallbackName))), nil
	}
	var rdns [][]byte
	for _, rdn := range r.Subject {
		var pairs [][]byte
		for _, pair := range rdn {
			if len(pair) != 2 {
				return nil, fmt.Errorf("a subject pair of %d strings", len(pair))
			}
			id, err := attributeType(pair[0])
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, rdnPair(id, pair[1]))
		}
		rdns = append(rdns, tlv(0x31, pairs...))
	}
	return tlv(0x30, rdns...), nil
}

var shortcuts = map[string]oid{
	"C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "O": {2, 5, 4, 10},
	"OU": {2, 5, 4, 11}, "CN": {2, 5, 4, 3}, "EMAIL": oidEmail,
}

func attributeType(s string) (oid, error) {
	if id, ok := shortcuts[s]; ok {
		return id, nil
	}
	var id oid
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("subject type %q is neither a shortcut nor an object identifier", s)
		}
		id = append(id, n)
	}
	if _, err := asn1.Marshal(id); err != nil {
		return nil, fmt.Errorf("subject type %q: %w", s, err)
	}
	return id, nil
}

func rdnPair(id oid, value string) []byte {
	v := directoryString(value)
	if id.Equal(oidEmail) {
		v = tlv(0x16, []byte(value))
	}
	return tlv(0x30, marshal(id), v)
}

// directoryString is a PrintableString where every character allows it, else
// a UTF8String.
func directoryString(s string) []byte {
	const printable = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?"
	if strings.Trim(s, printable) == "" {
		return tlv(0x13, []byte(s))
	}
	return tlv(0x0c, []byte(s))
}

// attributes gives challengePassword and the requested extensions.
func (r SCEPRequest) attributes() ([][]byte, error) {
	var out [][]byte
	if r.Challenge != "" {
		out = append(out, attribute{oidChallenge, directoryString(r.Challenge)}.der())
	}
	var exts []byte
	san, err := r.subjectAltName()
	if err != nil {
		return nil, err
	}
	if san != nil {
		exts = append(exts, tlv(0x30, marshal(oidSAN), tlv(0x04, tlv(0x30, san...)))...)
	}
	if ku := r.keyUsage(); ku != nil {
		exts = append(exts, tlv(0x30, marshal(oidKU), marshal(true), tlv(0x04, ku))...)
	}
	if exts != nil {
		out = append(out, attribute{oidExtReq, tlv(0x30, exts)}.der())
	}
	return out, nil
}

// keyUsage asks for digitalSignature (1), keyEncipherment (4) or both; without
// either iOS asks for none.
func (r SCEPRequest) keyUsage() []byte {
	switch r.KeyUsage & 5 {
	case 1:
		return bitString([]byte{0x80}, 7)
	case 4:
		return bitString([]byte{0x20}, 5)
	case 5:
		return bitString([]byte{0xa0}, 5)
	}
	return nil
}

// subjectAltName writes the general names. Apple's encoder makes room for ten
// and takes ASCII only.
func (r SCEPRequest) subjectAltName() ([][]byte, error) {
	var out [][]byte
	for _, kind := range []struct {
		tag    byte
		values []string
	}{{0x81, r.SAN.Emails}, {0x82, r.SAN.DNSNames}, {0x86, r.SAN.URIs}} {
		for _, v := range kind.values {
			if !ascii(v) {
				return nil, fmt.Errorf("a subject alternative name is not ASCII")
			}
			out = append(out, tlv(kind.tag, []byte(v)))
		}
	}
	if r.SAN.UPN != "" {
		out = append(out, tlv(0xa0, marshal(oidUPN), tlv(0xa0, tlv(0x0c, []byte(r.SAN.UPN)))))
	}
	if len(out) > 10 {
		return nil, fmt.Errorf("%d subject alternative names, at most 10 work", len(out))
	}
	return out, nil
}

func ascii(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(b byte) bool { return b >= 0x80 })
}
