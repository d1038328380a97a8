package device

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/scep"
)

// pkiArea serves what certificates point at: the list of an issuer, whole or in
// shards, and its certificate.
func pkiArea(s *scep.Service) httpd.Area {
	list := func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		v := mux.Vars(r)
		c, err := s.CRL(r.Context(), v["issuer"], v["shard"])
		if err != nil {
			return err
		}
		w.Header().Set("Cache-Control", proxied)
		if known(w, r, c.DER, c.ThisUpdate) {
			return nil
		}
		return answer(w, scep.TypeCRL, c.DER, nil)
	}
	certificate := func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		body, err := s.CACertificate(mux.Vars(r)["issuer"])
		if err == nil {
			w.Header().Set("Cache-Control", proxied)
		}
		return answer(w, scep.TypeCert, body, err)
	}
	get := func(path string, handle httpd.Handler) httpd.Route {
		return httpd.Route{Method: http.MethodGet, Path: path, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: handle}
	}
	return httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{
		get("/pki/{issuer}.crl", list), get("/pki/{issuer}/{shard:[0-9a-f]+}.crl", list), get("/pki/{issuer}.cer", certificate),
	}}
}

// proxied lets proxies keep what is public for a few minutes.
const proxied = "public, max-age=300"

// ocspArea answers questions about single certificates. A GET has the question
// in its path.
//
// Spec: RFC 6960 appendix A.1
func ocspArea(s *scep.Service) httpd.Area {
	byGet := func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		return tell(w, r, s, scep.DecodeOCSP(mux.Vars(r)["request"]))
	}
	byPost := func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		request, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return tell(w, r, s, request)
	}
	return httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: "/ocsp/{issuer}/{request:.+}", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Encoded: true, Handle: byGet},
		{Method: http.MethodPost, Path: "/ocsp/{issuer}", Permission: httpd.Anyone, MaxBody: scep.MaxOCSP, Handle: byPost},
	}}
}

// ocspCache is how long an OCSP answer may be kept by proxies and clients that
// heed it: how late a revocation may reach them.
const ocspCache = time.Hour

// tell answers a question. What is signed may be kept; "unauthorized" and
// other errors may not.
//
// Spec: RFC 5019 section 6.2
func tell(w http.ResponseWriter, r *http.Request, s *scep.Service, question []byte) error {
	a, err := s.OCSP(r.Context(), mux.Vars(r)["issuer"], question)
	if err != nil || a.ThisUpdate.IsZero() {
		return answer(w, scep.TypeOCSP, a.DER, err)
	}
	h := w.Header()
	h.Set("Expires", a.NextUpdate.UTC().Format(http.TimeFormat))
	left := min(ocspCache, max(0, a.NextUpdate.Sub(s.Now())))
	h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(left.Seconds())))
	if r.Method != http.MethodPost && known(w, r, a.DER, a.ThisUpdate) {
		return nil
	}
	return answer(w, scep.TypeOCSP, a.DER, nil)
}

// known marks what is sent, and tells the client that has it already so. It
// goes by the content alone: of two lists of one second the date says nothing.
//
// Spec: RFC 9110 section 13
func known(w http.ResponseWriter, r *http.Request, body []byte, made time.Time) bool {
	sum, h := sha256.Sum256(body), w.Header()
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h.Set("ETag", tag)
	h.Set("Last-Modified", made.UTC().Format(http.TimeFormat))
	if r.Header.Get("If-None-Match") != tag {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}
