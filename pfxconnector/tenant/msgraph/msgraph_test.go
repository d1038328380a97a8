package msgraph_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph/msgraphtest"
	"github.com/signet-mdm/signet/pfxconnector/transport"
	"github.com/signet-mdm/signet/testdata"
)

// world is a tenant with Alice in it, and a client of it.
type world struct {
	t *testing.T
	*msgraphtest.Server
	*msgraph.Client
	alice msgraphtest.User
}

func newWorld(t *testing.T, change ...func(*msgraph.Config)) *world {
	t.Helper()
	w := &world{t: t, Server: msgraphtest.Start()}
	t.Cleanup(w.Server.Close)
	w.alice = w.Add("alice@example.com", "alice@example.com", "SMTP:alice@example.com", "smtp:a.example@example.com", "x500:/o=x")
	pool := x509.NewCertPool()
	pool.AddCert(w.Server.Certificate())
	c := msgraph.Config{ClientID: msgraphtest.ClientID, Secret: seal.SecretString(msgraphtest.Secret), Token: w.TokenURL(), Graph: w.GraphURL(),
		Scope: w.URL + "/.default", Product: "Signet/test", TLS: pool, Now: time.Now}
	for _, f := range change {
		f(&c)
	}
	w.Client = msgraph.New(c)
	return w
}

