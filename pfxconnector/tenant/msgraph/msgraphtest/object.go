package msgraphtest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"hash"
	"net/http"
	"regexp"
	"strings"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// Object is a userPFXCertificate.
//
// Spec: Microsoft Graph beta, userPFXCertificate
type Object struct {
	Thumbprint string    `json:"thumbprint"`
	Purpose    string    `json:"intendedPurpose"`
	UPN        string    `json:"userPrincipalName"`
	Start      time.Time `json:"startDateTime"`
	Expiration time.Time `json:"expirationDateTime"`
	Provider   string    `json:"providerName"`
	Key        string    `json:"keyName"`
	Padding    string    `json:"paddingScheme"`
	Blob       []byte    `json:"encryptedPfxBlob"`
	Password   []byte    `json:"encryptedPfxPassword"`
	Created    time.Time `json:"createdDateTime"`
	Modified   time.Time `json:"lastModifiedDateTime"`
}

// shown is one as it is answered: secrets are written only.
type shown struct {
	Type string `json:"@odata.type"`
	ID   string `json:"id"`
	Object
	Blob     []byte `json:"encryptedPfxBlob"`
	Password string `json:"encryptedPfxPassword"`
}

func show(id string, o Object) shown {
	return shown{"#microsoft.graph.userPFXCertificate", id, o, []byte{0}, ""}
}

var (
	thumbprintForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	slashKey       = regexp.MustCompile(`^/([0-9a-f]{32}-[0-9a-f]{40})$`)
	bracketKey     = regexp.MustCompile(`^\(([0-9a-f]{32}-[0-9a-f]{40})\)$`)
)

// certificates answers about certificates. Writes have the forms that the module
// sends, and no others.
func (s *Server) certificates(w http.ResponseWriter, r *http.Request, body []byte) {
	rest := strings.TrimPrefix(r.URL.Path, pfxPath)
	form := slashKey
	if r.Method == http.MethodPatch {
		form = bracketKey
	}
	id := ""
	if m := form.FindStringSubmatch(rest); m != nil {
		id = m[1]
	}
	held, there := s.held[id]
	switch {
	case r.Method == http.MethodPost && rest == "":
		s.create(w, r, body)
	case id == "" || !there:
		fail(w, http.StatusNotFound, "ResourceNotFound")
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, map[string]any{"value": show(id, held.Object)})
	case r.Method == http.MethodPatch:
		s.update(w, r, id, body)
	case r.Method == http.MethodDelete:
		delete(s.held, id)
		s.done(w, http.StatusNoContent, nil)
	default:
		fail(w, http.StatusMethodNotAllowed, "BadRequest")
	}
}

// done answers a write, unless the answer is to be lost.
func (s *Server) done(w http.ResponseWriter, status int, v any) {
	if s.lost {
		s.lost = false
		panic(http.ErrAbortHandler)
	}
	if v == nil {
		w.WriteHeader(status)
		return
	}
	answer(w, status, v)
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, body []byte) {
	h, ok := s.take(r, body)
	id := strings.ReplaceAll(h.Account, "-", "") + "-" + h.Thumbprint
	if _, there := s.held[id]; !ok || there {
		fail(w, http.StatusBadRequest, "BadRequest")
		return
	}
	h.Writes = 1
	s.held[id] = h
	s.done(w, http.StatusCreated, show(id, h.Object))
}

func (s *Server) update(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	h, ok := s.take(r, body)
	was := s.held[id]
	if !ok || strings.ReplaceAll(h.Account, "-", "")+"-"+h.Thumbprint != id {
		fail(w, http.StatusBadRequest, "BadRequest")
		return
	}
	h.Writes = was.Writes + 1
	s.held[id] = h
	s.done(w, http.StatusOK, show(id, h.Object))
}

// take reads an object and has the connector open it.
func (s *Server) take(r *http.Request, body []byte) (Held, bool) {
	var h Held
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if r.Header.Get("Content-Type") != "application/json" || d.Decode(&h.Object) != nil || d.More() {
		return h, false
	}
	u, known := s.users[strings.ToLower(h.UPN)]
	h.Account = u.ID
	h.Purpose, h.Padding = camel(h.Purpose), camel(h.Padding)
	if !known || !thumbprintForm.MatchString(h.Thumbprint) || h.Provider != Provider || h.Object.Key != KeyName ||
		h.Purpose != "smimeEncryption" && h.Purpose != "smimeSigning" && h.Purpose != "unassigned" {
		return h, false
	}
	return h, s.open(&h)
}

// camel makes both forms of a name one.
func camel(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}

var hashes = map[string]func() hash.Hash{"oaepSha256": sha256.New, "oaepSha384": sha512.New384, "oaepSha512": sha512.New}

// open does what the connector and a device do together: decrypts the password
// and opens the file.
func (s *Server) open(h *Held) bool {
	newHash, known := hashes[h.Padding]
	if !known {
		return false
	}
	password, err := rsa.DecryptOAEP(newHash(), nil, s.Connector, h.Password, nil)
	if err != nil || len(password) < 22 { // 128 bits in base64
		return false
	}
	key, leaf, _, err := pkcs12.DecodeChain(h.Blob, string(password))
	if err != nil {
		return false
	}
	sum := sha1.Sum(leaf.Raw)
	public, _ := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	h.Certificate, h.Key = leaf, key
	return hex.EncodeToString(sum[:]) == h.Thumbprint && bytes.Equal(public, leaf.RawSubjectPublicKeyInfo) &&
		h.Start.Equal(leaf.NotBefore) && h.Expiration.Equal(leaf.NotAfter)
}
