package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/connector"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

const secret = "signet_connector_ABC"

// fake serves one connector and one user.
type fake struct {
	asked gateway.Ask
	again bool
	err   error
	crl   string
}

func (f *fake) Client(_ context.Context, presented, remote string) (gateway.Connector, error) {
	if presented != secret {
		return gateway.Connector{}, gateway.ErrUnknown
	}
	if remote != "192.0.2.1" {
		return gateway.Connector{}, gateway.ErrNetwork
	}
	return gateway.Connector{ID: "c-1", Seal: []byte{1}, Terms: gateway.Terms{Name: "other", Forms: []gateway.Form{gateway.Profile},
		Naming: gateway.ByMail, PerHour: 5, Expires: time.Now().Add(time.Hour)}}, nil
}

func (f *fake) Deliver(_ context.Context, a gateway.Ask) (gateway.Delivery, error) {
	f.asked = a
	d := gateway.Delivery{ID: "d-1", User: subject.User{ID: "u-1", Mail: a.User}, Again: f.again, Listed: listed, Revision: "r"}
	d.Identifier, d.Profile = "com.example.connector", []byte("sealed")
	if a.Form == gateway.PKCS12 {
		d.Content = gateway.Content{Files: []gateway.File{{Certificate: cert.Fingerprint{1}, PKCS12: []byte("p12"), Password: []byte("pw")}}}
	}
	return d, f.err
}

var listed = []gateway.Listed{{Record: cert.Record{Fingerprint: cert.Fingerprint{1}, Addresses: []string{"alice@example.com"}}, Current: true}}

func (f *fake) Certificates(_ context.Context, user string) (subject.User, []gateway.Listed, error) {
	return subject.User{ID: "u-1", Mail: user}, listed, f.err
}

func (f *fake) StoreCRL(_ context.Context, by journal.Actor, key string, list []byte) (gateway.CRL, error) {
	f.crl = by.ID + " " + key + " " + string(list)
	return gateway.CRL{}, f.err
}

// call makes a request as the connector, unless change says otherwise.
func call(f *fake, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	site := httpd.NewSite(slog.New(slog.DiscardHandler), nil, connector.Area(f))
	r := httptest.NewRequest(method, connector.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+secret)
	r.RemoteAddr = "192.0.2.1:99"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w
}

const pemText = "-----BEGIN CERTIFICATE-----\\nAQID\\n-----END CERTIFICATE-----\\n"

