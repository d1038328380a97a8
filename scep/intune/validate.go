package intune

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/logx"
)

// refusals says what Intune's codes mean. One that is not listed is refused
// too.
//
// Spec: Intune, intune-resource-access, CsrValidation, ErrorCode
var refusals = map[string]*fault.Error{
	"Unknown":                                ErrRefused,
	"CertificateRequestDecodingFailed":       ErrRefused,
	"ChallengePasswordMissing":               ErrChallenge,
	"ChallengeDeserializationError":          ErrChallenge,
	"ChallengeDecryptionError":               ErrChallenge,
	"ChallengeDecodingError":                 ErrChallenge,
	"ChallengeInvalidTimestamp":              ErrChallengeExpired,
	"ChallengeExpired":                       ErrChallengeExpired,
	"SubjectNameMissing":                     ErrMismatch,
	"SubjectNameMismatch":                    ErrMismatch,
	"SubjectAltNameMissing":                  ErrMismatch,
	"SubjectAltNameMismatch":                 ErrMismatch,
	"KeyUsageMismatch":                       ErrMismatch,
	"KeyLengthMismatch":                      ErrMismatch,
	"EnhancedKeyUsageMissing":                ErrMismatch,
	"EnhancedKeyUsageMismatch":               ErrMismatch,
	"AadKeyIdentifierListMissing":            ErrRefused,
	"RegisteredKeyMismatch":                  ErrRefused,
	"SigningCertThumbprintMismatch":          ErrRefused,
	"ScepProfileNoLongerTargetedToTheClient": ErrTarget,
	"SignatureValidationFailed":              ErrChallenge,
	"BadCertificateRequestIdInChallenge":     ErrChallenge,
	"BadDeviceIdInChallenge":                 ErrTarget,
	"BadUserIdInChallenge":                   ErrTarget,
}

// said is what Intune answers to everything about a request. Its description
// goes nowhere: it may quote the request.
type said struct {
	Code string `json:"code"`
}

var word = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// verdict takes exactly one code for success.
func (s said) verdict() error {
	if s.Code == "Success" {
		return nil
	}
	if !word.MatchString(s.Code) {
		return ErrAnswer.With(errors.New("no code in the answer"))
	}
	f, known := refusals[s.Code]
	if !known {
		f = ErrRefused
	}
	return f.With(fmt.Errorf("code %s", s.Code))
}

// about is what all messages about a request begin with.
type about struct {
	Transaction string `json:"transactionId"`
	Request     string `json:"certificateRequest"` // base64 of the DER
	Caller      string `json:"callerInfo"`
}

func (c *Client) about(transaction string, csr []byte) about {
	return about{transaction, base64.StdEncoding.EncodeToString(csr), c.Product}
}

// tell sends a message about a request, and gives the verdict.
func (c *Client) tell(ctx context.Context, action, kind string, message any) error {
	var got said
	err := c.ask(ctx, question{scepService, scepVersion, "/ScepActions/" + action, map[string]any{kind: message}}, &got)
	if err != nil {
		return err
	}
	return got.verdict()
}

// Validate asks whether Intune made the challenge in the request, for a
// certificate such as the request asks for, and still wants it. It may be asked
// again. Every refusal is a fault, of the kind Unavailable when there was no
// verdict.
func (c *Client) Validate(ctx context.Context, transaction string, csr []byte) error {
	if err := c.tell(ctx, "validateRequest", "request", c.about(transaction, csr)); err != nil {
		return fmt.Errorf("validating a request with Intune: %w", err)
	}
	return nil
}

// issued is the message of success.
type issued struct {
	about
	Thumbprint    string `json:"certificateThumbprint"` // SHA-1
	Serial        string `json:"certificateSerialNumber"`
	Expires       string `json:"certificateExpirationDateUtc"`
	Issuer        string `json:"issuingCertificateAuthority"`
	Configuration string `json:"caConfiguration"`
	Authority     string `json:"certificateAuthority"`
}

// Succeeded tells Intune of the certificate, as often as need be. Unless it
// takes note nobody may get the certificate. Errors are as those of Validate.
func (c *Client) Succeeded(ctx context.Context, transaction string, csr []byte, x *x509.Certificate) error {
	m := issued{c.about(transaction, csr), cert.Thumbprint(x.Raw), string(cert.SerialOf(x.SerialNumber)),
		x.NotAfter.UTC().Format(time.RFC3339), x.Issuer.String(), "Signet", x.Issuer.CommonName}
	if err := c.tell(ctx, "successNotification", "notification", m); err != nil {
		return fmt.Errorf("telling Intune of a certificate: %w", err)
	}
	return nil
}

// hFail is E_FAIL.
const hFail = 0x80004005

// refused is the message of failure.
type refused struct {
	about
	Result int64  `json:"hResult"`
	Reason string `json:"errorDescription"`
}

// Failed tells Intune that a request which it found good got no certificate,
// and by which of our codes. Whether it takes note changes nothing.
func (c *Client) Failed(ctx context.Context, transaction string, csr []byte, code string) {
	if err := c.tell(ctx, "failureNotification", "notification", refused{c.about(transaction, csr), hFail, code}); err != nil {
		c.Log.WarnContext(ctx, "Intune was not told of a failure", logx.Code, fault.Code(err), logx.Err, err)
	}
}
