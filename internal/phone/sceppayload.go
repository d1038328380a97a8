package phone

import (
	"context"
	"strings"
	"time"
)

// scep installs a SCEP payload. The key is new each time.
// Spec: Apple, com.apple.security.scep
func (in *installation) scep(ctx context.Context, d dict, item *Payload) error {
	r, err := readSCEPPayload(d)
	if err != nil {
		return err
	}
	id, err := in.phone.enrollCertificate(ctx, r)
	if err != nil {
		return err
	}
	in.own(id, item)
	return nil
}

func readSCEPPayload(payload dict) (SCEPRequest, error) {
	name := payload.str("PayloadIdentifier")
	d := payload.dict("PayloadContent")
	if err := checkKeys(d, scepInnerKeys, "The SCEP payload "+name); err != nil {
		return SCEPRequest{}, err
	}
	r := SCEPRequest{
		URL: d.str("URL"), Name: d.str("Name"), Challenge: d.str("Challenge"),
		Keysize: int(d.integer("Keysize")), KeyUsage: int(d.integer("Key Usage")), CAFingerprint: d.data("CAFingerprint"),
		Retries: 3, RetryDelay: 10 * time.Second, fallbackName: name,
	}
	if d.has("Retries") {
		r.Retries = int(d.integer("Retries"))
	}
	if d.has("RetryDelay") {
		r.RetryDelay = time.Duration(d.integer("RetryDelay")) * time.Second
	}
	if kind := d.str("Key Type"); kind != "" && kind != "RSA" {
		return r, scepErr(22004, nil, "The key type %.20q is not supported.", kind)
	}
	if u := r.KeyUsage; d.has("Key Usage") && u != 0 && u != 1 && u != 4 && u != 5 {
		return r, scepErr(22000, nil, "The key usage %d is invalid.", u)
	}
	var err error
	if r.Subject, err = readSubject(d); err != nil {
		return r, err
	}
	r.SAN, err = readSAN(d.dict("SubjectAltName"))
	return r, err
}

func readSubject(d dict) ([][][]string, error) {
	var out [][][]string
	for _, rdn := range d.array("Subject") {
		list, ok := rdn.([]any)
		if !ok {
			return nil, errSubject()
		}
		var pairs [][]string
		for _, pair := range list {
			if !allStrings(pair) {
				return nil, errSubject()
			}
			pairs = append(pairs, dict{"": pair}.strings(""))
		}
		out = append(out, pairs)
	}
	return out, nil
}

func errSubject() error {
	return payloadErr(2003, "Subject is not an array of arrays of pairs.")
}

// readSAN reads SubjectAltName, whose keys are not case-sensitive.
func readSAN(d dict) (SAN, error) {
	var s SAN
	for key, v := range d {
		if !fits(v, "text") {
			return s, payloadErr(2003, "SubjectAltName %.40q is not text.", key)
		}
		values := dict{"": v}.strings("")
		if one, ok := v.(string); ok {
			values = []string{one}
		}
		switch strings.ToLower(key) {
		case "rfc822name":
			s.Emails = values
		case "dnsname":
			s.DNSNames = values
		case "uniformresourceidentifier":
			s.URIs = values
		case "ntprincipalname":
			if _, one := v.(string); !one {
				return s, payloadErr(2003, "ntPrincipalName takes a single string.")
			}
			s.UPN = values[0]
		default:
			return s, payloadErr(2004, "SubjectAltName has the key %.40q.", key)
		}
	}
	return s, nil
}
