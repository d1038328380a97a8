// Package recovery is what an export of a user's keys is: exactly what people
// agree to, and the file that comes of it, which only a named recipient opens.
// It asks nobody and opens nothing; it is pure.
//
// Start reading at [Request].
package recovery

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// Kind is what consents to an export are called.
const Kind = "key.export"

// MaxKeys is how many keys one request can be for.
const MaxKeys = 200

// Failures of asking for an export.
var (
	ErrRecipient = fault.New(fault.Invalid, "recovery_recipient_invalid",
		"The recipient is neither an age recipient nor a certificate with an RSA key of at least 2048 bits.",
		"Give --recipient age1…, or --recipient-cert with a PEM file of one certificate.")
	ErrFormat = fault.New(fault.Invalid, "recovery_format_invalid",
		"There is no such format.", "The formats are pem and pkcs12.")
	ErrReason = fault.New(fault.Invalid, "recovery_reason_invalid",
		"An export needs a reason of 3 to 300 printable characters.", "Those who approve it read it, and so does the user.")
	ErrKeys = fault.New(fault.Invalid, "recovery_keys_invalid",
		"The request names no key of this user, one twice, or more than 200.", "signet pfx list shows which there are.")
	ErrRequest = fault.New(fault.Denied, "recovery_request_invalid",
		"This is not a request for an export as it was agreed to.", "Ask again.")
)

// Format is how the keys stand in the file.
type Format string

// The formats.
const (
	PEM    Format = "pem"    // private key, certificate and chain of each, one after the other
	PKCS12 Format = "pkcs12" // a zip of one .p12 each, and their password
)

// Request is exactly what people agree to.
type Request struct {
	User         subject.UserID `json:"user"`
	Certificates []string       `json:"certificates"` // SHA-256, hex, in order
	Recipient    string         `json:"recipient"`    // age1…, or a certificate as PEM
	Format       Format         `json:"format"`
	Reason       string         `json:"reason"`
}

// New makes a request. [ErrRecipient], [ErrFormat], [ErrReason], [ErrKeys].
func New(user subject.UserID, certs []cert.Fingerprint, recipient string, f Format, reason string) (Request, error) {
	r := Request{User: user, Recipient: strings.TrimSpace(recipient), Format: f, Reason: strings.TrimSpace(reason)}
	for _, c := range certs {
		r.Certificates = append(r.Certificates, hex.EncodeToString(c[:]))
	}
	slices.Sort(r.Certificates)
	if c := certificate(r.Recipient); c != nil {
		r.Recipient = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return r, r.check()
}

// Text is the one way to write the request.
func (r Request) Text() (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("writing a request for recovery: %w", err)
	}
	return string(b), nil
}

// Parse reads what Text wrote, and nothing else: [ErrRequest].
func Parse(text string) (Request, error) {
	var r Request
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Request{}, ErrRequest.With(err)
	}
	if again, err := r.Text(); err != nil || again != text {
		return Request{}, ErrRequest.With(err)
	}
	if err := r.check(); err != nil {
		return Request{}, ErrRequest.With(err)
	}
	return r, nil
}

func (r Request) check() error {
	n := utf8.RuneCountInString(r.Reason)
	switch {
	case r.Format != PEM && r.Format != PKCS12:
		return ErrFormat
	case n < 3 || n > 300 || !utf8.ValidString(r.Reason) || strings.ContainsFunc(r.Reason, func(c rune) bool { return !unicode.IsPrint(c) }):
		return ErrReason
	case r.User == "" || len(r.Certificates) == 0 || len(r.Certificates) > MaxKeys || len(slices.Compact(slices.Clone(r.Certificates))) != len(r.Certificates):
		return ErrKeys
	}
	if _, err := r.Prints(); err != nil {
		return ErrKeys.With(err)
	}
	_, _, err := r.recipient()
	return err
}

// Prints gives the fingerprints of the certificates whose keys are wanted.
func (r Request) Prints() ([]cert.Fingerprint, error) {
	var list []cert.Fingerprint
	for _, text := range r.Certificates {
		f, err := cert.ParseFingerprint(text)
		if err != nil {
			return nil, fmt.Errorf("reading a fingerprint: %w", err)
		}
		list = append(list, f)
	}
	return list, nil
}

// recipient is one of the two.
func (r Request) recipient() (age.Recipient, *x509.Certificate, error) {
	if c := certificate(r.Recipient); c != nil {
		if key, is := c.PublicKey.(*rsa.PublicKey); !is || key.N.BitLen() < 2048 {
			return nil, nil, ErrRecipient
		}
		return nil, c, nil
	}
	list, err := age.ParseRecipients(strings.NewReader(r.Recipient))
	if err != nil || len(list) != 1 || !strings.HasPrefix(r.Recipient, "age1") || strings.ContainsAny(r.Recipient, "\r\n") {
		return nil, nil, ErrRecipient
	}
	return list[0], nil, nil
}

// certificate reads one that is alone; nil for anything else.
func certificate(text string) *x509.Certificate {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c
}

// To names the recipient for people: so that nobody approves another than he
// thinks, by what cannot be chosen.
func (r Request) To() string {
	if c := certificate(r.Recipient); c != nil {
		return "the certificate with SHA-256 " + cert.FingerprintOf(c.Raw).String()
	}
	return r.Recipient
}
