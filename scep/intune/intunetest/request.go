package intunetest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"time"
)

// fields reads an object that has exactly these texts, none of them empty.
func fields(raw json.RawMessage, names ...string) (map[string]string, bool) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	if d.Decode(&m) != nil || len(m) != len(names) {
		return nil, false
	}
	texts := map[string]string{}
	for _, name := range names {
		s, ok := m[name].(string)
		if !ok || s == "" {
			return nil, false
		}
		texts[name] = s
	}
	return texts, true
}

// requestOf reads the certificate request of a message; nil when it is none.
func requestOf(text string) *x509.CertificateRequest {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil || r.CheckSignature() != nil {
		return nil
	}
	return r
}

var oidChallenge = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// challengeOf finds the challenge of a request.
//
// Spec: RFC 2986 section 4.1; RFC 2985 section 5.4.1
func challengeOf(r *x509.CertificateRequest) string {
	var info struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0"`
	}
	if _, err := asn1.Unmarshal(r.RawTBSCertificateRequest, &info); err != nil {
		return ""
	}
	for _, raw := range info.Attributes {
		var a struct {
			ID     asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		if _, err := asn1.Unmarshal(raw.FullBytes, &a); err == nil && a.ID.Equal(oidChallenge) && len(a.Values) == 1 {
			return string(a.Values[0].Bytes)
		}
	}
	return ""
}

func (s *Server) validate(body map[string]json.RawMessage) (any, string) {
	m, ok := fields(body["request"], "transactionId", "certificateRequest", "callerInfo")
	if !ok || len(body) != 1 {
		return nil, "request"
	}
	return map[string]any{"code": s.judge(m["certificateRequest"]), "errorDescription": "about " + m["certificateRequest"]}, ""
}

// judge gives the code for a request.
func (s *Server) judge(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		code := s.answers[0]
		s.answers = s.answers[1:]
		return code
	}
	r := requestOf(text)
	if r == nil {
		return "CertificateRequestDecodingFailed"
	}
	challenge := challengeOf(r)
	want, known := s.challenges[challenge]
	switch {
	case challenge == "":
		return "ChallengePasswordMissing"
	case !known:
		return "ChallengeDecryptionError"
	case want.Expired:
		return "ChallengeExpired"
	case want.Unassigned:
		return "ScepProfileNoLongerTargetedToTheClient"
	case r.Subject.CommonName != want.CommonName:
		return "SubjectNameMismatch"
	case !slices.Equal(r.EmailAddresses, []string{want.Mail}):
		return "SubjectAltNameMismatch"
	}
	return "Success"
}

var (
	thumbprint = regexp.MustCompile(`^[0-9A-F]{40}$`)
	hex        = regexp.MustCompile(`^[0-9a-fA-F]{1,40}$`)
)

func (s *Server) success(body map[string]json.RawMessage) (any, string) {
	m, ok := fields(body["notification"], "transactionId", "certificateRequest", "certificateThumbprint", "certificateSerialNumber",
		"certificateExpirationDateUtc", "issuingCertificateAuthority", "callerInfo", "caConfiguration", "certificateAuthority")
	if !ok || len(body) != 1 {
		return nil, "notification"
	}
	expires, err := time.Parse(time.RFC3339, m["certificateExpirationDateUtc"])
	r := requestOf(m["certificateRequest"])
	if err != nil || r == nil || !thumbprint.MatchString(m["certificateThumbprint"]) || !hex.MatchString(m["certificateSerialNumber"]) {
		return nil, "notification"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		code := s.answers[0]
		s.answers = s.answers[1:]
		return map[string]any{"code": code}, ""
	}
	s.successes = append(s.successes, Notice{m["transactionId"], r, m["certificateThumbprint"], m["certificateSerialNumber"], expires, ""})
	return map[string]any{"code": "Success", "errorDescription": ""}, ""
}

func (s *Server) failure(body map[string]json.RawMessage) (any, string) {
	var n struct {
		Transaction string `json:"transactionId"`
		Request     string `json:"certificateRequest"`
		Result      *int64 `json:"hResult"`
		Reason      string `json:"errorDescription"`
		Caller      string `json:"callerInfo"`
	}
	d := json.NewDecoder(bytes.NewReader(body["notification"]))
	d.DisallowUnknownFields()
	r := (*x509.CertificateRequest)(nil)
	if d.Decode(&n) == nil {
		r = requestOf(n.Request)
	}
	if r == nil || n.Transaction == "" || n.Result == nil || n.Reason == "" || n.Caller == "" || len(body) != 1 {
		return nil, "notification"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, Notice{Transaction: n.Transaction, Request: r, Reason: n.Reason})
	return map[string]any{"code": "Success"}, ""
}
