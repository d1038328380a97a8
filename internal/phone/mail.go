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
	"time"
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

// SignMail writes a message from one of the accounts and signs it, as Mail
// does when signing is on: clear-signed with SHA-256, the signer's chain and
// the account's encryption certificate included so that others can answer
// encrypted.
// Spec: RFC 8551 section 3.5.3
func (p *Phone) SignMail(from, to, subject, body string) ([]byte, error) {
	if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
		return nil, errors.New("the recipient is not a mail address")
	}
	a, err := p.signingAccount(from)
	if err != nil {
		return nil, err
	}
	part := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + crlf(body)
	s := signing{
		cert: a.SMIME.Signing.Certificate, key: a.SMIME.Signing.Key, extra: a.SMIME.Signing.Chain,
		hash: crypto.SHA256, detached: true, attributes: usual(crypto.SHA256, []byte(part), p.cfg.Now()),
	}
	if enc := a.SMIME.Encryption; enc != nil {
		s.extra = append(s.extra[:len(s.extra):len(s.extra)], enc.Certificate)
		s.attributes = append(s.attributes, attribute{oidKeyPreference, tlv(0xa0, enc.Certificate.RawIssuer, marshal(enc.Certificate.SerialNumber))})
	}
	sig, err := s.write(p.cfg.Rand, []byte(part))
	if err != nil {
		return nil, err
	}
	return p.compose(from, to, subject, part, sig), nil
}

// Spec: RFC 8551 section 2.5.3, SMIMEEncryptionKeyPreference
var oidKeyPreference = oid{1, 2, 840, 113549, 1, 9, 16, 2, 11}

func (p *Phone) compose(from, to, subject, part string, sig []byte) []byte {
	boundary := "Apple-Mail=_" + uuidOf(p.cfg.Rand)
	var b strings.Builder
	for _, line := range []string{
		"From: " + from, "To: " + to, "Subject: " + mime.QEncoding.Encode("utf-8", subject),
		"Date: " + p.cfg.Now().Format(time.RFC1123Z),
		"Message-ID: <" + uuidOf(p.cfg.Rand) + "@" + from[strings.LastIndexByte(from, '@')+1:] + ">",
		"MIME-Version: 1.0",
		`Content-Type: multipart/signed; boundary="` + boundary + `"; protocol="application/pkcs7-signature"; micalg=sha-256`,
		"", "--" + boundary, part, "--" + boundary,
		"Content-Type: application/pkcs7-signature; name=smime.p7s",
		"Content-Disposition: attachment; filename=smime.p7s",
		"Content-Transfer-Encoding: base64", "", base64Lines(sig), "--" + boundary + "--",
	} {
		b.WriteString(line + "\r\n")
	}
	return []byte(b.String())
}

// crlf gives text with the line ends mail has.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func base64Lines(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var lines []string
	for len(s) > 76 {
		lines, s = append(lines, s[:76]), s[76:]
	}
	return strings.Join(append(lines, s), "\r\n")
}

// signingAccount finds the account of an address and holds its signing
// identity to what Mail asks of it.
func (p *Phone) signingAccount(from string) (Account, error) {
	addr, err := mail.ParseAddress(from)
	if err != nil || addr.Address != from {
		return Account{}, fmt.Errorf("sender: %w", ErrNoAccount)
	}
	for _, a := range p.Accounts() {
		if !strings.EqualFold(a.Email, from) || a.Kind == "ldap" {
			continue
		}
		if !a.SMIME.Sign || a.SMIME.Signing == nil {
			return a, ErrNoSigning
		}
		return a, signsFor(a.SMIME.Signing.Certificate, from, p.cfg.Now())
	}
	return Account{}, ErrNoAccount
}

func signsFor(c *x509.Certificate, address string, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return ErrCannotSign
	}
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return ErrCannotSign
	}
	if !forMail(c) {
		return ErrCannotSign
	}
	for _, a := range addresses(c) {
		if strings.EqualFold(a, address) {
			return nil
		}
	}
	return ErrWrongOwner
}

func forMail(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageEmailProtection || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0
}

// addresses are the mail addresses a certificate is for: subject alternative
// names and emailAddress in the subject.
func addresses(c *x509.Certificate) []string {
	out := append([]string(nil), c.EmailAddresses...)
	for _, n := range c.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.Equal(oidEmail) {
			out = append(out, s)
		}
	}
	return out
}
