package federation_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/access/federation"
	"github.com/signet-mdm/signet/internal/access/federation/federationtest"
	"github.com/signet-mdm/signet/internal/journal"
)

type claims = federationtest.Claims

// world is a provider and who believes it, by a clock of its own.
type world struct {
	t *testing.T
	*federationtest.Server
	*federation.Verifier
	mu    sync.Mutex
	later time.Duration
}

func newWorld(t *testing.T, change ...func(*federation.Config)) *world {
	t.Helper()
	w := &world{t: t, Server: federationtest.Start()}
	t.Cleanup(w.Server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(w.Certificate())
	c := federation.Config{Issuer: w.Server.Issuer(), Audiences: []string{"other", federationtest.Audience}, Tenant: federationtest.Tenant,
		Programs: []string{"another", federationtest.Program}, Role: federationtest.Role, Scope: federationtest.Scope,
		TLS: pool, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: w.now}
	for _, f := range change {
		f(&c)
	}
	w.Verifier = federation.New(c)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.later)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.later += d
}

// want shows a token and compares; nil means that it is taken.
func (w *world) want(name, token string, want error) {
	w.t.Helper()
	c, err := w.Token(w.t.Context(), token, "192.0.2.1")
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		w.t.Errorf("%s: got %v, want %v", name, err, want)
	}
	if (err == nil) != (c.Role == access.Importer) {
		w.t.Errorf("%s: got role %q beside %v", name, c.Role, err)
	}
}

