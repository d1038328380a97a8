package cms

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Cipher is a content encryption that we write.
type Cipher int

// The ciphers. SCEP's "AES" capability means AES128CBC; profiles are sealed
// with AES256CBC. Both are read by every iOS version. TripleDESCBC is for
// other people's servers that read nothing else, and never for a device.
const (
	AES128CBC Cipher = iota
	AES256CBC
	TripleDESCBC
)

func (c Cipher) oid() string {
	return map[Cipher]string{AES128CBC: oidAES128CBC, AES256CBC: oidAES256CBC, TripleDESCBC: oid3DES}[c]
}

// Encrypt seals content to the RSA key of recipient as EnvelopedData in
// ContentInfo, DER, with rsaEncryption (PKCS#1 v1.5): what Apple's decoder
// opens on every version. It does not look at the recipient's key usage.
//
// Spec: RFC 5652 section 6; RFC 3565
func Encrypt(content []byte, recipient *x509.Certificate, c Cipher) ([]byte, error) {
	oid := c.oid()
	cipher, known := contentCiphers[oid]
	if !known {
		return nil, fmt.Errorf("cms: cipher %d: %w", c, ErrAlgorithm)
	}
	key := make([]byte, cipher.keyLen)
	rand.Read(key)
	defer clear(key)
	wrapped, err := wrapKey(key, recipient)
	if err != nil {
		return nil, err
	}
	iv, sealed, err := cipher.sealCBC(key, content)
	if err != nil {
		return nil, err
	}
	return contentInfo(oidEnvelopedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addRecipient(b, recipient, wrapped) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oidData)
			addAlgorithm(b, oid, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
			b.AddASN1(tagImplicit0, func(b *cryptobyte.Builder) { b.AddBytes(sealed) })
		})
	})
}

func wrapKey(key []byte, recipient *x509.Certificate) ([]byte, error) {
	pub, ok := recipient.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("cms: recipient has no RSA key: %w", ErrAlgorithm)
	}
	if pub.N.BitLen() > maxRSABits {
		return nil, fmt.Errorf("cms: recipient has an RSA key of %d bits: %w", pub.N.BitLen(), ErrAlgorithm)
	}
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, pub, key)
	if err != nil {
		return nil, fmt.Errorf("cms: encrypting to the recipient: %w", err)
	}
	return wrapped, nil
}

func (c contentCipher) sealCBC(key, content []byte) (iv, sealed []byte, err error) {
	block, err := c.block(key)
	if err != nil {
		return nil, nil, fmt.Errorf("cms: content cipher: %w", err)
	}
	iv = make([]byte, block.BlockSize())
	rand.Read(iv)
	pad := block.BlockSize() - len(content)%block.BlockSize()
	sealed = make([]byte, 0, len(content)+pad)
	sealed = append(append(sealed, content...), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	return iv, sealed, nil
}

// addRecipient writes a KeyTransRecipientInfo.
//
// Spec: RFC 5652 section 6.2.1
func addRecipient(b *cryptobyte.Builder, recipient *x509.Certificate, wrapped []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addIssuerAndSerial(b, recipient)
		addAlgorithm(b, oidRSA, addNull)
		b.AddASN1OctetString(wrapped)
	})
}

func addIssuerAndSerial(b *cryptobyte.Builder, c *x509.Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(c.RawIssuer)
		b.AddASN1BigInt(c.SerialNumber)
	})
}
