package phone

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
)

// seal writes a CMS EnvelopedData for one RSA recipient, in BER with
// indefinite lengths as Apple does or in DER.
// Spec: RFC 5652 section 6
func seal(rand io.Reader, to *x509.Certificate, content []byte, alg oid, indefinite bool) ([]byte, error) {
	pub, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("recipient key is %T, not RSA", to.PublicKey)
	}
	c := cipherOf(alg)
	key := random(rand, c.key)
	block, err := c.block(key)
	if err != nil {
		return nil, err
	}
	iv := random(rand, block.BlockSize())
	wrapped, err := rsa.EncryptPKCS1v15(rand, pub, key)
	if err != nil {
		return nil, fmt.Errorf("encrypting to the recipient: %w", err)
	}
	text := pad(content, block.BlockSize())
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	wrap, body := tlv, tlv(0x80, text)
	if indefinite {
		wrap, body = open, open(0xa0, chunks(text))
	}
	recipient := tlv(0x30, marshal(0), issuerAndSerial(to), algorithm(oidRSA), tlv(0x04, wrapped))
	return wrap(0x30, marshal(oidEnvelopedData), wrap(0xa0, wrap(0x30,
		marshal(0),
		tlv(0x31, recipient),
		wrap(0x30, marshal(oidData), tlv(0x30, marshal(alg), tlv(0x04, iv)), body)))), nil
}

// contentCipher is a block cipher in CBC mode.
type contentCipher struct {
	id    oid
	key   int // bytes
	block func(key []byte) (cipher.Block, error)
}

var contentCiphers = []contentCipher{
	{oidAES128, 16, aes.NewCipher},
	{oidAES192, 24, aes.NewCipher},
	{oidAES256, 32, aes.NewCipher},
	{oid3DES, 24, des.NewTripleDESCipher},
}

func cipherOf(id oid) *contentCipher {
	for _, c := range contentCiphers {
		if c.id.Equal(id) {
			return &c
		}
	}
	return nil
}

// envelope is a CMS EnvelopedData that was read.
type envelope struct {
	recipients  []recipient
	contentType oid
	cipher      algorithmASN1
	text        []byte
}

type recipient struct {
	issuer  []byte
	serial  *big.Int
	keyID   []byte
	wrap    algorithmASN1
	wrapped []byte
}

type envelopeASN1 struct {
	Version    int
	Originator asn1.RawValue   `asn1:"optional,tag:0"`
	Recipients []asn1.RawValue `asn1:"set"`
	Content    struct {
		Type   oid
		Cipher algorithmASN1
		Text   asn1.RawValue `asn1:"optional,tag:0"`
	}
	Unprotected asn1.RawValue `asn1:"optional,tag:1"`
}

type keyTransASN1 struct {
	Version int
	ID      asn1.RawValue
	Wrap    algorithmASN1
	Key     []byte
}

// readEnvelope reads an EnvelopedData. Recipients of other kinds than key
// transport are skipped.
func readEnvelope(ber []byte) (*envelope, error) {
	b, err := cmsContent(ber, oidEnvelopedData)
	if err != nil {
		return nil, err
	}
	var raw envelopeASN1
	if err := unmarshal(b, &raw, ""); err != nil {
		return nil, fmt.Errorf("CMS EnvelopedData: %w", err)
	}
	e := &envelope{contentType: raw.Content.Type, cipher: raw.Content.Cipher}
	for _, v := range raw.Recipients {
		if v.Class != asn1.ClassUniversal {
			continue
		}
		var kt keyTransASN1
		if err := unmarshal(v.FullBytes, &kt, ""); err != nil {
			return nil, fmt.Errorf("CMS RecipientInfo: %w", err)
		}
		r := recipient{wrap: kt.Wrap, wrapped: kt.Key}
		if r.issuer, r.serial, r.keyID, err = readIdentifier(kt.ID); err != nil {
			return nil, fmt.Errorf("CMS RecipientInfo: %w", err)
		}
		e.recipients = append(e.recipients, r)
	}
	e.text, err = octets(raw.Content.Text)
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

// decryptCBC decrypts and removes the padding.
func decryptCBC(block cipher.Block, iv, text []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(text) == 0 || len(text)%size != 0 {
		return nil, errors.New("ciphertext or IV of a wrong length")
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	n := int(plain[len(plain)-1])
	if n == 0 || n > size || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errors.New("wrong padding after decryption")
	}
	return plain[:len(plain)-n], nil
}

// pad returns a copy of b, padded to whole blocks.
func pad(b []byte, size int) []byte {
	n := size - len(b)%size
	return append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
}
