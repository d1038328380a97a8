// Package federationtest is an OpenID provider for tests: discovery, keys, and
// tokens in both of Entra's shapes, signed by hand so that it shares nothing with
// what is tested. It can be told to misbehave.
package federationtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// What the tokens are about.
const (
	Tenant   = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
	Audience = "https://signet.example.com"
	Program  = "0f8fad5b-d9cb-469f-a165-70867728950e"
	Person   = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	Role     = "Certificates.Import"
	Scope    = "Certificates.Import"
)

// Server is one provider.
type Server struct {
	*httptest.Server
	mu    sync.Mutex
	key   *rsa.PrivateKey
	id    int
	asked map[string]int
	play  func(http.ResponseWriter, *http.Request) bool
}

// The addresses that it answers.
const (
	Discovery = "/" + Tenant + "/v2.0/.well-known/openid-configuration"
	Keys      = "/" + Tenant + "/discovery/v2.0/keys"
)

// Start runs one on a loopback address.
func Start() *Server {
	s := &Server{asked: map[string]int{}, key: first(), id: 1}
	s.Server = httptest.NewTLSServer(s)
	return s
}

// Issuer is its name in tokens.
func (s *Server) Issuer() string { return s.URL + "/" + Tenant + "/v2.0" }

// first is the key that each begins with.
var first = sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// Rotate has it sign with another key, and forget the one before.
func (s *Server) Rotate() {
	key := newKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.id = key, s.id+1
}

// Key is the one that it signs with.
func (s *Server) Key() *rsa.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// Play has f answer instead, as long as it says that it did; nil ends that.
func (s *Server) Play(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.play = f
}

// Asked tells how often that address was asked.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	play, key, id := s.play, s.key, s.kid()
	s.mu.Unlock()
	switch {
	case play != nil && play(w, r):
	case r.Method != http.MethodGet:
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
	case r.URL.Path == Discovery:
		answer(w, map[string]any{"issuer": s.Issuer(), "jwks_uri": s.URL + Keys, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"pairwise"},
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	case r.URL.Path == Keys:
		answer(w, map[string]any{"keys": []any{
			map[string]string{"kty": "oct", "kid": "x", "k": "c2VjcmV0"},
			map[string]string{"kty": "RSA", "use": "sig", "kid": id, "n": text(key.N.Bytes()), "e": text(big.NewInt(int64(key.E)).Bytes())}}})
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) kid() string { return fmt.Sprintf("key-%d", s.id) }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Claims are the parts of a token; nil takes one out.
type Claims map[string]any

// ForProgram gives the claims of a program's token, in version 2.
func (s *Server) ForProgram() Claims {
	now := time.Now()
	return Claims{"iss": s.Issuer(), "aud": Audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "tid": Tenant, "ver": "2.0",
		"azp": Program, "azpacr": "1", "oid": "11111111-2222-4333-8444-555555555555", "sub": "11111111-2222-4333-8444-555555555555", "roles": []string{Role}}
}

// ForPerson gives the claims of a person's token, in version 2.
func (s *Server) ForPerson() Claims {
	return s.ForProgram().But(Claims{"oid": Person, "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "scp": "profile " + Scope, "name": "Alice"})
}

// Version1 gives them in the older shape.
func (c Claims) Version1() Claims {
	return c.But(Claims{"ver": "1.0", "appid": c["azp"], "appidacr": c["azpacr"], "azp": nil, "azpacr": nil})
}

// But gives them with others.
func (c Claims) But(others Claims) Claims {
	c = maps.Clone(c)
	for k, v := range others {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// Sign makes a token as the provider does.
func (s *Server) Sign(c Claims) string {
	s.mu.Lock()
	key, id := s.key, s.kid()
	s.mu.Unlock()
	return SignWith(Claims{"alg": "RS256", "typ": "JWT", "kid": id}, c, func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return sig
	})
}

// SignWith makes a token under any header and signature.
//
// Spec: RFC 7515 section 3.1
func SignWith(header, c Claims, sign func(input []byte) []byte) string {
	input := text(encode(header)) + "." + text(encode(c))
	return input + "." + text(sign([]byte(input)))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
