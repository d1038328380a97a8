// Package msgraphtest is Microsoft's cloud for tests: a tenant with users, the
// part of Graph that takes imported certificates, and a connector that has the
// private key which they come encrypted to. It is strict: it takes what the
// documentation names and Intune's module sends, and refuses everything else as
// Graph does, without a reason.
package msgraphtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// What a tenant is made of.
const (
	Tenant   = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
	ClientID = "0f8fad5b-d9cb-469f-a165-70867728950e"
	Secret   = "secret~that.nobody-may-log"
	Provider = "Microsoft Software Key Storage Provider"
	KeyName  = "PFXEncryptionKey"
)

// User is an account.
type User struct {
	ID      string   `json:"id"`
	UPN     string   `json:"userPrincipalName"`
	Mail    string   `json:"mail"`
	Proxies []string `json:"proxyAddresses"`
}

// Held is what the tenant has.
type Held struct {
	Account string
	Object
	Certificate *x509.Certificate // opened by the connector
	Key         any
	Writes      int
}

// Trouble is an answer instead of the right one.
type Trouble struct {
	Status int
	After  string // Retry-After
}

// Server is one tenant.
type Server struct {
	*httptest.Server
	Connector *rsa.PrivateKey

	mu      sync.Mutex
	users   map[string]User // by UPN, lower case
	held    map[string]Held // by id
	tokens  map[string]bool
	used    map[string]bool // assertions
	trusted *x509.Certificate
	play    map[string][]Trouble // by method and kind
	asked   map[string]int
	lost    bool // the answer to the next write
}

var connectorKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// Start runs one on a loopback address.
func Start() *Server {
	s := &Server{Connector: connectorKey(), users: map[string]User{}, held: map[string]Held{}, tokens: map[string]bool{}, used: map[string]bool{},
		play: map[string][]Trouble{}, asked: map[string]int{}}
	s.Server = httptest.NewTLSServer(s)
	return s
}

// TokenURL is where tokens are had, GraphURL where Graph is.
func (s *Server) TokenURL() string { return s.URL + "/" + Tenant + "/oauth2/v2.0/token" }

// GraphURL is the address of Graph, with the version.
func (s *Server) GraphURL() string { return s.URL + "/beta" }

// PublicKey is the connector's, PEM.
func (s *Server) PublicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.Connector.Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Add makes an account.
func (s *Server) Add(upn, mail string, proxies ...string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := User{uuid.NewString(), upn, mail, proxies}
	s.users[strings.ToLower(upn)] = u
	return u
}

// Trust lets that certificate sign in.
func (s *Server) Trust(c *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted = c
}

// Expire ends all tokens.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Play answers the next requests of that kind so: "token", "users", or the method
// of a request about certificates.
func (s *Server) Play(what string, list ...Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.play[what] = list
}

// Lose cuts the answer to the next write, after it was done.
func (s *Server) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
}

// Asked counts the requests of that kind.
func (s *Server) Asked(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

// Held gives what the tenant has, by id.
func (s *Server) Held() map[string]Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.held)
}

const maxBody = 4 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("request-id", uuid.NewString())
	what := kindOf(r)
	s.asked[what]++
	if list := s.play[what]; len(list) > 0 {
		s.play[what] = list[1:]
		if list[0].After != "" {
			w.Header().Set("Retry-After", list[0].After)
		}
		fail(w, list[0].Status, "trouble")
		return
	}
	switch {
	case what == "token":
		s.token(w, r, string(body))
	case !s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]:
		fail(w, http.StatusUnauthorized, "InvalidAuthenticationToken")
	case what == "users":
		s.findUser(w, r)
	case what == "":
		fail(w, http.StatusNotFound, "ResourceNotFound")
	default:
		s.certificates(w, r, body)
	}
}

const pfxPath = "/beta/deviceManagement/userPfxCertificates"

func kindOf(r *http.Request) string {
	switch {
	case r.URL.Path == "/"+Tenant+"/oauth2/v2.0/token" && r.Method == http.MethodPost:
		return "token"
	case r.URL.Path == "/beta/users" && r.Method == http.MethodGet:
		return "users"
	case strings.HasPrefix(r.URL.Path, pfxPath):
		return r.Method
	}
	return ""
}

// fail answers as Graph does.
func fail(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code,
		"message": `{"_version": 3, "Message": "An error has occurred - Operation ID (for customer support): 00000000-0000-0000-0000-000000000000"}`}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// findUser knows one form of filter, as the module sends it.
func (s *Server) findUser(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	filter, is := strings.CutPrefix(q.Get("$filter"), "userPrincipalName eq '")
	upn, closed := strings.CutSuffix(filter, "'")
	if err != nil || !is || !closed || strings.Contains(strings.ReplaceAll(upn, "''", ""), "'") || strings.Contains(r.URL.RawQuery, "+") {
		fail(w, http.StatusBadRequest, "BadRequest")
		return
	}
	found := []User{}
	if u, ok := s.users[strings.ToLower(strings.ReplaceAll(upn, "''", "'"))]; ok {
		found = append(found, u)
	}
	answer(w, http.StatusOK, map[string]any{"value": found})
}
