package intunetest

import (
	"bytes"
	"encoding/json"
)

func (s *Server) download(body map[string]json.RawMessage) (any, string) {
	var p struct {
		Most   int     `json:"maxRequests"`
		Issuer *string `json:"issuerName"`
	}
	d := json.NewDecoder(bytes.NewReader(body["downloadParameters"]))
	d.DisallowUnknownFields()
	if d.Decode(&p) != nil || p.Most < 1 || p.Most > 500 || len(body) != 1 {
		return nil, "downloadParameters"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]wish, 0, len(s.wishes))
	for _, w := range s.wishes {
		if len(list) < p.Most && (p.Issuer == nil || *p.Issuer == w.Issuer) {
			list = append(list, w)
		}
	}
	return map[string]any{"value": list}, ""
}

var resultCodes = map[string]bool{"None": true, "NonRetryableServiceException": true, "DataSerializationError": true,
	"ParameterDataInvalidError": true, "CryptographyError": true, "CertificateNotFoundError": true, "ConflictError": true,
	"NotSupportedError": true, "PayloadTooLargeError": true, "RetryableServiceException": true, "ServiceUnavailableException": true,
	"ServiceTooBusyException": true, "AuthenticationException": true}

func (s *Server) upload(body map[string]json.RawMessage) (any, string) {
	var results []struct {
		Context   string  `json:"requestContext"`
		Succeeded *bool   `json:"succeeded"`
		Code      string  `json:"errorCode"`
		Message   *string `json:"errorMessage"`
	}
	d := json.NewDecoder(bytes.NewReader(body["results"]))
	d.DisallowUnknownFields()
	if d.Decode(&results) != nil || len(results) == 0 || len(results) > 500 || len(body) != 1 {
		return nil, "results"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range results {
		if r.Succeeded == nil || *r.Succeeded != (r.Code == "None") || !resultCodes[r.Code] {
			return nil, "results"
		}
	}
	for _, r := range results {
		s.results[r.Context] = r.Code
		if r.Code == "RetryableServiceException" {
			continue
		}
		for i, w := range s.wishes {
			if w.Context == r.Context {
				s.wishes = append(s.wishes[:i:i], s.wishes[i+1:]...)
				break
			}
		}
	}
	return map[string]any{"value": true}, ""
}
