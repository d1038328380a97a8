package recovery

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// modernReaders is the version of iOS whose PKCS#12 today's programs read.
const modernReaders = 18

// Identity is a key in the clear with its certificates.
type Identity struct {
	Key   crypto.PrivateKey
	Leaf  *x509.Certificate
	Chain []*x509.Certificate
}

// Seal packs the keys and encrypts them to the recipient: an age file, or CMS
// EnvelopedData, DER, for a certificate. A zip has one random password for all.
func (r Request) Seal(keys []Identity) ([]byte, error) {
	to, c, err := r.recipient()
	if err != nil {
		return nil, err
	}
	plain := new(bytes.Buffer)
	plain.Grow(len(keys) * 16 << 10) // so that no copy is left behind
	defer func() { clear(plain.Bytes()[:cap(plain.Bytes())]) }()
	pack := packPEM
	if r.Format == PKCS12 {
		pack = packZip
	}
	if err := pack(plain, keys); err != nil {
		return nil, err
	}
	if c != nil {
		return cms.Encrypt(plain.Bytes(), c, cms.AES256CBC)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err == nil {
		_, err = w.Write(plain.Bytes())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypting to the recipient: %w", err)
	}
	return out.Bytes(), nil
}

func packPEM(out *bytes.Buffer, keys []Identity) error {
	for _, k := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(k.Key)
		if err != nil {
			return fmt.Errorf("encoding the key of %s: %w", cert.FingerprintOf(k.Leaf.Raw), err)
		}
		err = pem.Encode(out, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
		clear(der)
		if err != nil {
			return err
		}
		out.Write(cert.PEM(append([]*x509.Certificate{k.Leaf}, k.Chain...)...))
	}
	return nil
}

func packZip(out *bytes.Buffer, keys []Identity) error {
	password := seal.Random()
	defer password.Wipe()
	z := zip.NewWriter(out)
	add := func(name string, content []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	if err := add("password.txt", append(password.Reveal()[:len(password.Reveal()):len(password.Reveal())], '\n')); err != nil {
		return fmt.Errorf("packing the password: %w", err)
	}
	for _, k := range keys {
		f := cert.FingerprintOf(k.Leaf.Raw)
		p12, err := pfx.Write(k.Key, k.Leaf, k.Chain, password, modernReaders)
		if err == nil {
			err = add(hex.EncodeToString(f[:])+".p12", p12)
		}
		clear(p12)
		if err != nil {
			return fmt.Errorf("packing %s: %w", f, err)
		}
	}
	return z.Close()
}
