package intune

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
)

// Revocation is Intune's wish that a certificate be revoked.
type Revocation struct {
	Context string      // by which Intune knows it
	Serial  cert.Serial // "" when it is none
}

// Outcome is what became of one.
type Outcome struct {
	Context string
	Code    Result
}

// Result is a code of an outcome.
//
// Spec: Intune, intune-resource-access, CARequestErrorCode
type Result string

// The results that are given.
const (
	Done     Result = "None"
	Invalid  Result = "ParameterDataInvalidError"
	NotFound Result = "CertificateNotFoundError"
	TryAgain Result = "RetryableServiceException"
)

const (
	maxWishes  = 500
	maxContext = 4096
)

// Revocations fetches up to n wishes, at most 500.
func (c *Client) Revocations(ctx context.Context, n int) ([]Revocation, error) {
	n = min(max(n, 1), maxWishes)
	var got struct {
		Value []struct {
			Context string `json:"requestContext"`
			Serial  string `json:"serialNumber"`
		} `json:"value"`
	}
	parameters := map[string]any{"downloadParameters": map[string]any{"maxRequests": n, "issuerName": nil}}
	err := c.ask(ctx, question{pkiService, pkiVersion, "/CertificateAuthorityRequests/downloadRevocationRequests", parameters}, &got)
	if err == nil && len(got.Value) > n {
		err = ErrAnswer.With(errors.New("more requests than were asked for"))
	}
	if err != nil {
		return nil, fmt.Errorf("fetching revocation requests of Intune: %w", err)
	}
	list := make([]Revocation, 0, len(got.Value))
	for _, v := range got.Value {
		if v.Context == "" || len(v.Context) > maxContext {
			return nil, ErrAnswer.With(errors.New("a revocation request without a context"))
		}
		list = append(list, Revocation{v.Context, serialOf(v.Serial)})
	}
	return list, nil
}

// serialOf reads a serial number as people write it: with or without spaces and
// leading zeros.
func serialOf(text string) cert.Serial {
	if len(text) > 128 {
		return ""
	}
	text = strings.ReplaceAll(text, " ", "")
	n, ok := new(big.Int).SetString(text, 16)
	if !ok || n.Sign() <= 0 || n.BitLen() > 160 {
		return ""
	}
	return cert.SerialOf(n)
}

// Revoked tells what became of wishes. It may be told again.
func (c *Client) Revoked(ctx context.Context, outcomes []Outcome) error {
	type result struct {
		Context   string `json:"requestContext"`
		Succeeded bool   `json:"succeeded"`
		Code      Result `json:"errorCode"`
		Message   string `json:"errorMessage"`
	}
	results := make([]result, 0, len(outcomes))
	for _, o := range outcomes {
		results = append(results, result{o.Context, o.Code == Done, o.Code, ""})
	}
	var got struct {
		Value bool `json:"value"`
	}
	err := c.ask(ctx, question{pkiService, pkiVersion, "/CertificateAuthorityRequests/uploadRevocationResults", map[string]any{"results": results}}, &got)
	if err == nil && !got.Value {
		err = ErrAnswer.With(errors.New("the results were not taken"))
	}
	if err != nil {
		return fmt.Errorf("telling Intune of revocations: %w", err)
	}
	return nil
}
