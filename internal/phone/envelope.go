package phone

import (
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// envelope is a CMS EnvelopedData that was read.
type envelope struct {
	recipients  []recipient
	others      []asn1.RawValue // recipients by other means than key transport
	contentType oid
	cipher      algorithmASN1
	text        []byte
	mac         []byte // of AuthEnvelopedData, else nil
	attributes  []byte // authenticated beside the text, nil when there are none
}

type recipient struct {
	issuer  []byte
	serial  *big.Int
	keyID   []byte
	wrap    algorithmASN1
	wrapped []byte

	point []byte // the sender's side of a key agreement
	ukm   []byte // and what he mixed in, nil when nothing
}

type envelopeASN1 struct {
	Version     int
	Originator  asn1.RawValue   `asn1:"optional,tag:0"`
	Recipients  []asn1.RawValue `asn1:"set"`
	Content     encryptedContentASN1
	Unprotected asn1.RawValue `asn1:"optional,tag:1"`
}

type encryptedContentASN1 struct {
	Type   oid
	Cipher algorithmASN1
	Text   asn1.RawValue `asn1:"optional,tag:0"`
}

type keyTransASN1 struct {
	Version int
	ID      asn1.RawValue
	Wrap    algorithmASN1
	Key     []byte
}

// readEnvelope reads an EnvelopedData.
func readEnvelope(ber []byte) (*envelope, error) {
	b, err := cmsContent(ber, oidEnvelopedData)
	if err != nil {
		return nil, err
	}
	return parseEnvelope(b)
}

func parseEnvelope(b []byte) (*envelope, error) {
	var raw envelopeASN1
	if err := unmarshal(b, &raw, ""); err != nil {
		return nil, fmt.Errorf("CMS EnvelopedData: %w", err)
	}
	return newEnvelope(raw.Recipients, raw.Content)
}

// newEnvelope takes over what both kinds of envelope have. Recipients of other
// kinds than key transport are put aside.
func newEnvelope(recipients []asn1.RawValue, content encryptedContentASN1) (*envelope, error) {
	e := &envelope{contentType: content.Type, cipher: content.Cipher}
	for _, v := range recipients {
		if v.Class != asn1.ClassUniversal {
			e.others = append(e.others, v)
			continue
		}
		var kt keyTransASN1
		if err := unmarshal(v.FullBytes, &kt, ""); err != nil {
			return nil, fmt.Errorf("CMS RecipientInfo: %w", err)
		}
		r := recipient{wrap: kt.Wrap, wrapped: kt.Key}
		var err error
		if r.issuer, r.serial, r.keyID, err = readIdentifier(kt.ID); err != nil {
			return nil, fmt.Errorf("CMS RecipientInfo: %w", err)
		}
		e.recipients = append(e.recipients, r)
	}
	var err error
	e.text, err = octets(content.Text)
	return e, err
}

// octets joins an implicitly tagged octet string, which stays in pieces when
// it came constructed.
func octets(v asn1.RawValue) ([]byte, error) {
	if !v.IsCompound {
		return v.Bytes, nil
	}
	var all []byte
	for rest := v.Bytes; len(rest) > 0; {
		var piece []byte
		var err error
		if rest, err = asn1.Unmarshal(rest, &piece); err != nil {
			return nil, fmt.Errorf("CMS encryptedContent: %w", err)
		}
		all = append(all, piece...)
	}
	return all, nil
}

var errNotForUs = errors.New("encrypted for someone else")

// recipient finds which of the identities the envelope was sealed to.
func (e *envelope) recipient(ids []Identity) (Identity, recipient, error) {
	for _, r := range e.recipients {
		for _, id := range ids {
			if names(id.Certificate, r.issuer, r.serial, r.keyID) {
				return id, r, nil
			}
		}
	}
	return Identity{}, recipient{}, errNotForUs
}

// open decrypts with the key of the recipient. Only RSA PKCS #1 v1.5, and CBC
// ciphers out of allowed, are opened, as by Apple's own CMS decoder.
func (e *envelope) open(key crypto.Signer, r recipient, allowed ...oid) ([]byte, error) {
	if !r.wrap.ID.Equal(oidRSA) {
		return nil, fmt.Errorf("key transport %v, want rsaEncryption", r.wrap.ID)
	}
	if !slices.ContainsFunc(allowed, e.cipher.ID.Equal) {
		return nil, fmt.Errorf("content encryption %v", e.cipher.ID)
	}
	priv, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("recipient key is %T, not RSA", key)
	}
	cek, err := rsa.DecryptPKCS1v15(nil, priv, r.wrapped)
	if err != nil {
		return nil, err
	}
	return e.decrypt(cek)
}

func (e *envelope) decrypt(cek []byte) ([]byte, error) {
	if !e.contentType.Equal(oidData) {
		return nil, fmt.Errorf("encrypted content type %v, want id-data", e.contentType)
	}
	if e.mac != nil {
		return e.decryptGCM(cek)
	}
	if e.cipher.ID.Equal(oidRC2) {
		return decryptRC2(cek, e.cipher.Params.FullBytes, e.text)
	}
	c := cipherOf(e.cipher.ID)
	if c == nil || len(cek) != c.key {
		return nil, fmt.Errorf("content encryption %v with a key of %d bytes", e.cipher.ID, len(cek))
	}
	var iv []byte
	if err := unmarshal(e.cipher.Params.FullBytes, &iv, ""); err != nil {
		return nil, fmt.Errorf("content encryption parameters: %w", err)
	}
	block, err := c.block(cek)
	if err != nil {
		return nil, err
	}
	return decryptCBC(block, iv, e.text)
}
