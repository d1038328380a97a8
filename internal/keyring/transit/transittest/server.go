// Package transittest is a strict double of OpenBao with its engine Transit: it
// refuses what the real one refuses, and may be sealed, slow, busy or broken.
// Its cryptography is real. Start at [Start].
//
// Spec: OpenBao HTTP API, Transit secrets engine
package transittest

import (
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Names that a server starts with.
const (
	Mount    = "transit"
	Key      = "signet"
	RoleID   = "7f7e3c0a-5b7b-4f6e-9d0e-signet-role"
	SecretID = "0d2c6b1e-secret-id"
)

// Server is the double. It is safe for concurrent use.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]*key
	tokens  map[string]*token
	sealed  bool
	trouble []Trouble
	asked   []string // method and path of each request
}

// token is one that was given out.
type token struct {
	ttl, whole int64 // seconds; 0: it does not end
	renewable  bool
}

// Trouble is what happens to one request instead of an answer.
type Trouble struct {
	Path   string        // part of the path of the requests that meet it
	Status int           // this status, with a body that is no JSON; 0: an answer
	After  string        // its Retry-After
	Slow   time.Duration // wait first
	Drop   bool          // close the connection
	Body   string        // this body, with Status or 200
}

// Start runs a server with the key [Key] of type aes256-gcm96.
func Start() *Server {
	s := &Server{keys: map[string]*key{Key: newKey("aes256-gcm96")}, tokens: map[string]*token{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	return s
}

// CA is the PEM of the certificate to trust.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// NewToken gives out a token that lasts so many seconds; 0: for ever.
func (s *Server) NewToken(seconds int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := "s." + rand.Text()
	s.tokens[name] = &token{seconds, seconds, seconds > 0}
	return name
}

// Age lets the tokens grow older by so many seconds.
func (s *Server) Age(seconds int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tokens {
		if t.ttl > 0 {
			if t.ttl -= seconds; t.ttl <= 0 {
				delete(s.tokens, name)
			}
		}
	}
}

// Revoke ends all tokens.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Seal seals the server, or unseals it.
func (s *Server) Seal(sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = sealed
}

// Play makes the next requests of its path meet each trouble, in order.
func (s *Server) Play(list ...Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = append(s.trouble, list...)
}

// Heal ends all trouble.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = nil
}

// Asked counts the requests whose method and path contain that.
func (s *Server) Asked(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if strings.Contains(a, what) {
			n++
		}
	}
	return n
}

// next takes the trouble that a request meets.
func (s *Server) next(path string) (Trouble, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range s.trouble {
		if strings.Contains(path, t.Path) {
			s.trouble = append(s.trouble[:i:i], s.trouble[i+1:]...)
			return t, true
		}
	}
	return Trouble{}, false
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // only then it shows that the client hangs up
	if t, met := s.next(r.URL.Path); met && t.meet(w, r) {
		return
	}
	if err != nil || r.URL.RawQuery != "" {
		fail(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer(w, r, body)
}

// meet tells whether the request has got its answer.
func (t Trouble) meet(w http.ResponseWriter, r *http.Request) bool {
	select {
	case <-time.After(t.Slow):
	case <-r.Context().Done():
		panic(http.ErrAbortHandler) // no answer, not an empty one
	}
	if t.Drop {
		panic(http.ErrAbortHandler)
	}
	if t.Status == 0 && t.Body == "" {
		return false
	}
	if t.After != "" {
		w.Header().Set("Retry-After", t.After)
	}
	if t.Status != 0 {
		w.WriteHeader(t.Status)
	}
	io.WriteString(w, t.Body)
	return true
}

// answer does what the server itself does.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	reads, writes := r.Method == http.MethodGet, r.Method == http.MethodPost || r.Method == http.MethodPut
	switch {
	case !ok:
		fail(w, http.StatusNotFound)
	case path == "sys/health" && reads:
		s.health(w)
	case s.sealed:
		fail(w, http.StatusServiceUnavailable, "Vault is sealed")
	case path == "auth/approle/login" && writes:
		s.login(w, body)
	case s.tokens[r.Header.Get("X-Vault-Token")] == nil:
		fail(w, http.StatusForbidden, "permission denied")
	case path == "auth/token/lookup-self" && reads:
		t := s.tokens[r.Header.Get("X-Vault-Token")]
		reply(w, map[string]any{"data": map[string]any{"ttl": t.ttl, "creation_ttl": t.whole, "renewable": t.renewable}})
	case path == "auth/token/renew-self" && writes:
		s.renew(w, s.tokens[r.Header.Get("X-Vault-Token")])
	default:
		s.transit(w, path, reads, writes, body)
	}
}

func (s *Server) health(w http.ResponseWriter) {
	if s.sealed {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(map[string]any{"initialized": true, "sealed": s.sealed, "standby": false})
}

func (s *Server) login(w http.ResponseWriter, body []byte) {
	var in struct {
		Role   string `json:"role_id"`
		Secret string `json:"secret_id"`
	}
	if !strict(body, &in) || in.Role != RoleID || in.Secret != SecretID {
		fail(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	name := "s." + rand.Text()
	s.tokens[name] = &token{3600, 3600, true}
	reply(w, map[string]any{"auth": map[string]any{"client_token": name, "lease_duration": 3600, "renewable": true}})
}

func (s *Server) renew(w http.ResponseWriter, t *token) {
	if !t.renewable {
		fail(w, http.StatusBadRequest, "lease is not renewable")
		return
	}
	t.ttl = t.whole
	reply(w, map[string]any{"auth": map[string]any{"lease_duration": t.ttl, "renewable": true}})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, errors ...string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, errors...)})
}