// object is Alice's newest certificate, sealed to the connector.
func (w *world) object(change ...func(*tenant.Object)) tenant.Object {
	w.t.Helper()
	f := testdata.History()[6]
	r, err := pfx.Read(w.t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
	w.must(err)
	id, password := r.Identities[0], seal.Random()
	o := tenant.Object{Account: w.alice.ID, UPN: w.alice.UPN, Thumbprint: cert.Thumbprint(id.Certificate.Raw), Use: cert.Encryption,
		NotBefore: id.Certificate.NotBefore, NotAfter: id.Certificate.NotAfter, Created: time.Now(),
		Recipient: tenant.Recipient{Tenant: msgraphtest.Tenant, Provider: msgraphtest.Provider, Name: msgraphtest.KeyName, Padding: transport.OAEPSHA384,
			Public: &w.Connector.PublicKey}}
	o.Package.Blob, err = pfx.Write(id.Key, id.Certificate, nil, password, 0)
	w.must(err)
	o.Package.Password, err = o.Recipient.Padding.Encrypt(o.Recipient.Public, password)
	w.must(err)
	for _, f := range change {
		f(&o)
	}
	return o
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// held gives the one object that the tenant has.
func (w *world) held() msgraphtest.Held {
	w.t.Helper()
	for id, h := range w.Held() {
		if !strings.HasPrefix(id, strings.ReplaceAll(w.alice.ID, "-", "")+"-") || len(w.Held()) != 1 {
			w.t.Fatalf("the tenant has %d, one as %s", len(w.Held()), id)
		}
		return h
	}
	w.t.Fatal("the tenant has nothing")
	return msgraphtest.Held{}
}

func TestAccount(t *testing.T) {
	w := newWorld(t)
	brien := w.Add("o'brien@example.com", "")
	a, err := w.Account(t.Context(), "ALICE@example.com")
	if want := []string{"alice@example.com", "alice@example.com", "alice@example.com", "a.example@example.com"}; err != nil || a.ID != w.alice.ID || !slices.Equal(a.Addresses, want) {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err := w.Account(t.Context(), "o'brien@example.com"); err != nil || a.ID != brien.ID {
		t.Errorf("an apostrophe: got %+v, %v", a, err)
	}
	for _, upn := range []string{"nobody@example.com", "x' or 'a' eq 'a", ""} {
		if a, err := w.Account(t.Context(), upn); !errors.Is(err, tenant.ErrAccount) || a.ID != "" {
			t.Errorf("%q: got %+v, %v, want %v", upn, a, err, tenant.ErrAccount)
		}
	}
	if n := w.Asked("token"); n != 1 {
		t.Errorf("signed in %d times", n)
	}
}

// One is made, made again as after a crash, and taken away, twice.
func TestPut(t *testing.T) {
	w := newWorld(t)
	o := w.object()
	w.must(w.Put(t.Context(), o))
	h := w.held()
	if h.Account != w.alice.ID || h.UPN != o.UPN || h.Purpose != "smimeEncryption" || h.Padding != "oaepSha384" || h.Writes != 1 ||
		cert.Thumbprint(h.Certificate.Raw) != o.Thumbprint {
		t.Errorf("the tenant has %+v", h.Object)
	}
	again := w.object()
	w.must(w.Put(t.Context(), again))
	if h := w.held(); h.Writes != 2 || bytes.Equal(h.Blob, o.Package.Blob) {
		t.Errorf("written %d times", h.Writes)
	}
	w.must(w.Remove(t.Context(), w.alice.ID, o.Thumbprint))
	w.must(w.Remove(t.Context(), w.alice.ID, o.Thumbprint))
	if len(w.Held()) != 0 {
		t.Error("the tenant has it still")
	}
}

// Whether the tenant took what it did not answer to is seen the next time.
func TestAnswerLost(t *testing.T) {
	w := newWorld(t)
	w.Lose()
	if err := w.Put(t.Context(), w.object()); !errors.Is(err, tenant.ErrBusy) {
		t.Fatalf("got %v, want %v", err, tenant.ErrBusy)
	}
	w.must(w.Put(t.Context(), w.object()))
	if h := w.held(); h.Writes != 2 {
		t.Errorf("written %d times, want the second as an update", h.Writes)
	}
}

// What Graph refuses without a reason is told as that.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*tenant.Object){
		"another key":         func(o *tenant.Object) { o.Recipient.Name = "other" },
		"another provider":    func(o *tenant.Object) { o.Recipient.Provider = "other" },
		"another padding":     func(o *tenant.Object) { o.Recipient.Padding = transport.OAEPSHA256 },
		"no padding":          func(o *tenant.Object) { o.Recipient.Padding = transport.OAEPSHA1 },
		"another thumbprint":  func(o *tenant.Object) { o.Thumbprint = strings.Repeat("0", 40) },
		"nobody's":            func(o *tenant.Object) { o.UPN = "nobody@example.com" },
		"other dates":         func(o *tenant.Object) { o.NotAfter = o.NotAfter.Add(time.Second) },
		"a password in clear": func(o *tenant.Object) { o.Package.Password = []byte("password") },
		"no file":             func(o *tenant.Object) { o.Package.Blob = nil },
	} {
		w := newWorld(t)
		err := w.Put(t.Context(), w.object(change))
		if !errors.Is(err, tenant.ErrRefused) || !strings.Contains(err.Error(), "request-id ") || len(w.Held()) != 0 {
			t.Errorf("%s: got %v, want %v", name, err, tenant.ErrRefused)
		}
	}
}

// What the cloud may do, and what becomes of it.
func TestTrouble(t *testing.T) {
	many := func(status int, after string) []msgraphtest.Trouble {
		return slices.Repeat([]msgraphtest.Trouble{{Status: status, After: after}}, 9)
	}
	for name, c := range map[string]struct {
		what string
		list []msgraphtest.Trouble
		want error
		wait time.Duration
	}{
		"throttled":           {"POST", many(429, "17"), tenant.ErrBusy, 17 * time.Second},
		"throttled for long":  {"POST", many(429, "99999999"), tenant.ErrBusy, 0},
		"maintenance":         {"POST", many(503, ""), tenant.ErrBusy, 0},
		"no right":            {"POST", many(403, ""), tenant.ErrPermission, 0},
		"token never taken":   {"POST", many(401, ""), tenant.ErrPermission, 0},
		"token not taken":     {"POST", many(401, "")[:1], nil, 0},
		"redirect":            {"POST", many(302, ""), tenant.ErrRefused, 0},
		"no sign-in":          {"token", many(400, ""), tenant.ErrSignIn, 0},
		"a secret that ended": {"token", many(401, ""), tenant.ErrSignIn, 0},
		"sign-in throttled":   {"token", many(429, "5"), tenant.ErrBusy, 5 * time.Second},
		"conflict, not there": {"POST", many(409, ""), tenant.ErrRefused, 0},
	} {
		w := newWorld(t)
		w.Play(c.what, c.list...)
		err := w.Put(t.Context(), w.object())
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		p, _ := errors.AsType[interface {
			error
			Wait() time.Duration
		}](err)
		if c.wait > 0 && (p == nil || p.Wait() != c.wait) {
			t.Errorf("%s: got %v, want a wait of %s", name, p, c.wait)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v %v", err, fault.Of(err)), msgraphtest.Secret) {
			t.Errorf("%s: the secret is in the error", name)
		}
	}
}

// Who is throttled does not take it for an account that is not there.
func TestBusyIsNotUnknown(t *testing.T) {
	w := newWorld(t)
	w.Play("users", msgraphtest.Trouble{Status: 429, After: "3"})
	if _, err := w.Account(t.Context(), w.alice.UPN); !errors.Is(err, tenant.ErrBusy) {
		t.Errorf("looking for an account: got %v, want %v", err, tenant.ErrBusy)
	}
	w.must(w.Put(t.Context(), w.object()))
	w.Play("GET", msgraphtest.Trouble{Status: 503})
	if err := w.Put(t.Context(), w.object()); !errors.Is(err, tenant.ErrBusy) {
		t.Errorf("looking whether it is there: got %v, want %v", err, tenant.ErrBusy)
	}
}

// Tokens that end are renewed, and only then.
func TestTokenEnds(t *testing.T) {
	w := newWorld(t)
	w.must(w.Put(t.Context(), w.object()))
	w.Expire()
	w.must(w.Remove(t.Context(), w.alice.ID, w.object().Thumbprint))
	if n := w.Asked("token"); n != 2 {
		t.Errorf("signed in %d times, want 2", n)
	}
}

func TestCertificate(t *testing.T) {
	key := newWorld(t).Connector
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Signet"},
		NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Signet"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *msgraph.Config) {
		c.Secret, c.Certificate = seal.Secret{}, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	})
	if err := w.Check(t.Context()); !errors.Is(err, tenant.ErrSignIn) {
		t.Errorf("an unknown certificate: got %v, want %v", err, tenant.ErrSignIn)
	}
	w.Trust(leaf)
	w.must(w.Check(t.Context()))
	w.must(w.Check(t.Context())) // what was signed is good once
	w.must(w.Put(t.Context(), w.object()))
}