func TestDeliver(t *testing.T) {
	f := &fake{}
	w := call(f, "POST", "/deliveries", `{"user":"Alice@Example.com","deviceCertificate":"`+pemText+pemText+`","form":"profile","osVersion":"18.2"}`)
	want := gateway.Ask{Connector: "c-1", Chain: [][]byte{{1, 2, 3}, {1, 2, 3}}, User: "alice@example.com", Form: gateway.Profile, IOS: 18, Remote: "192.0.2.1"}
	if got, wanted := text(t, f.asked), text(t, want); w.Code != http.StatusCreated || got != wanted {
		t.Fatalf("got %d %s\nasked %s\nwant  %s", w.Code, w.Body, got, wanted)
	}
	var d connector.Delivery
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || d.Profile == nil || string(d.Profile.Content) != "sealed" || !d.Certificates[0].Current || d.User.ID != "u-1" {
		t.Errorf("got %s, %v", w.Body, err)
	}
	f.again = true
	w = call(f, "POST", "/deliveries", `{"user":"u-1","deviceCertificate":"AQID","form":"pkcs12","certificate":"`+strings.Repeat("0A", 32)+`"}`)
	d = connector.Delivery{}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK || d.Profile != nil || string(d.Files[0].PKCS12) != "p12" {
		t.Errorf("again: got %d %s, %v", w.Code, w.Body, err)
	}
	if f.asked.IOS != 0 || f.asked.Certificate[31] != 10 || len(f.asked.Chain) != 1 {
		t.Errorf("asked %+v", f.asked)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is no request is told so before anybody is asked.
func TestRefusedRequests(t *testing.T) {
	good := map[string]string{"user": "alice@example.com", "deviceCertificate": "AQID", "form": "profile"}
	with := func(pairs ...string) string {
		out := map[string]string{}
		for k, v := range good {
			out[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return text(t, out)
	}
	six := strings.ReplaceAll(strings.Repeat(pemText, 6), `\n`, "\n")
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "<xml/>", "a list": "[]", "two": with() + with(), "a member nobody knows": with("allCertificates", "true"),
		"no user": with("user", ""), "a long user": with("user", strings.Repeat("a", 321)), "no address": with("user", "a b@example.com"),
		"no form": with("form", ""), "another form": with("form", "pem"), "a wordy version": with("osVersion", "latest"),
		"a long version": with("osVersion", strings.Repeat("1", 33)), "no certificate": with("deviceCertificate", ""),
		"no base64": with("deviceCertificate", "%%%"), "six": with("deviceCertificate", six),
		"a key":         with("deviceCertificate", "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n"),
		"words behind":  with("deviceCertificate", "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\nand so on"),
		"no end":        with("deviceCertificate", "-----BEGIN CERTIFICATE-----\nAQID\n"),
		"a short print": with("certificate", "00ff"), "zero": with("certificate", strings.Repeat("0", 64)),
	} {
		f := &fake{}
		if w := call(f, "POST", "/deliveries", body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "connector_request_invalid") || f.asked.Connector != "" {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	if w := call(&fake{}, "POST", "/deliveries", with("user", strings.Repeat("a", 256<<10))); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a flood: got %d", w.Code)
	}
}

// Who shows no secret, or comes from elsewhere, gets nothing.
func TestStrangers(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"no secret":      {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"another":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer signet_connector_X") }, http.StatusUnauthorized},
		"basic":          {func(r *http.Request) { r.SetBasicAuth("other", secret) }, http.StatusUnauthorized},
		"from elsewhere": {func(r *http.Request) { r.RemoteAddr = "198.51.100.1:1" }, http.StatusForbidden},
	} {
		for _, route := range []string{"GET /connector", "GET /users/alice@example.com/certificates", "POST /deliveries", "PUT /crl"} {
			method, path, _ := strings.Cut(route, " ")
			f := &fake{}
			if w := call(f, method, path, "{}", x.change); w.Code != x.want || f.asked.Connector != "" || f.crl != "" {
				t.Errorf("%s: %s: got %d %s", name, route, w.Code, w.Body)
			} else if says := strings.Contains(w.Body.String(), "signet connector secret"); says != (x.want == http.StatusUnauthorized) {
				t.Errorf("%s: %s: got the hint: %v\n%s", name, route, says, w.Body)
			}
		}
	}
}

func TestCertificatesHaveARevision(t *testing.T) {
	w := call(&fake{}, "GET", "/users/alice@example.com/certificates", "")
	tag := w.Header().Get("ETag")
	var h connector.Held
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || w.Code != http.StatusOK || tag != `"`+h.Revision+`"` || h.User.Mail != "alice@example.com" {
		t.Fatalf("got %d %s %s, %v", w.Code, tag, w.Body, err)
	}
	for have, want := range map[string]int{tag: http.StatusNotModified, `"x", W/` + tag: http.StatusNotModified, `"x"`: http.StatusOK} {
		if w := call(&fake{}, "GET", "/users/u-1/certificates", "", func(r *http.Request) { r.Header.Set("If-None-Match", have) }); w.Code != want {
			t.Errorf("%s: got %d, want %d", have, w.Code, want)
		}
	}
}

func TestSelfAndCRL(t *testing.T) {
	f := &fake{}
	if w := call(f, "GET", "/connector", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"name":"other","state":"approved"`) || strings.Contains(w.Body.String(), secret) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := call(f, "PUT", "/crl", "a list"); w.Code != http.StatusNoContent || f.crl != "c-1 c-1 a list" {
		t.Errorf("got %d, %q", w.Code, f.crl)
	}
	f.err = gateway.ErrCRL
	if w := call(f, "PUT", "/crl", "no list"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "connector_crl_invalid") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(`{"user":"alice@example.com","deviceCertificate":"AQID","form":"profile","osVersion":"18.2"}`)
	f.Add(`{"user":"a","deviceCertificate":"` + pemText + pemText + `","form":"pkcs12"}`)
	f.Fuzz(func(t *testing.T, body string) {
		a, err := connector.Read(strings.NewReader(body))
		if err != nil {
			if f := fault.Of(err); f == nil || f.Kind != fault.Invalid {
				t.Errorf("got %v", err)
			}
			return
		}
		if a.User == "" || len(a.Chain) == 0 || len(a.Chain) > 5 || a.Form != gateway.Profile && a.Form != gateway.PKCS12 || a.IOS < 0 {
			t.Errorf("taken: %+v", a)
		}
	})
}

// A body that ends too soon is the sender's failure, not ours.
func TestBrokenBody(t *testing.T) {
	broken := errors.New("gone")
	if _, err := connector.Read(io.MultiReader(strings.NewReader("{"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
