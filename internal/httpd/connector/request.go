package connector

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// ErrRequest is returned for what is no request for a delivery.
var ErrRequest = fault.New(fault.Invalid, "connector_request_invalid",
	"This is no request for a delivery.", "It is JSON with user, deviceCertificate and form; docs/connector.md has an example.")

// maxDevice is how many certificates a request may have.
const maxDevice = 5

// Request asks for a delivery.
type Request struct {
	User        string `json:"user"`              // address, UPN or our id
	Device      string `json:"deviceCertificate"` // PEM, with those above it, or base64 of one as DER
	Form        string `json:"form"`              // profile or pkcs12
	OSVersion   string `json:"osVersion"`         // such as 18.2; may be empty
	Certificate string `json:"certificate"`       // only this one: SHA-256, hex
}

// read reads a request strictly. Unknown members are refused, because what is
// not understood may be what matters.
func read(body io.Reader) (a gateway.Ask, err error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return a, err
	}
	var r Request
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return a, ErrRequest.With(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, ErrRequest
	}
	return r.ask()
}

func (r Request) ask() (a gateway.Ask, err error) {
	a = gateway.Ask{User: r.User, Form: gateway.Form(r.Form), IOS: subject.Device{OSVersion: r.OSVersion}.OSMajor()}
	switch {
	case r.User == "" || len(r.User) > 320:
		return a, ErrRequest.Saying("user is missing, or too long.")
	case a.Form != gateway.Profile && a.Form != gateway.PKCS12:
		return a, ErrRequest.Saying("form is profile or pkcs12.")
	case len(r.OSVersion) > 32 || r.OSVersion != "" && a.IOS == 0:
		return a, ErrRequest.Saying("osVersion is a number such as 18.2.")
	}
	if strings.Contains(r.User, "@") { // else it is an id
		if a.User, err = subject.NormalizeMail(r.User); err != nil {
			return a, ErrRequest.Saying("user is no address.")
		}
	}
	if r.Certificate != "" {
		if a.Certificate, err = cert.ParseFingerprint(strings.ToLower(r.Certificate)); err != nil || a.Certificate.IsZero() {
			return a, ErrRequest.Saying("certificate is the SHA-256 of one, in hex.")
		}
	}
	a.Chain, err = chain(r.Device)
	return a, err
}

// chain reads certificates as PEM, or one as base64 of its DER. Whether they
// are any is for the keeper to find out.
func chain(text string) (list [][]byte, err error) {
	if !strings.Contains(text, "-----BEGIN ") {
		der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(der) == 0 {
			return nil, ErrRequest.Saying("deviceCertificate is no PEM and no base64.")
		}
		return [][]byte{der}, nil
	}
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(list) == maxDevice {
			return nil, ErrRequest.Saying("deviceCertificate is one to five certificates as PEM, and nothing else.")
		}
		list = append(list, block.Bytes)
	}
	return list, nil
}