// Answers that are no answers, from somebody else behind the address.
func TestAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"HTML": "<html>", "huge": `{"value":[` + strings.Repeat(" ", 2<<20) + `]}`, "two": `{"value":[{"userPrincipalName":"alice@example.com"},{}]}`,
		"another": `{"value":[{"id":"00000000-0000-4000-8000-000000000000","userPrincipalName":"bob@example.com"}]}`,
		"a path":  `{"value":[{"id":"../x","userPrincipalName":"alice@example.com"}]}`,
	} {
		w := newWorld(t)
		old := w.Server.Config.Handler
		w.Server.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/beta/users" {
				out.Write([]byte(body))
				return
			}
			old.ServeHTTP(out, r)
		})
		if a, err := w.Account(t.Context(), "alice@example.com"); !errors.Is(err, tenant.ErrAnswer) || a.ID != "" {
			t.Errorf("%s: got %+v, %v, want %v", name, a, err, tenant.ErrAnswer)
		}
	}
}

func TestOtherCA(t *testing.T) {
	w := newWorld(t, func(c *msgraph.Config) { c.TLS = x509.NewCertPool() })
	if err := w.Check(t.Context()); !errors.Is(err, tenant.ErrBusy) || w.Asked("token") != 0 {
		t.Errorf("got %v, want %v", err, tenant.ErrBusy)
	}
}
