package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// ErrObject is returned for a body that cannot be read.
var ErrObject = fault.New(fault.Invalid, "graph_object_invalid",
	"The body is no userPFXCertificate.", "It is one JSON object, with the names and values that Graph's documentation gives.")

// object is a userPFXCertificate as it is sent here. What a client says of the
// dates and of the time of its making is not read: the certificate says it.
//
// Spec: Intune S/MIME, userPFXCertificate
type object struct {
	Thumbprint string   `json:"thumbprint"`
	Purpose    *purpose `json:"intendedPurpose"` // nil: nothing is said of it
	User       string   `json:"userPrincipalName"`
	Provider   string   `json:"providerName"`
	Key        string   `json:"keyName"`
	Padding    padding  `json:"paddingScheme"`
	Blob       []byte   `json:"encryptedPfxBlob"`
	Password   []byte   `json:"encryptedPfxPassword"`
}

// readObject reads one from a body. Names in other case count, members that we
// do not know do not.
func readObject(body io.Reader) (o object, err error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return o, err
	}
	defer clear(data)
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '{' {
		return o, ErrObject
	}
	if err := json.Unmarshal(data, &o); err != nil {
		if f := fault.Of(err); f != nil {
			return o, f
		}
		return o, ErrObject.With(errors.New("not JSON of the form")) // what JSON says may quote it
	}
	return o, nil
}

// purpose is what a certificate is announced for.
type purpose int

// The purposes, with Graph's numbers.
const (
	unassigned      purpose = 0
	smimeEncryption purpose = 1
	smimeSigning    purpose = 2
	vpn             purpose = 4
	wifi            purpose = 8
)

var purposes = map[string]purpose{
	"unassigned": unassigned, "smimeEncryption": smimeEncryption, "smimeSigning": smimeSigning, "vpn": vpn, "wifi": wifi,
}

// UnmarshalJSON reads a name in any case or a number.
func (p *purpose) UnmarshalJSON(b []byte) error {
	name, number, err := enum(b)
	if err != nil {
		return err
	}
	for n, v := range purposes {
		if name != "" && strings.EqualFold(n, name) || name == "" && int(v) == number {
			*p = v
			return nil
		}
	}
	return ErrObject
}

// use is what a key is imported for; Unknown goes by the certificate. False for
// what is not mail.
func (p *purpose) use() (cert.Use, bool) {
	switch {
	case p == nil || *p == unassigned:
		return cert.Unknown, true
	case *p == smimeEncryption:
		return cert.Encryption, true
	case *p == smimeSigning:
		return cert.Signing, true
	}
	return cert.Unknown, false
}

// purposeOf names what a certificate is held for. There is no name for both.
func purposeOf(u cert.Use) string {
	switch u {
	case cert.Encryption:
		return "smimeEncryption"
	case cert.Signing:
		return "smimeSigning"
	}
	return "unassigned"
}

// padding is a padding scheme as it is sent.
type padding struct{ transport.Padding }

// UnmarshalJSON reads a name in any case or a number.
func (p *padding) UnmarshalJSON(b []byte) error {
	name, number, err := enum(b)
	if err != nil {
		return err
	}
	if name == "" {
		if number < int(transport.None) || number > int(transport.OAEPSHA512) {
			return ErrObject
		}
		p.Padding = transport.Padding(number)
		return nil
	}
	var known bool
	if p.Padding, known = transport.ParsePadding(name); !known {
		return ErrObject
	}
	return nil
}

// enum reads a value that is a name or a number.
func enum(b []byte) (name string, number int, err error) {
	if number, err = strconv.Atoi(string(b)); err == nil {
		return "", number, nil
	}
	if json.Unmarshal(b, &name) != nil || name == "" {
		return "", 0, ErrObject
	}
	return name, 0, nil
}

// answered is a userPFXCertificate as it is answered. Secrets are written only:
// their members have what Graph has there. The password went with the key that
// it was encrypted to, so there is no provider, no key and no padding.
type answered struct {
	Type       string    `json:"@odata.type"`
	ID         string    `json:"id"`
	Thumbprint string    `json:"thumbprint"`
	Purpose    string    `json:"intendedPurpose"`
	User       string    `json:"userPrincipalName"`
	Start      time.Time `json:"startDateTime"`
	Expiration time.Time `json:"expirationDateTime"`
	Provider   string    `json:"providerName"`
	Key        string    `json:"keyName"`
	Padding    string    `json:"paddingScheme"`
	Blob       []byte    `json:"encryptedPfxBlob"`
	Password   string    `json:"encryptedPfxPassword"`
	Created    time.Time `json:"createdDateTime"`
	Modified   time.Time `json:"lastModifiedDateTime"`
}

func newAnswered(u subject.User, r cert.Record) answered {
	thumbprint := thumbprintOf(r)
	return answered{Type: "#microsoft.graph.userPFXCertificate", ID: bare(u.ID) + "-" + thumbprint, Thumbprint: thumbprint,
		Purpose: purposeOf(r.Use), User: u.UPN, Start: r.NotBefore.UTC(), Expiration: r.NotAfter.UTC(), Padding: transport.None.String(),
		Blob: []byte{0}, Created: r.CreatedAt.UTC(), Modified: r.CreatedAt.UTC()}
}

func thumbprintOf(r cert.Record) string { return strings.ToLower(cert.Thumbprint(r.DER)) }
