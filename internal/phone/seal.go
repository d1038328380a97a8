package phone

import (
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
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
