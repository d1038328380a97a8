package connector

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// Self is what a connector may know of itself.
type Self struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	State   gateway.State  `json:"state"`
	Forms   []gateway.Form `json:"forms"`
	Naming  gateway.Naming `json:"naming"`
	PerHour int            `json:"keysPerHour"`
	Expires time.Time      `json:"expires"`
}

// User is whose certificates they are.
type User struct {
	ID   string `json:"id"`
	Mail string `json:"mail"`
}

// Certificate is what is public of one.
type Certificate struct {
	SHA256    string    `json:"sha256"`
	SHA1      string    `json:"sha1"`
	Serial    string    `json:"serial"`
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Addresses []string  `json:"addresses"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Current   bool      `json:"current"`
	Withheld  string    `json:"withheld,omitempty"`
}

// Held is what a user has.
type Held struct {
	User         User          `json:"user"`
	Revision     string        `json:"revision"`
	Certificates []Certificate `json:"certificates"`
}

// Delivery is what a device gets.
type Delivery struct {
	ID     string `json:"id"`
	Device string `json:"device"`
	Held
	Profile *Profile `json:"profile,omitempty"`
	Files   []File   `json:"files,omitempty"`
}

// Profile is signed by us; its payloads are encrypted to the device.
type Profile struct {
	Identifier  string `json:"identifier"`
	ContentType string `json:"contentType"`
	Content     []byte `json:"content"`
}

// File is a PKCS#12 file and its password, each encrypted to the device as CMS.
type File struct {
	SHA256   string `json:"sha256"`
	PKCS12   []byte `json:"pkcs12"`
	Password []byte `json:"password"`
}

func held(u subject.User, list []gateway.Listed, revision string) Held {
	h := Held{User{string(u.ID), u.Mail}, revision, []Certificate{}}
	for _, l := range list {
		r := l.Record
		h.Certificates = append(h.Certificates, Certificate{SHA256: r.Fingerprint.String(), SHA1: cert.Thumbprint(r.DER),
			Serial: string(r.Serial), Subject: r.Subject, Issuer: r.Issuer, Addresses: append([]string{}, r.Addresses...),
			NotBefore: r.NotBefore, NotAfter: r.NotAfter, Current: l.Current, Withheld: l.Withheld})
	}
	return h
}

// self tells a connector about itself, so that it can be tried.
func (a api) self(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	_, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	c, err := a.Client(r.Context(), secret, by.Actor.Remote)
	if err != nil {
		return ErrSecret
	}
	return answer(w, http.StatusOK, Self{c.ID, c.Name, c.StateAt(time.Now()), c.Forms, c.Naming, c.PerHour, c.Expires})
}

// certificates lists what a user has. Its revision is the ETag, so that another
// MDM sees what changed.
//
// Spec: RFC 9110 section 13.1.2
func (a api) certificates(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	u, list, err := a.Certificates(r.Context(), variable(r, "user"))
	if err != nil {
		return err
	}
	revision := gateway.Revision(list)
	tag := `"` + revision + `"`
	w.Header().Set("ETag", tag)
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(have), "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return answer(w, http.StatusOK, held(u, list, revision))
}

// deliver answers 201 for what was made now, and 200 for what was made before.
func (a api) deliver(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	ask, err := read(r.Body)
	if err != nil {
		return err
	}
	ask.Connector, ask.Remote = by.Actor.ID, by.Actor.Remote
	d, err := a.Deliver(r.Context(), ask)
	if err != nil {
		return err
	}
	out := Delivery{ID: d.ID, Device: string(d.Device), Held: held(d.User, d.Listed, d.Revision)}
	if d.Identifier != "" {
		out.Profile = &Profile{d.Identifier, "application/x-apple-aspen-config", d.Profile}
	}
	for _, f := range d.Files {
		out.Files = append(out.Files, File{f.Certificate.String(), f.PKCS12, f.Password})
	}
	status := http.StatusCreated
	if d.Again {
		status = http.StatusOK
	}
	return answer(w, status, out)
}

// crl takes a revocation list.
func (a api) crl(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	list, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if _, err := a.StoreCRL(r.Context(), by.Actor, by.Actor.ID, list); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
