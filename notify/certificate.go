package notify

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures of taking a push certificate.
var (
	ErrCertificate = fault.New(fault.Invalid, "push_certificate_unreadable",
		"The file holds no certificate.", "It is the .pem file that identity.apple.com gives for the request of signet push csr.")
	ErrNoPush = fault.New(fault.Invalid, "push_certificate_other",
		"This is no MDM push certificate: its subject has no UID com.apple.mgmt.External.…, or it is not for TLS clients.",
		"Take the file from identity.apple.com/pushcert; that of a vendor, for signing requests, is another.")
	ErrExpired = fault.New(fault.Invalid, "push_certificate_expired",
		"The push certificate is not valid at this time.", "Renew it at identity.apple.com/pushcert, with the same Apple Account.")
	ErrKeyUnknown = fault.New(fault.NotFound, "push_key_unknown",
		"The certificate is for a key that was not made here.",
		"It belongs to another request: import the answer to the last signet push csr, or, if it came with its key, that key too.")
	ErrKey = fault.New(fault.Invalid, "push_key_mismatch",
		"The key is none that can be used, or not the certificate's.", "Give the private key that the certificate was made for, as PEM without a password, or both as PKCS #12.")
	ErrTopic = fault.New(fault.Conflict, "push_topic_other",
		"The certificate has another topic than the one that devices are enrolled with.",
		"Renew the certificate in use instead of making a new one, with the same Apple Account. With --replace-topic those devices must enroll again.")
)

// Certificate is Apple's word that we may push to a topic.
type Certificate struct {
	Topic       string
	Certificate *x509.Certificate
	Account     string // the Apple Account that can renew it, as somebody noted; may be empty
	ImportedAt  time.Time
	Enrolls     bool    // devices that enroll now get this topic
	Devices     Devices // when listed, like the next
	DaysLeft    int     // whole ones; negative when it is over
	Trouble     string
	TroubledAt  time.Time // since when nothing can be pushed; zero: it can
}

// daysLeft is for how many whole days it is good; negative when it is over.
func (c Certificate) daysLeft(now time.Time) int {
	left := c.Certificate.NotAfter.Sub(now)
	if left < 0 {
		return -1 - int(-left/(24*time.Hour))
	}
	return int(left / (24 * time.Hour))
}

// Bounds of what is read.
const (
	maxCertificate = 64 << 10
	maxKey         = 8 << 10 // an RSA key of 8192 bits
)

// parseCertificate reads PEM, of which the first certificate counts, or DER.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	if len(data) > maxCertificate {
		return nil, ErrCertificate
	}
	der := data
	if bytes.Contains(data, []byte("-----BEGIN")) {
		block := block(data, func(kind string) bool { return kind == "CERTIFICATE" })
		if block == nil {
			return nil, ErrCertificate
		}
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ErrCertificate.With(err)
	}
	return c, nil
}

// block gives the first PEM block of the kind that is wanted.
func block(data []byte, want func(kind string) bool) *pem.Block {
	for {
		b, rest := pem.Decode(data)
		if b == nil || want(b.Type) {
			return b
		}
		data = rest
	}
}

var uid = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

const (
	topicPrefix = "com.apple.mgmt.External."
	maxTopic    = 255
)

// topicOf gives the topic of a push certificate: the UID of its subject.
//
// Spec: Apple MDM, Setting up push notifications; RFC 4519 section 2.39
func topicOf(c *x509.Certificate) (string, error) {
	for _, n := range c.Subject.Names {
		text, ok := n.Value.(string)
		if ok && n.Type.Equal(uid) && strings.HasPrefix(text, topicPrefix) && len(text) > len(topicPrefix) && plain(text) {
			return text, nil
		}
	}
	return "", ErrNoPush
}

// plain tells whether s is short printable ASCII, as identifiers are.
func plain(s string) bool {
	return len(s) <= maxTopic && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// judge tells whether c is a push certificate that is good now, and its topic.
func judge(c *x509.Certificate, now time.Time) (topic string, err error) {
	if topic, err = topicOf(c); err != nil {
		return "", err
	}
	if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return "", ErrNoPush
	}
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return "", ErrExpired.Saying(fmt.Sprintf("The push certificate is good from %s to %s only.",
			c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly)))
	}
	return topic, nil
}

// parseKey reads a private key, PEM or PKCS #8, that must be the certificate's.
func parseKey(text seal.Secret, public crypto.PublicKey) (crypto.Signer, error) {
	data := text.Reveal()
	if len(data) > maxKey {
		return nil, ErrKey
	}
	if b := block(data, func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }); b != nil {
		data = b.Bytes
		defer clear(b.Bytes)
	}
	signer, err := decodeKey(data)
	if err != nil || !cert.SameKey(signer.Public(), public) {
		return nil, ErrKey // without the cause, which may quote the key
	}
	return signer, nil
}

func decodeKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if rsa, failed := x509.ParsePKCS1PrivateKey(der); failed == nil {
			return rsa, nil
		}
		return x509.ParseECPrivateKey(der)
	}
	if signer, ok := key.(crypto.Signer); ok {
		return signer, nil
	}
	return nil, errors.New("not a signing key")
}