func TestTaken(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		claims claims
		who    string
	}{
		"a program":              {w.ForProgram(), "program " + federationtest.Program},
		"a program, version 1":   {w.ForProgram().Version1(), "program " + federationtest.Program},
		"a person":               {w.ForPerson(), "person " + federationtest.Person + " by " + federationtest.Program},
		"a person, version 1":    {w.ForPerson().Version1(), "person " + federationtest.Person + " by " + federationtest.Program},
		"several audiences":      {w.ForProgram().But(claims{"aud": []string{"account", federationtest.Audience}}), "program " + federationtest.Program},
		"both names of programs": {w.ForProgram().But(claims{"appid": federationtest.Program}), "program " + federationtest.Program},
		"no object":              {w.ForPerson().But(claims{"oid": nil, "sub": "alice"}), "person alice by " + federationtest.Program},
	} {
		got, err := w.Token(t.Context(), w.Sign(c.claims), "192.0.2.1")
		want := access.Caller{Actor: journal.Actor{Kind: journal.Federated, ID: c.who, Remote: "192.0.2.1"}, Role: access.Importer}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	if d, k := w.Asked(federationtest.Discovery), w.Asked(federationtest.Keys); d != 1 || k != 1 {
		t.Errorf("asked %d and %d times for many tokens, want once each", d, k)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	bad, denied := error(access.ErrUnauthenticated), error(access.ErrDenied)
	for name, c := range map[string]struct {
		differs claims
		want    error
	}{
		"another audience":         {claims{"aud": "https://graph.microsoft.com"}, bad},
		"no audience":              {claims{"aud": nil}, bad},
		"part of the audience":     {claims{"aud": federationtest.Audience + "/"}, bad},
		"expired":                  {claims{"exp": now.Add(-time.Second).Unix()}, bad},
		"without an end":           {claims{"exp": nil}, bad},
		"not yet good":             {claims{"nbf": now.Add(time.Hour).Unix()}, bad},
		"another issuer":           {claims{"iss": "https://sts.windows.net/" + federationtest.Tenant + "/"}, bad},
		"no issuer":                {claims{"iss": nil}, bad},
		"another tenant":           {claims{"tid": "00000000-0000-4000-8000-000000000000"}, bad},
		"no tenant":                {claims{"tid": nil}, bad},
		"another program":          {claims{"azp": "00000000-0000-4000-8000-000000000000"}, bad},
		"no program":               {claims{"azp": nil}, bad},
		"two programs":             {claims{"appid": "another"}, bad},
		"an ID token":              {claims{"sub": "AAAA", "nonce": "x"}, bad},
		"an ID token, older":       {claims{"azp": nil, "sub": "AAAA"}, bad},
		"no roles":                 {claims{"roles": nil}, denied},
		"other roles":              {claims{"roles": []string{"certificates.import", ""}}, denied},
		"roles of another form":    {claims{"roles": federationtest.Role}, bad},
		"a person without scope":   {claims{"scp": ""}, denied},
		"a person, another scope":  {claims{"scp": federationtest.Scope + "x User.Read"}, denied},
		"a person without a role":  {claims{"scp": federationtest.Scope, "roles": nil}, denied},
		"a person without a name":  {claims{"scp": federationtest.Scope, "oid": nil, "sub": nil}, bad},
		"a person of another form": {claims{"scp": federationtest.Scope, "oid": "a\nb"}, bad},
		"a claim from elsewhere":   {claims{"_claim_names": map[string]string{"roles": "x"}, "_claim_sources": map[string]any{"x": map[string]string{"endpoint": w.URL + "/elsewhere"}}, "roles": nil}, denied},
	} {
		w.want(name, w.Sign(w.ForProgram().But(c.differs)), c.want)
	}
	if w.Asked("/elsewhere") != 0 {
		t.Error("an address in a token was asked")
	}
	if w.Asked(federationtest.Keys) != 1 {
		t.Errorf("keys were fetched %d times, want once", w.Asked(federationtest.Keys))
	}
}

// Signatures of others, in every way.
func TestForged(t *testing.T) {
	w := newWorld(t)
	good := w.Sign(w.ForProgram())
	w.want("the good one", good, nil)
	other := federationtest.Start()
	defer other.Close()
	other.Rotate()
	public, err := x509.MarshalPKIXPublicKey(w.Key().Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := func(key []byte) func([]byte) []byte {
		return func(input []byte) []byte { m := hmac.New(sha256.New, key); m.Write(input); return m.Sum(nil) }
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, curve, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	none := func([]byte) []byte { return nil }
	head := func(alg string) claims { return claims{"alg": alg, "kid": "key-1"} }
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"another's key":            other.Sign(w.ForProgram()),
		"none":                     federationtest.SignWith(head("none"), w.ForProgram(), none),
		"None":                     federationtest.SignWith(head("None"), w.ForProgram(), none),
		"no signature":             parts[0] + "." + parts[1] + ".",
		"HS256, public key":        federationtest.SignWith(head("HS256"), w.ForProgram(), secret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))),
		"HS256, DER":               federationtest.SignWith(head("HS256"), w.ForProgram(), secret(public)),
		"HS256, the published one": federationtest.SignWith(claims{"alg": "HS256", "kid": "x"}, w.ForProgram(), secret([]byte("secret"))),
		"RS1":                      federationtest.SignWith(head("RS1"), w.ForProgram(), none),
		"RS512":                    federationtest.SignWith(head("RS512"), w.ForProgram(), none),
		"ES256 of its own": federationtest.SignWith(claims{"alg": "ES256", "jwk": claims{"kty": "EC", "crv": "P-256", "x": "", "y": ""}, "jku": w.URL + "/elsewhere"},
			w.ForProgram(), own),
		"another payload": parts[0] + "." + strings.Split(w.Sign(w.ForPerson()), ".")[1] + "." + parts[2],
		"no JSON":         "e30.e30.",
		"nothing":         "..",
		"other letters":   parts[0] + "." + parts[1] + "." + parts[2] + "%",
		"too long":        w.Sign(w.ForProgram().But(claims{"x": strings.Repeat("x", 20<<10)})),
		"JSON form":       `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `.","signature":"` + parts[2] + `."}`,
	} {
		w.want(name, token, access.ErrUnauthenticated)
	}
	if w.Asked("/elsewhere") != 0 {
		t.Error("an address in a token was asked")
	}
	// Whatever strangers send, the issuer is left alone.
	if n := w.Asked(federationtest.Keys); n > 2 {
		t.Errorf("the issuer was asked %d times", n)
	}
	w.want("the good one, again", good, nil)
}

