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
// mail app would: EnvelopedData and AuthEnvelopedData, sealed to RSA keys or to
// EC keys. Here the phone is no judge, it opens more than a real one may.
//
// What Mail on iOS opens is known in part. Apple's published decoder has RSA
// with PKCS #1 v1.5 and CBC ciphers; no OAEP, no GCM. It has ephemeral-static
// ECDH with the SHA-1 KDF only, and with the content key in plain CBC where the
// standard has a key wrap, a form that is not read here. From iOS 16 a closed
// decoder is tried first; what that one opens is unconfirmed.
// Spec: RFC 8551 section 3.3; RFC 8551 section 3.4
func ReadMail(smime []byte, ids []Identity) (plain []byte, used *x509.Certificate, err error) {
	raw, err := sealedPart(smime)
	if err != nil {
		return nil, nil, err
	}
	e, err := readSealed(raw)
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

// sealedPart takes the CMS out of a message. Programs that leave out smime-type
// are many; then the CMS tells what it is.
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
	switch strings.ToLower(params["smime-type"]) {
	case "", "enveloped-data", "authenveloped-data":
	default:
		return nil, ErrNotSealed
	}
	if enc := m.Header.Get("Content-Transfer-Encoding"); !strings.EqualFold(enc, "base64") {
		return io.ReadAll(m.Body)
	}
	return io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
}

// readSealed reads an envelope of either kind and all its recipients.
func readSealed(ber []byte) (*envelope, error) {
	kind, b, err := cmsInfo(ber)
	if err != nil {
		return nil, err
	}
	parse := parseEnvelope
	switch {
	case kind.Equal(oidAuthEnvelopedData):
		parse = parseAuthEnvelope
	case !kind.Equal(oidEnvelopedData):
		return nil, ErrNotSealed
	}
	e, err := parse(b)
	if err != nil {
		return nil, err
	}
	return e, e.readKeyAgree()
}

// openMail opens what mail programs write. Beyond what opens profiles that is
// RC2, which old mail has, GCM, RSA-OAEP and key agreement.
func (e *envelope) openMail(key crypto.Signer, r recipient) (plain []byte, err error) {
	var cek []byte
	kdf := kdfOf(r.wrap.ID)
	switch {
	case kdf != 0:
		cek, err = r.agree(key, kdf)
	case r.wrap.ID.Equal(oidOAEP):
		cek, err = r.oaep(key)
	default:
		return e.open(key, r, oidAES128, oidAES192, oidAES256, oid3DES, oidRC2, oidGCM128, oidGCM192, oidGCM256)
	}
	if err != nil {
		return nil, err
	}
	return e.decrypt(cek)
}

func (r recipient) oaep(key crypto.Signer) (cek []byte, err error) {
	priv, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("recipient key is %T, not RSA", key)
	}
	opts, err := oaepOptions(r.wrap.Params.FullBytes)
	if err != nil {
		return nil, err
	}
	return priv.Decrypt(nil, r.wrapped, opts)
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
