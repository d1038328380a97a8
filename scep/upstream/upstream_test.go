package upstream_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/scep/upstream"
	"github.com/signet-mdm/signet/scep/upstream/upstreamtest"
)

// deviceKey is made once: that takes long.
var deviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func request(t testing.TB, challenge string) []byte {
	t.Helper()
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "Alice Example"}, EmailAddresses: []string{"alice@example.com"}},
		ChallengePassword:  challenge,
	}, deviceKey())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func start(t testing.TB) *upstreamtest.Server {
	t.Helper()
	s := upstreamtest.Start()
	t.Cleanup(s.Close)
	return s
}

// client asks s, and waits briefly.
func client(s *upstreamtest.Server, change ...func(*upstream.Config)) *upstream.Client {
	c := upstream.Config{URL: s.Address(), CA: s.Chain(), Now: time.Now}
	for _, f := range change {
		f(&c)
	}
	return upstream.New(c)
}

func TestEnroll(t *testing.T) {
	s := start(t)
	c := client(s)
	s.Code("CODE-1234")
	got, err := enroll(t.Context(), c, request(t, "CODE-1234"))
	if err != nil {
		t.Fatal(err)
	}
	if !deviceKey().PublicKey.Equal(got.PublicKey) || got.CheckSignatureFrom(s.CA) != nil || got.Subject.CommonName != "Alice Example" {
		t.Errorf("got a certificate for %s, by %s", got.Subject, got.Issuer)
	}
	if _, err := enroll(t.Context(), c, request(t, "CODE-1234")); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("the same code again: got %v, want ErrRefused", err)
	}
	if _, err := enroll(t.Context(), c, request(t, "CODE-5678")); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("unknown code: got %v, want ErrRefused", err)
	}
}

// A CA where a person decides is asked again: by the one who asked, also after
// a restart.
func TestPending(t *testing.T) {
	self, err := upstream.NewIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	known := func(c *upstream.Config) { c.Identity = func() (upstream.Identity, error) { return self, nil } }
	for name, c := range map[string]struct {
		scene upstreamtest.Scene
		want  error
	}{
		"issued":      {upstreamtest.Scene{}, nil},
		"refused":     {upstreamtest.Scene{Refuse: true}, upstream.ErrRefused},
		"another key": {upstreamtest.Scene{Key: self.Key.Public()}, upstream.ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Code("CODE-1234")
			c.scene.Pending = 3
			s.Play(c.scene)
			csr := request(t, "CODE-1234")
			if got, decided, err := client(s, known).Enroll(t.Context(), csr); got != nil || decided || err != nil {
				t.Fatalf("undecided: got %v, %v, %v", got, decided, err)
			}
			if _, _, err := client(s).Poll(t.Context(), csr); !errors.Is(err, upstream.ErrRefused) {
				t.Errorf("somebody else asks: got %v, want ErrRefused", err)
			}
			for range 2 {
				if got, decided, err := client(s, known).Poll(t.Context(), csr); got != nil || decided || err != nil {
					t.Fatalf("undecided: got %v, %v, %v", got, decided, err)
				}
			}
			for range 2 { // the last word stays the same
				got, decided, err := client(s, known).Poll(t.Context(), csr)
				if !decided || !errors.Is(err, c.want) || (got != nil) != (c.want == nil) || len(s.Issued()) > 1 {
					t.Errorf("decided: got %v, %v, %v, and %d were made; want %v", got, decided, err, len(s.Issued()), c.want)
				}
			}
		})
	}
}

// enroll takes no delay for an answer.
func enroll(ctx context.Context, c *upstream.Client, csr []byte) (*x509.Certificate, error) {
	got, decided, err := c.Enroll(ctx, csr)
	if err == nil && !decided {
		err = errors.New("undecided")
	}
	return got, err
}

func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
}

func body(operation string, text []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("operation") != operation {
			return false
		}
		_, _ = w.Write(text)
		return true
	}
}

func replace(oid int, with any) func(string, []cms.Attribute) []cms.Attribute {
	return func(_ string, list []cms.Attribute) []cms.Attribute {
		for i := range list {
			if list[i].Type[len(list[i].Type)-1] == oid {
				list[i].Value = with
			}
		}
		return list
	}
}