// PS256 is believed as well.
func TestPSS(t *testing.T) {
	w := newWorld(t)
	w.want("PS256", federationtest.SignWith(claims{"alg": "PS256"}, w.ForProgram(), func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPSS(rand.Reader, w.Key(), crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}), nil)
}

// A new key is found, once the issuer may be asked again, and the old one is
// good for nothing then.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	old := w.Sign(w.ForProgram())
	w.want("before", old, nil)
	w.Rotate()
	fresh := w.Sign(w.ForProgram())
	w.want("asked a moment ago", fresh, access.ErrUnauthenticated)
	w.pass(31 * time.Second)
	w.want("asked again", fresh, nil)
	w.want("the old one", old, access.ErrUnauthenticated)
}

// While the issuer is away its keys are good for a day.
func TestAway(t *testing.T) {
	w := newWorld(t)
	away := func(out http.ResponseWriter, _ *http.Request) bool {
		out.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w.Play(away)
	w.want("never there", w.Sign(w.ForProgram()), federation.ErrAway)
	w.Play(nil)
	w.want("asked a moment ago", w.Sign(w.ForProgram()), federation.ErrAway)
	w.pass(31 * time.Second)
	long := w.ForProgram().But(claims{"exp": time.Now().Add(100 * time.Hour).Unix()})
	w.want("back", w.Sign(long), nil)
	w.Play(away)
	w.pass(23 * time.Hour)
	w.want("away for a while", w.Sign(long), nil)
	w.pass(2 * time.Hour)
	w.want("away for a day", w.Sign(long), federation.ErrAway)
	if err := w.Check(t.Context()); !errors.Is(err, federation.ErrAway) {
		t.Errorf("check: got %v, want %v", err, federation.ErrAway)
	}
	w.Play(nil)
	w.pass(time.Minute)
	w.want("back again", w.Sign(long), nil)
	if err := w.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

// What the issuer's servers may answer, and what none of it may do.
func TestMisbehaviour(t *testing.T) {
	at := func(path string, f func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			f(w, r)
			return true
		}
	}
	says := func(text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(text))
		}
	}
	huge := func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"keys":[`))
		for range 1 << 12 {
			if _, err := w.Write([]byte(strings.Repeat(`{"kty":"RSA"},`, 1<<10))); err != nil {
				return
			}
		}
	}
	for name, play := range map[string]func(w *world) func(http.ResponseWriter, *http.Request) bool{
		"redirect": func(w *world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, func(out http.ResponseWriter, r *http.Request) { http.Redirect(out, r, "/elsewhere", http.StatusFound) })
		},
		"redirect of all": func(w *world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Discovery, func(out http.ResponseWriter, r *http.Request) { http.Redirect(out, r, "/elsewhere", http.StatusFound) })
		},
		"huge keys":      func(*world) func(http.ResponseWriter, *http.Request) bool { return at(federationtest.Keys, huge) },
		"huge discovery": func(*world) func(http.ResponseWriter, *http.Request) bool { return at(federationtest.Discovery, huge) },
		"many keys": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, says(`{"keys":[`+strings.Repeat(`{"kty":"RSA"},`, 65)+`{}]}`))
		},
		"no keys": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, says(`{"keys":[]}`))
		},
		"a short key": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, says(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
		},
		"HTML": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, says(`<html>`))
		},
		"deep": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Keys, says(strings.Repeat(`[`, 20000)))
		},
		"another name": func(*world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Discovery, says(`{"issuer":"https://evil.example","jwks_uri":"https://evil.example/keys"}`))
		},
		"keys in clear": func(w *world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Discovery, says(`{"issuer":"`+w.Server.Issuer()+`","jwks_uri":"http://127.0.0.1:1/elsewhere"}`))
		},
		"keys at home": func(w *world) func(http.ResponseWriter, *http.Request) bool {
			return at(federationtest.Discovery, says(`{"issuer":"`+w.Server.Issuer()+`","jwks_uri":"https://[::1]:1/elsewhere"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Play(play(w))
			w.want(name, w.Sign(w.ForProgram()), federation.ErrAway)
			if w.Asked("/elsewhere") != 0 {
				t.Error("it went elsewhere")
			}
		})
	}
}

