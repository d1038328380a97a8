package intune_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep/intune"
	"github.com/signet-mdm/signet/scep/intune/intunetest"
)

const challenge = "TVNTQ0VQ.challenge-that-nobody-may-log"

var key = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func request(t *testing.T, name, mail, challenge string) []byte {
	t.Helper()
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{mail}},
		ChallengePassword:  challenge}, key())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func alice(t *testing.T) []byte { return request(t, "Alice Example", "alice@example.com", challenge) }

// start gives a tenant with one challenge, and a client of it that logs to log.
func start(t *testing.T, change ...func(*intune.Config)) (*intunetest.Server, *intune.Client, *bytes.Buffer) {
	t.Helper()
	s := intunetest.Start()
	t.Cleanup(s.Close)
	s.Challenge(challenge, intunetest.Expected{CommonName: "Alice Example", Mail: "alice@example.com"})
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	var log bytes.Buffer
	c := intune.Config{Tenant: intunetest.Tenant, ClientID: intunetest.ClientID, Secret: seal.SecretString(intunetest.Secret), Product: "Signet/test",
		Login: s.URL, Graph: s.URL, TLS: pool, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now}
	for _, f := range change {
		f(&c)
	}
	return s, intune.New(c), &log
}

func TestValidate(t *testing.T) {
	s, c, _ := start(t)
	s.Challenge("old", intunetest.Expected{CommonName: "Alice Example", Mail: "alice@example.com", Expired: true})
	s.Challenge("gone", intunetest.Expected{CommonName: "Alice Example", Mail: "alice@example.com", Unassigned: true})
	for name, r := range map[string]struct {
		csr  []byte
		want error
	}{
		"good":            {alice(t), nil},
		"good again":      {alice(t), nil},
		"unknown":         {request(t, "Alice Example", "alice@example.com", "guess"), intune.ErrChallenge},
		"no challenge":    {request(t, "Alice Example", "alice@example.com", ""), intune.ErrChallenge},
		"expired":         {request(t, "Alice Example", "alice@example.com", "old"), intune.ErrChallengeExpired},
		"not assigned":    {request(t, "Alice Example", "alice@example.com", "gone"), intune.ErrTarget},
		"another name":    {request(t, "Bob Example", "alice@example.com", challenge), intune.ErrMismatch},
		"another address": {request(t, "Alice Example", "bob@example.com", challenge), intune.ErrMismatch},
		"garbage":         {[]byte("garbage"), intune.ErrRefused},
	} {
		if err := c.Validate(t.Context(), "T-1", r.csr); !errors.Is(err, r.want) || (err == nil) != (r.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, r.want)
		}
	}
	if s.Asked(intunetest.Token) != 2 || s.Asked(intunetest.Discover) != 1 {
		t.Errorf("%d tokens and %d searches for one tenant", s.Asked(intunetest.Token), s.Asked(intunetest.Discover))
	}
}

// codes are all that Intune has, besides Success.
const codes = `Unknown CertificateRequestDecodingFailed ChallengePasswordMissing ChallengeDeserializationError ChallengeDecryptionError
ChallengeDecodingError ChallengeInvalidTimestamp ChallengeExpired SubjectNameMissing SubjectNameMismatch SubjectAltNameMissing
SubjectAltNameMismatch KeyUsageMismatch KeyLengthMismatch EnhancedKeyUsageMissing EnhancedKeyUsageMismatch AadKeyIdentifierListMissing
RegisteredKeyMismatch SigningCertThumbprintMismatch ScepProfileNoLongerTargetedToTheClient SignatureValidationFailed
BadCertificateRequestIdInChallenge BadDeviceIdInChallenge BadUserIdInChallenge`

func TestCodes(t *testing.T) {
	s, c, _ := start(t)
	list := strings.Fields(codes)
	if len(list) != 24 || len(intune.Refusals()) != len(list) {
		t.Errorf("%d codes here, %d in the table, want 24", len(list), len(intune.Refusals()))
	}
	for _, code := range list {
		want, known := intune.Refusals()[code]
		s.Answer(code)
		err := c.Validate(t.Context(), "T-1", alice(t))
		if f := fault.Of(err); !known || f == nil || f.Code != want.Code || f.Kind != fault.Denied || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: got %v, want %v", code, err, want)
		}
	}
	for code, want := range map[string]error{"success": intune.ErrRefused, "SUCCESS": intune.ErrRefused, "Brandnew": intune.ErrRefused,
		"": intune.ErrAnswer, "Success ": intune.ErrAnswer, strings.Repeat("A", 65): intune.ErrAnswer, "<script>": intune.ErrAnswer} {
		s.Answer(code)
		err := c.Validate(t.Context(), "T-1", alice(t))
		if !errors.Is(err, want) || strings.Contains(err.Error(), "<script>") {
			t.Errorf("%q: got %v, want %v", code, err, want)
		}
	}
}

