package transittest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// key is a named key with its versions, the first one at 0.
type key struct {
	kind                          string
	versions                      [][]byte
	least                         int
	derived, exportable, deletion bool
}

func newKey(kind string) *key {
	k := &key{kind: kind, least: 1}
	k.rotate()
	return k
}

func (k *key) rotate() {
	v := make([]byte, 32)
	rand.Read(v)
	k.versions = append(k.versions, v)
}

// AddKey makes another key, such as one of type rsa-2048, which takes no
// associated data.
func (s *Server) AddKey(name, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name] = newKey(kind)
}

// Rotate adds a version to the key, and retires those below least.
func (s *Server) Rotate(least int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[Key].rotate()
	s.keys[Key].least = least
}

// Loosen makes the key exportable and deletable.
func (s *Server) Loosen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[Key].exportable, s.keys[Key].deletion = true, true
}

// Replace puts another key in the place of the key.
func (s *Server) Replace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[Key] = newKey("aes256-gcm96")
}

// strict reads JSON with these fields and no others.
func strict(body []byte, into any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(into) == nil
}

// transit answers what is below the mount. The policy of every token allows to
// read and to use keys, and not to make them.
func (s *Server) transit(w http.ResponseWriter, path string, reads, writes bool, body []byte) {
	operation, name, _ := strings.Cut(strings.TrimPrefix(path, Mount+"/"), "/")
	k := s.keys[name]
	switch {
	case !strings.HasPrefix(path, Mount+"/"):
		fail(w, http.StatusNotFound, `no handler for route "`+path+`". route entry not found.`)
	case operation == "keys" && reads && k == nil:
		fail(w, http.StatusNotFound)
	case operation == "keys" && reads:
		reply(w, map[string]any{"data": map[string]any{"name": name, "type": k.kind, "latest_version": len(k.versions), "min_decryption_version": k.least,
			"derived": k.derived, "exportable": k.exportable, "allow_plaintext_backup": false, "deletion_allowed": k.deletion}})
	case operation == "encrypt" && writes && k == nil:
		fail(w, http.StatusForbidden, "permission denied") // it would be made
	case operation == "encrypt" && writes:
		k.encrypt(w, body)
	case operation == "decrypt" && writes && k == nil:
		fail(w, http.StatusBadRequest, "encryption key not found")
	case operation == "decrypt" && writes:
		k.decrypt(w, body)
	case operation == "encrypt", operation == "decrypt", operation == "keys":
		fail(w, http.StatusMethodNotAllowed, "unsupported operation")
	default:
		fail(w, http.StatusForbidden, "permission denied")
	}
}

// aead refuses keys that cannot have associated data.
func (k *key) aead(version int) (cipher.AEAD, error) {
	if k.kind != "aes256-gcm96" {
		return nil, fmt.Errorf("'[0].associated_data' provided for non-AEAD cipher suite %v", k.kind)
	}
	block, err := aes.NewCipher(k.versions[version-1])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k *key) encrypt(w http.ResponseWriter, body []byte) {
	var in struct {
		Plain *string `json:"plaintext"`
		Bound []byte  `json:"associated_data"`
	}
	if !strict(body, &in) || in.Plain == nil {
		fail(w, http.StatusBadRequest, "missing plaintext to encrypt")
		return
	}
	plain, err := base64.StdEncoding.DecodeString(*in.Plain)
	if err != nil {
		fail(w, http.StatusBadRequest, "failed to base64-decode plaintext")
		return
	}
	aead, err := k.aead(len(k.versions))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	text := base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, in.Bound))
	reply(w, map[string]any{"data": map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", len(k.versions), text), "key_version": len(k.versions)}})
}

func (k *key) decrypt(w http.ResponseWriter, body []byte) {
	var in struct {
		Text  string `json:"ciphertext"`
		Bound []byte `json:"associated_data"`
	}
	if !strict(body, &in) || in.Text == "" {
		fail(w, http.StatusBadRequest, "missing ciphertext to decrypt")
		return
	}
	plain, err := k.open(in.Text, in.Bound)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	reply(w, map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}})
}

func (k *key) open(text string, bound []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, "vault:v")
	digits, sealed, more := strings.Cut(rest, ":")
	version, err := strconv.Atoi(digits)
	switch {
	case !ok || !more || err != nil:
		return nil, fmt.Errorf("invalid ciphertext: no prefix")
	case version > len(k.versions):
		return nil, fmt.Errorf("invalid ciphertext: version is too new")
	case version < k.least:
		return nil, fmt.Errorf("ciphertext or signature version is disallowed by policy (too old)")
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	aead, unfit := k.aead(version)
	switch {
	case unfit != nil:
		return nil, unfit
	case err != nil || len(raw) < aead.NonceSize():
		return nil, fmt.Errorf("invalid ciphertext: could not decode base64")
	}
	return aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], bound)
}
