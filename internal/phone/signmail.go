package phone

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
)

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
