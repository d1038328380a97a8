// Package intunetest is a double of the parts of Microsoft's cloud that validate
// certificate requests: the token endpoint of Entra ID, the list of services in
// Graph, and two services of Intune. It is built from Microsoft's documentation
// and the constants of its libraries, not from a tenant. It refuses what the
// real services refuse, and misbehaves when told to.
package intunetest

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// What the tenant is called and who may ask.
const (
	Tenant   = "11111111-2222-4333-8444-555555555555"
	ClientID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	Secret   = "secret~of.the-app_registration"
	resource = "https://api.manage.microsoft.com/"
)

// Where requests go.
const (
	Token    = "token"
	Discover = "discover"
	Validate = "validateRequest"
	Success  = "successNotification"
	Failure  = "failureNotification"
	Download = "downloadRevocationRequests"
	Upload   = "uploadRevocationResults"
)

// Trouble is a misbehaviour.
type Trouble struct {
	Status int           // 0: 200
	Body   string        // what is answered
	Huge   bool          // a body without end
	After  string        // Retry-After
	To     string        // Location
	Wait   time.Duration // before it answers
	Hang   bool          // until the client hangs up
}

// Server is the double.
type Server struct {
	*httptest.Server

	mu         sync.Mutex
	trouble    map[string][]Trouble
	tokens     map[string]string // audience by token
	lifetime   int
	unlisted   bool
	noConsent  bool
	byService  bool
	challenges map[string]Expected
	answers    []string
	asked      map[string]int
	successes  []Notice
	failures   []Notice
	wishes     []wish
	results    map[string]string
}

// Expected is what a challenge is for.
type Expected struct {
	CommonName string
	Mail       string
	Expired    bool
	Unassigned bool
}

// Notice is what a client told.
type Notice struct {
	Transaction string
	Request     *x509.CertificateRequest
	Thumbprint  string
	Serial      string
	Expires     time.Time
	Reason      string
}

type wish struct {
	Context string `json:"requestContext"`
	Serial  string `json:"serialNumber"`
	Issuer  string `json:"issuerName"`
	Config  string `json:"caConfiguration"`
}

// Start starts it, on loopback and with a TLS certificate of its own.
func Start() *Server {
	s := &Server{trouble: map[string][]Trouble{}, tokens: map[string]string{}, lifetime: 3599, challenges: map[string]Expected{},
		asked: map[string]int{}, results: map[string]string{}}
	m := http.NewServeMux()
	m.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.at(Token, s.token))
	m.HandleFunc("GET /v1.0/servicePrincipals/{app}/endpoints", s.at(Discover, s.discover))
	for action, f := range map[string]func(map[string]json.RawMessage) (any, string){
		Validate: s.validate, Success: s.success, Failure: s.failure,
	} {
		m.HandleFunc("POST /fe/scep/ScepActions/"+action, s.at(action, s.service("2018-02-20", f)))
	}
	for action, f := range map[string]func(map[string]json.RawMessage) (any, string){Download: s.download, Upload: s.upload} {
		m.HandleFunc("POST /fe/pki/CertificateAuthorityRequests/"+action, s.at(action, s.service("5019-05-05", f)))
	}
	s.Server = httptest.NewTLSServer(m)
	return s
}

// at notes that something was asked, and misbehaves there if it is to.
func (s *Server) at(where string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[where]++
		var t *Trouble
		if queue := s.trouble[where]; len(queue) > 0 {
			t, s.trouble[where] = &queue[0], queue[1:]
		}
		s.mu.Unlock()
		if t == nil {
			next(w, r)
			return
		}
		t.play(w, r)
	}
}

func (t *Trouble) play(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if t.Hang {
		<-r.Context().Done()
		return
	}
	time.Sleep(t.Wait)
	if t.After != "" {
		w.Header().Set("Retry-After", t.After)
	}
	if t.To != "" {
		w.Header().Set("Location", t.To)
	}
	w.Header().Set("Content-Type", "application/json")
	if t.Status != 0 {
		w.WriteHeader(t.Status)
	}
	io.WriteString(w, t.Body)
	for chunk := bytes.Repeat([]byte(" "), 1<<16); t.Huge; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// Spec: RFC 6749 sections 4.4 and 5
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	form, err := url.ParseQuery(string(body))
	audience, scoped := strings.CutSuffix(form.Get("scope"), "/.default")
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"error_description":"AADSTS: %s"}`, code, code)
	}
	switch {
	case err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || form.Get("grant_type") != "client_credentials":
		refuse(http.StatusBadRequest, "unsupported_grant_type")
	case r.PathValue("tenant") != Tenant:
		refuse(http.StatusBadRequest, "invalid_request")
	case form.Get("client_id") != ClientID || form.Get("client_secret") != Secret:
		refuse(http.StatusUnauthorized, "invalid_client")
	case !scoped || audience != resource && audience != s.URL:
		refuse(http.StatusBadRequest, "invalid_scope")
	default:
		t := "eyJ" + rand.Text()
		s.mu.Lock()
		s.tokens[t] = audience
		life := s.lifetime
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":%d,"ext_expires_in":%d,"access_token":%q}`, life, life, t)
	}
}

// bearer tells whether the request has a token for the audience.
func (s *Server) bearer(r *http.Request, audience string) bool {
	t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && s.tokens[t] == audience
}

func (s *Server) discover(w http.ResponseWriter, r *http.Request) {
	if !s.bearer(r, s.URL) {
		http.Error(w, `{"error":{"code":"InvalidAuthenticationToken"}}`, http.StatusUnauthorized)
		return
	}
	if r.PathValue("app") != "appId=0000000a-0000-0000-c000-000000000000" {
		http.Error(w, `{"error":{"code":"Request_ResourceNotFound"}}`, http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := "providerName"
	if s.byService {
		name = "serviceName"
	}
	list := []map[string]string{
		{name: "GraphConnectorService", "uri": "https://other.invalid/x"},
		{name: "PkiConnectorFEService", "uri": s.URL + "/fe/pki"},
	}
	if !s.unlisted {
		list = append(list, map[string]string{name: "ScepRequestValidationFEService", "uri": s.URL + "/fe/scep/"})
	}
	reply(w, map[string]any{"value": list})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(v)
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// service lets in what has a token, the headers and one JSON object.
func (s *Server) service(version string, f func(map[string]json.RawMessage) (answer any, wrong string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		noConsent := s.noConsent
		s.mu.Unlock()
		media, charset, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		switch {
		case !s.bearer(r, resource):
			http.Error(w, "", http.StatusUnauthorized)
		case noConsent:
			http.Error(w, "", http.StatusForbidden)
		case r.Header.Get("api-version") != version:
			http.Error(w, "api-version", http.StatusBadRequest)
		case !guid.MatchString(r.Header.Get("client-request-id")):
			http.Error(w, "client-request-id", http.StatusBadRequest)
		case media != "application/json" || strings.TrimSpace(strings.ToLower(charset)) != "charset=utf-8":
			http.Error(w, "", http.StatusUnsupportedMediaType)
		default:
			var body map[string]json.RawMessage
			if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&body); err != nil {
				http.Error(w, "body", http.StatusBadRequest)
				return
			}
			answer, wrong := f(body)
			if wrong != "" {
				http.Error(w, wrong, http.StatusBadRequest)
				return
			}
			reply(w, answer)
		}
	}
}
