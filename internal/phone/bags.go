package phone

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

type bagASN1 struct {
	ID         oid
	Value      asn1.RawValue `asn1:"explicit,tag:0"`
	Attributes []struct {
		ID     oid
		Values asn1.RawValue `asn1:"set"`
	} `asn1:"set,optional"`
}

var (
	oidFriendlyName = oid{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID   = oid{1, 2, 840, 113549, 1, 9, 21}
	oidX509Bag      = oid{1, 2, 840, 113549, 1, 9, 22, 1}
	oidBags         = oid{1, 2, 840, 113549, 1, 12, 10, 1} // prefix of the bag types
)

const (
	bagKey = iota + 1
	bagShroudedKey
	bagCertificate
	bagCRL
	bagSecret
	bagSafe
)

// bag takes shrouded keys and certificates; it passes over the other known
// bags, plain keys among them, and an unknown one fails the file.
func (f *p12) bag(b bagASN1) error {
	if len(b.ID) != len(oidBags)+1 || !b.ID[:len(oidBags)].Equal(oidBags) {
		return decodeErr(fmt.Errorf("bag of type %v", b.ID))
	}
	switch b.ID[len(oidBags)] {
	case bagShroudedKey:
		return f.shrouded(b)
	case bagCertificate:
		return f.certificate(b)
	case bagKey, bagCRL, bagSecret, bagSafe:
		return nil
	}
	return decodeErr(fmt.Errorf("bag of type %v", b.ID))
}

func (f *p12) shrouded(b bagASN1) error {
	var enc struct {
		Algorithm algorithmASN1
		Text      []byte
	}
	if err := unmarshal(b.Value.Bytes, &enc, ""); err != nil {
		return decodeErr(err)
	}
	plain, err := decryptPBE(enc.Algorithm, enc.Text, f.pw, f.os)
	if err != nil {
		return authFailed("%v", err)
	}
	key, err := readPKCS8(plain)
	if err != nil {
		return decodeErr(err)
	}
	f.keys = append(f.keys, p12Key{key, b.name()})
	return nil
}

// readPKCS8 takes RSA keys and EC keys on the curves iOS has; any other key
// fails the file.
func readPKCS8(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return k, nil
		}
	}
	return nil, fmt.Errorf("a key of type %T that iOS does not know", key)
}

func (f *p12) certificate(b bagASN1) error {
	var bag struct {
		ID    oid
		Value asn1.RawValue `asn1:"explicit,tag:0"`
	}
	var raw []byte
	if err := unmarshal(b.Value.Bytes, &bag, ""); err != nil {
		return decodeErr(err)
	}
	if !bag.ID.Equal(oidX509Bag) {
		return nil
	}
	if err := unmarshal(bag.Value.Bytes, &raw, ""); err != nil {
		return decodeErr(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		return decodeErr(err)
	}
	f.loose = append(f.loose, c)
	if name := b.name(); name != "" {
		f.certs[name] = c
	}
	return nil
}

// name is what joins key and certificate: localKeyID, else friendlyName.
func (b bagASN1) name() string {
	for _, want := range []oid{oidLocalKeyID, oidFriendlyName} {
		for _, a := range b.Attributes {
			if a.ID.Equal(want) && len(a.Values.Bytes) > 0 {
				return want.String() + string(a.Values.Bytes)
			}
		}
	}
	return ""
}

// identities joins keys and certificates. A key without a name gives none.
func (f *p12) identities() ([]Identity, error) {
	var out []Identity
	for _, k := range f.keys {
		c := f.certs[k.name]
		if k.name == "" || c == nil {
			continue
		}
		if !samePublicKey(c, k.key) {
			return nil, decodeErr(errors.New("key and certificate do not match"))
		}
		out = append(out, Identity{Certificate: c, Key: k.key, Chain: issuers(c, f.loose), Kind: "pkcs12"})
	}
	return out, nil
}

func samePublicKey(c *x509.Certificate, key crypto.Signer) bool {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	return err == nil && bytes.Equal(spki, c.RawSubjectPublicKeyInfo)
}