func TestNotices(t *testing.T) {
	s, c, log := start(t)
	x := certificate(t)
	if err := c.Succeeded(t.Context(), "T-1", alice(t), x); err != nil {
		t.Fatal(err)
	}
	got := s.Successes()
	if len(got) != 1 || got[0].Transaction != "T-1" || got[0].Thumbprint != cert.Thumbprint(x.Raw) || got[0].Serial != "7f01" || !got[0].Expires.Equal(x.NotAfter) {
		t.Errorf("got %+v", got)
	}
	s.Answer("Unknown")
	if err := c.Succeeded(t.Context(), "T-1", alice(t), x); !errors.Is(err, intune.ErrRefused) {
		t.Errorf("refused: got %v", err)
	}
	c.Failed(t.Context(), "T-2", alice(t), "scep_holder")
	if f := s.Failures(); len(f) != 1 || f[0].Reason != "scep_holder" || f[0].Transaction != "T-2" || log.Len() > 0 {
		t.Errorf("got %+v, log %s", f, log)
	}
	s.Deny()
	c.Failed(t.Context(), "T-2", alice(t), "scep_holder")
	if !strings.Contains(log.String(), "intune_permission") {
		t.Errorf("log: %s", log)
	}
}

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(0x7f01), Subject: pkix.Name{CommonName: "Alice Example"}, NotAfter: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key().Public(), key())
	if err != nil {
		t.Fatal(err)
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestRevocations(t *testing.T) {
	s, c, _ := start(t)
	for i, serial := range []string{"7F01", "00 7f 02", "-5", "zz", strings.Repeat("f", 200)} {
		s.Wish(fmt.Sprint("context-", i), serial, "CN=Example")
	}
	got, err := c.Revocations(t.Context(), 1000)
	want := []intune.Revocation{{"context-0", "7f01"}, {"context-1", "7f02"}, {"context-2", ""}, {"context-3", ""}, {"context-4", ""}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, %v", got, err)
	}
	if few, err := c.Revocations(t.Context(), 0); err != nil || len(few) != 1 {
		t.Errorf("got %v, %v, want one", few, err)
	}
	told := []intune.Outcome{{"context-0", intune.Done}, {"context-1", intune.NotFound}, {"context-2", intune.Invalid}, {"context-3", intune.TryAgain}}
	for range 2 {
		if err := c.Revoked(t.Context(), told); err != nil {
			t.Error(err)
		}
	}
	if left, err := c.Revocations(t.Context(), 500); err != nil || len(left) != 2 {
		t.Errorf("got %v, %v, want what is to be tried again and what nobody told of", left, err)
	}
	s.Play(intunetest.Upload, intunetest.Trouble{Body: `{"value":false}`})
	if err := c.Revoked(t.Context(), told); !errors.Is(err, intune.ErrAnswer) {
		t.Errorf("not taken: got %v", err)
	}
	s.Play(intunetest.Download, intunetest.Trouble{Body: `{"value":[{"serialNumber":"7f"}]}`}, intunetest.Trouble{Body: `{"value":[{"requestContext":"a"},{"requestContext":"b"}]}`})
	for range 2 {
		if _, err := c.Revocations(t.Context(), 1); !errors.Is(err, intune.ErrAnswer) {
			t.Errorf("got %v, want ErrAnswer", err)
		}
	}
}

// Whatever comes instead of an answer is a fault that can be told apart, and
// nothing secret is in it.
func TestTrouble(t *testing.T) {
	thrice := func(x intunetest.Trouble) []intunetest.Trouble { return []intunetest.Trouble{x, x, x} }
	away := intunetest.Trouble{Status: 503, Body: "maintenance"}
	for name, c := range map[string]struct {
		at      string
		trouble []intunetest.Trouble
		want    error
	}{
		"busy once":             {intunetest.Validate, []intunetest.Trouble{{Status: 429, After: "1"}}, nil},
		"away once":             {intunetest.Validate, []intunetest.Trouble{away}, nil},
		"away":                  {intunetest.Validate, thrice(away), intune.ErrUnreachable},
		"busy for long":         {intunetest.Validate, []intunetest.Trouble{{Status: 429, After: "120"}}, intune.ErrUnreachable},
		"garbage":               {intunetest.Validate, []intunetest.Trouble{{Body: "<html>" + challenge}}, intune.ErrAnswer},
		"an array":              {intunetest.Validate, []intunetest.Trouble{{Body: `["Success"]`}}, intune.ErrAnswer},
		"empty":                 {intunetest.Validate, []intunetest.Trouble{{}}, intune.ErrAnswer},
		"null":                  {intunetest.Validate, []intunetest.Trouble{{Body: "null"}}, intune.ErrAnswer},
		"huge":                  {intunetest.Validate, []intunetest.Trouble{{Huge: true}}, intune.ErrAnswer},
		"redirect":              {intunetest.Validate, []intunetest.Trouble{{Status: 307, To: "https://example.org/"}}, intune.ErrAnswer},
		"success that is none":  {intunetest.Validate, []intunetest.Trouble{{Status: 201, Body: `{"code":"Success"}`}}, intune.ErrAnswer},
		"bad request":           {intunetest.Validate, []intunetest.Trouble{{Status: 400}}, intune.ErrAnswer},
		"token refused once":    {intunetest.Validate, []intunetest.Trouble{{Status: 401}}, nil},
		"token refused":         {intunetest.Validate, thrice(intunetest.Trouble{Status: 401}), intune.ErrPermission},
		"forbidden":             {intunetest.Validate, []intunetest.Trouble{{Status: 403}}, intune.ErrPermission},
		"no token":              {intunetest.Token, []intunetest.Trouble{{Body: `{"expires_in":3600}`}}, intune.ErrSignIn},
		"token of another kind": {intunetest.Token, []intunetest.Trouble{{Body: `{"access_token":5}`}}, intune.ErrSignIn},
		"signing in away once":  {intunetest.Token, []intunetest.Trouble{away}, nil},
		"signing in redirects":  {intunetest.Token, []intunetest.Trouble{{Status: 302, To: "https://example.org/"}}, intune.ErrSignIn},
		"no list":               {intunetest.Discover, []intunetest.Trouble{{Body: `{"value":[]}`}}, intune.ErrService},
		"list of plain HTTP":    {intunetest.Discover, []intunetest.Trouble{{Body: `{"value":[{"providerName":"ScepRequestValidationFEService","uri":"http://127.0.0.1/x"}]}`}}, intune.ErrService},
		"list is garbage":       {intunetest.Discover, []intunetest.Trouble{{Body: "garbage"}}, intune.ErrAnswer},
		"list away once":        {intunetest.Discover, []intunetest.Trouble{away}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, log := start(t)
			s.Play(c.at, c.trouble...)
			err := client.Validate(t.Context(), "T-1", alice(t))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			said := fmt.Sprintf("%v %+v %s", err, err, log)
			for _, secret := range []string{challenge, intunetest.Secret, "eyJ"} {
				if strings.Contains(said, secret) {
					t.Errorf("%q is in %s", secret, said)
				}
			}
			if err != nil { // and after it all is as before
				if err := client.Validate(t.Context(), "T-1", alice(t)); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
}

func TestStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*intune.Config)
		want   error
	}{
		"another tenant":    {func(c *intune.Config) { c.Tenant = "example.org" }, intune.ErrSignIn},
		"wrong secret":      {func(c *intune.Config) { c.Secret = seal.SecretString("wrong") }, intune.ErrSignIn},
		"wrong client":      {func(c *intune.Config) { c.ClientID = "x" }, intune.ErrSignIn},
		"wrong resource":    {func(c *intune.Config) { c.Resource = "https://example.org" }, intune.ErrSignIn},
		"untrusted":         {func(c *intune.Config) { c.TLS = x509.NewCertPool() }, intune.ErrUnreachable},
		"nobody there":      {func(c *intune.Config) { c.Login = "https://127.0.0.1:1" }, intune.ErrUnreachable},
		"not even TLS":      {func(c *intune.Config) { c.Graph = strings.Replace(c.Graph, "https", "http", 1) }, intune.ErrSignIn},
		"address is no URL": {func(c *intune.Config) { c.Login = "https://\x7f" }, intune.ErrSignIn},
	} {
		_, client, _ := start(t, c.change)
		if err := client.Validate(t.Context(), "T-1", alice(t)); !errors.Is(err, c.want) || strings.Contains(err.Error(), intunetest.Secret) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	s, client, _ := start(t)
	s.Unlist()
	if err := client.Validate(t.Context(), "T-1", alice(t)); !errors.Is(err, intune.ErrService) {
		t.Errorf("no such service: got %v", err)
	}
	s, client, _ = start(t)
	s.NameServices()
	if err := client.Validate(t.Context(), "T-1", alice(t)); err != nil {
		t.Errorf("serviceName: got %v", err)
	}
}

// Tokens are used while they last.
func TestTokens(t *testing.T) {
	s, c, _ := start(t)
	s.Lifetime(30)
	for range 2 {
		if err := c.Validate(t.Context(), "T-1", alice(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Asked(intunetest.Token); n != 3 {
		t.Errorf("%d tokens of 30 seconds, want one for Graph and one for each question", n)
	}
	s.Lifetime(1 << 60)
	s.DropTokens()
	if err := c.Validate(t.Context(), "T-1", alice(t)); err != nil {
		t.Errorf("tokens that end before: %v", err)
	}
}

// who hangs holds nobody longer than a call may take.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c intune.Config
		c.Tenant, c.ClientID, c.Secret = intunetest.Tenant, intunetest.ClientID, seal.SecretString(intunetest.Secret)
		c.Log, c.Now = slog.New(slog.DiscardHandler), time.Now
		client := intune.New(c)
		intune.Hang(client)
		begun := time.Now()
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				if err := client.Validate(context.Background(), "T-1", []byte{1}); !errors.Is(err, intune.ErrUnreachable) {
					t.Errorf("got %v, want ErrUnreachable", err)
				}
			})
		}
		wait.Wait()
		if took := time.Since(begun); took > 9*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