// Nobody waits for an issuer that hangs, unless there are no keys at all; then
// as long as he wants to.
func TestHanging(t *testing.T) {
	w := newWorld(t)
	token := w.Sign(w.ForProgram().But(claims{"exp": time.Now().Add(10 * time.Hour).Unix()}))
	w.want("before", token, nil)
	hung, release := make(chan struct{}, 8), make(chan struct{})
	w.Play(func(http.ResponseWriter, *http.Request) bool { hung <- struct{}{}; <-release; return true })
	w.pass(2 * time.Hour)
	first := make(chan error)
	go func() { _, err := w.Token(context.Background(), token, ""); first <- err }()
	<-hung
	w.want("while another asks", token, nil)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("who asked: %v", err)
	}

	empty := newWorld(t)
	asked, stop := make(chan struct{}, 1), make(chan struct{})
	empty.Play(func(http.ResponseWriter, *http.Request) bool { asked <- struct{}{}; <-stop; return false })
	done := make(chan error)
	go func() { _, err := empty.Token(context.Background(), token, ""); done <- err }()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := empty.Token(ctx, token, ""); !errors.Is(err, federation.ErrAway) {
		t.Errorf("who left: got %v, want %v", err, federation.ErrAway)
	}
	empty.Play(nil)
	close(stop)
	if err := <-done; !errors.Is(err, access.ErrUnauthenticated) { // it is of the other world
		t.Errorf("who waited: got %v, want %v", err, access.ErrUnauthenticated)
	}
}

// An issuer in our own network is not asked, unless that is allowed.
func TestOwnNetwork(t *testing.T) {
	w := newWorld(t, func(c *federation.Config) { c.Networks = nil })
	w.want("loopback", w.Sign(w.ForProgram()), federation.ErrAway)
	if w.Asked(federationtest.Discovery) != 0 {
		t.Error("it was asked")
	}
}

// Another CA is none.
func TestTLS(t *testing.T) {
	w := newWorld(t, func(c *federation.Config) { c.TLS = x509.NewCertPool() })
	w.want("an unknown CA", w.Sign(w.ForProgram()), federation.ErrAway)
}

type others map[string]access.Caller

func (o others) Token(_ context.Context, presented, _ string) (access.Caller, error) {
	if c, ok := o[presented]; ok {
		return c, nil
	}
	return access.Caller{}, access.ErrUnauthenticated
}

// Tokens of ours are no business of the issuer's, and the other way round.
func TestBefore(t *testing.T) {
	w := newWorld(t)
	both := w.Before(others{"signet_abc": {Role: access.Admin}, "a.b.c": {Role: access.Admin}})
	if c, err := both.Token(t.Context(), "signet_abc", ""); err != nil || c.Role != access.Admin {
		t.Errorf("a token of ours: got %+v, %v", c, err)
	}
	if w.Asked(federationtest.Discovery) != 0 {
		t.Error("the issuer was asked about a token of ours")
	}
	if c, err := both.Token(t.Context(), "a.b.c", ""); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("what looks like a JWT: got %+v, %v", c, err)
	}
	if c, err := both.Token(t.Context(), w.Sign(w.ForProgram()), ""); err != nil || c.Role != access.Importer {
		t.Errorf("the issuer's: got %+v, %v", c, err)
	}
}
