package phone

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
)

// What Mail refuses, for the user to see.
var (
	ErrNoAccount  = errors.New("no account has this address")
	ErrNoSigning  = errors.New("the account does not sign: S/MIME signing is off or has no identity")
	ErrWrongOwner = errors.New("the signing certificate is not for this address")
	ErrCannotSign = errors.New("the signing certificate is expired or not made for signing mail")
	ErrNoKey      = errors.New("no identity on the phone opens this message")
	ErrNotSealed  = errors.New("the message is not encrypted with S/MIME")
)

const maxMail = 64 << 20

// ReadMail opens an encrypted message, given as an .eml, with any identity on
// the phone. It returns the MIME entity that was inside and the certificate
// whose key opened it; ErrNoKey, ErrNotSealed.
func (p *Phone) ReadMail(smime []byte) (plain []byte, used *x509.Certificate, err error) {
	return ReadMail(smime, p.Identities())
}

// ReadMail opens an encrypted message with one of the given identities, as any
// mail app would.
// Spec: RFC 8551 section 3.3
func ReadMail(smime []byte, ids []Identity) (plain []byte, used *x509.Certificate, err error) {
	raw, err := sealedPart(smime)
	if err != nil {
		return nil, nil, err
	}
	e, err := readEnvelope(raw)
	if err != nil {
		return nil, nil, err
	}
	id, r, err := e.recipient(ids)
	if err != nil {
		return nil, nil, ErrNoKey
	}
	plain, err = e.openMail(id.Key, r)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the message: %w", err)
	}
	return plain, id.Certificate, nil
}

// sealedPart takes the CMS out of a message.
func sealedPart(eml []byte) ([]byte, error) {
	if len(eml) > maxMail {
		return nil, fmt.Errorf("a message of %d bytes", len(eml))
	}
	m, err := mail.ReadMessage(bytes.NewReader(eml))
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil, fmt.Errorf("reading the content type: %w", err)
	}
	if kind != "application/pkcs7-mime" && kind != "application/x-pkcs7-mime" {
		return nil, ErrNotSealed
	}
	if t := params["smime-type"]; t != "" && t != "enveloped-data" {
		return nil, ErrNotSealed
	}
	if enc := m.Header.Get("Content-Transfer-Encoding"); !strings.EqualFold(enc, "base64") {
		return io.ReadAll(m.Body)
	}
	return io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
}

// openMail opens what mail programs write. Beyond what opens profiles that is
// RC2, which old mail has, and RSA-OAEP.
func (e *envelope) openMail(key crypto.Signer, r recipient) ([]byte, error) {
	if !r.wrap.ID.Equal(oidOAEP) {
		return e.open(key, r, oidAES128, oidAES192, oidAES256, oid3DES, oidRC2)
	}
	priv, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("recipient key is %T, not RSA", key)
	}
	opts, err := oaepOptions(r.wrap.Params.FullBytes)
	if err != nil {
		return nil, err
	}
	cek, err := priv.Decrypt(nil, r.wrapped, opts)
	if err != nil {
		return nil, err
	}
	return e.decrypt(cek)
}

// oaepOptions reads RSAES-OAEP-params; everything defaults to SHA-1.
// Spec: RFC 4055 section 4.1
func oaepOptions(params []byte) (*rsa.OAEPOptions, error) {
	var p struct {
		Hash algorithmASN1 `asn1:"optional,explicit,tag:0"`
		MGF  algorithmASN1 `asn1:"optional,explicit,tag:1"`
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if len(params) == 0 {
		return o, nil
	}
	err := unmarshal(params, &p, "")
	if err == nil && p.Hash.ID != nil {
		o.Hash, err = digestOf(p.Hash.ID)
	}
	if err == nil && p.MGF.ID != nil {
		var h algorithmASN1
		if err = unmarshal(p.MGF.Params.FullBytes, &h, ""); err == nil {
			o.MGFHash, err = digestOf(h.ID)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("OAEP parameters: %w", err)
	}
	return o, nil
}