func TestHostile(t *testing.T) {
	s := start(t)
	huge := bytes.Repeat([]byte("AES\n"), 3<<20)
	for name, c := range map[string]struct {
		scene upstreamtest.Scene
		want  error
	}{
		"wrong nonce":       {upstreamtest.Scene{Reply: replace(6, make([]byte, 16))}, upstream.ErrUntrusted},
		"other transaction": {upstreamtest.Scene{Reply: replace(7, "T-2")}, upstream.ErrUntrusted},
		"no CertRep":        {upstreamtest.Scene{Reply: replace(2, "19")}, upstream.ErrUntrusted},
		"unknown status":    {upstreamtest.Scene{Reply: replace(3, "1")}, upstream.ErrAnswer},
		"no attributes": {upstreamtest.Scene{Reply: func(string, []cms.Attribute) []cms.Attribute { return nil }},
			upstream.ErrAnswer},
		"signed by nobody":     {upstreamtest.Scene{Stranger: true}, upstream.ErrUntrusted},
		"another CA":           {upstreamtest.Scene{Other: true}, upstream.ErrCertificate},
		"another key":          {upstreamtest.Scene{Key: otherKey().Public()}, upstream.ErrCertificate},
		"spoilt envelope":      {upstreamtest.Scene{Envelope: func(b []byte) []byte { return b[:len(b)/2] }}, upstream.ErrAnswer},
		"empty envelope":       {upstreamtest.Scene{Envelope: func([]byte) []byte { return []byte{} }}, upstream.ErrAnswer},
		"old algorithms only":  {upstreamtest.Scene{Caps: "POSTPKIOperation\nSHA-1\nDES3"}, upstream.ErrAlgorithms},
		"no AES":               {upstreamtest.Scene{Caps: "POSTPKIOperation\nSHA-256\nDES3"}, upstream.ErrAlgorithms},
		"no SHA-2":             {upstreamtest.Scene{Caps: "POSTPKIOperation\nSHA-1\nAES"}, upstream.ErrAlgorithms},
		"huge caps":            {upstreamtest.Scene{HTTP: body("GetCACaps", huge)}, upstream.ErrAnswer},
		"huge certificates":    {upstreamtest.Scene{HTTP: body("GetCACert", huge)}, upstream.ErrAnswer},
		"huge reply":           {upstreamtest.Scene{HTTP: body("PKIOperation", huge)}, upstream.ErrAnswer},
		"no certificates":      {upstreamtest.Scene{HTTP: body("GetCACert", []byte("<html>"))}, upstream.ErrAnswer},
		"a page for a reply":   {upstreamtest.Scene{HTTP: body("PKIOperation", []byte("<html>"))}, upstream.ErrAnswer},
		"down":                 {upstreamtest.Scene{HTTP: status(503)}, upstream.ErrUnreachable},
		"not there":            {upstreamtest.Scene{HTTP: status(404)}, upstream.ErrAnswer},
		"redirects":            {upstreamtest.Scene{HTTP: redirect}, upstream.ErrAnswer},
		"one of its users":     {upstreamtest.Scene{HTTP: body("GetCACert", bagOf(t, s.Person(otherKey().Public())))}, upstream.ErrUntrusted},
		"certificates of none": {upstreamtest.Scene{HTTP: body("GetCACert", strangers(t))}, upstream.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			s.Code("CODE-" + name)
			s.Play(c.scene)
			got, err := enroll(t.Context(), client(s), request(t, "CODE-"+name))
			if !errors.Is(err, c.want) || got != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if fault.Of(err) == nil {
				t.Errorf("%v is no fault", err)
			}
		})
	}
}

func redirect(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Query().Has("again") {
		return false
	}
	http.Redirect(w, r, r.URL.String()+"&again=1", http.StatusFound)
	return true
}

var otherKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// strangers is the answer of a server whose CA has the same name.
func strangers(t *testing.T) []byte {
	t.Helper()
	key := otherKey()
	var list []*x509.Certificate
	for _, isCA := range []bool{false, true} {
		x := &x509.Certificate{SerialNumber: big1(), Subject: pkix.Name{CommonName: "Example Corporate CA", Organization: []string{"Example"}},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature}
		der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return bagOf(t, list...)
}

func bagOf(t *testing.T, list ...*x509.Certificate) []byte {
	t.Helper()
	bag, err := cms.CertsOnly(list...)
	if err != nil {
		t.Fatal(err)
	}
	return bag
}

func TestLegacy(t *testing.T) {
	s := start(t)
	s.Code("CODE-1234")
	s.Play(upstreamtest.Scene{Caps: "POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3"}) // as NDES says it
	if _, err := enroll(t.Context(), client(s, func(c *upstream.Config) { c.Legacy = true }), request(t, "CODE-1234")); err != nil {
		t.Error(err)
	}
}

func TestHang(t *testing.T) {
	s := start(t)
	done := make(chan struct{})
	defer close(done)
	s.Play(upstreamtest.Scene{HTTP: func(http.ResponseWriter, *http.Request) bool { <-done; return true }})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := enroll(ctx, client(s), request(t, "CODE-1234")); !errors.Is(err, upstream.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}
