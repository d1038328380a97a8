package transit_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/keyring/transit"
	"github.com/signet-mdm/signet/internal/keyring/transit/transittest"
	"github.com/signet-mdm/signet/internal/seal"
)

// desk is a server and a client of it.
type desk struct {
	*transittest.Server
	*transit.Client
	token string
	now   time.Time
}

func newDesk(t *testing.T, change func(*transit.Config)) *desk {
	t.Helper()
	d := &desk{Server: transittest.Start(), now: time.Now()}
	t.Cleanup(d.Close)
	d.token = d.NewToken(3600)
	roots := x509.NewCertPool()
	roots.AddCert(d.Certificate())
	c := transit.Config{Address: d.URL + "/", Mount: transittest.Mount, Key: transittest.Key, Roots: roots, Wait: 300 * time.Millisecond,
		Token: func() (seal.Secret, error) { return seal.SecretString(d.token), nil }, Now: func() time.Time { return d.now }}
	if change != nil {
		change(&c)
	}
	d.Client = transit.New(c)
	return d
}

var bound = []byte("signet/test")

func (d *desk) wrapped(t *testing.T) string {
	t.Helper()
	text, err := d.Wrap(t.Context(), seal.SecretString("a private key"), bound)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (d *desk) opens(ctx context.Context, text string) error {
	plain, err := d.Unwrap(ctx, text, bound)
	if err == nil && plain.RevealString() != "a private key" {
		return errors.New("something else came back")
	}
	return err
}

func TestWrapAndUnwrap(t *testing.T) {
	d := newDesk(t, nil)
	one := d.wrapped(t)
	d.Rotate(1)
	two := d.wrapped(t)
	if d.Version(one) != 1 || d.Version(two) != 2 {
		t.Errorf("got versions %d and %d", d.Version(one), d.Version(two))
	}
	for _, text := range []string{one, two} {
		if err := d.opens(t.Context(), text); err != nil {
			t.Error(err)
		}
	}
	k, err := d.About(t.Context())
	if err != nil || k.Latest != 2 || k.Least != 1 || k.Exportable || k.Deletable {
		t.Errorf("about: got %+v, %v", k, err)
	}
	if err := d.Client.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// What does not open is refused, and told apart from a server that is away.
func TestRefused(t *testing.T) {
	d := newDesk(t, nil)
	text := d.wrapped(t)
	for name, try := range map[string]func() error{
		"bound to something else": func() error { _, err := d.Unwrap(t.Context(), text, []byte("another")); return err },
		"damaged":                 func() error { _, err := d.Unwrap(t.Context(), text[:len(text)-8]+"AAAAAAA=", bound); return err },
		"no ciphertext":           func() error { _, err := d.Unwrap(t.Context(), "plain", bound); return err },
		"a version that never was": func() error {
			_, err := d.Unwrap(t.Context(), strings.Replace(text, ":v1:", ":v7:", 1), bound)
			return err
		},
		"a version that was retired": func() error { d.Rotate(2); return d.opens(t.Context(), text) },
		"another key":                func() error { d.Replace(); return d.opens(t.Context(), text) },
	} {
		if err := try(); !errors.Is(err, transit.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", name, err)
		}
	}
}

func TestVersion(t *testing.T) {
	d := newDesk(t, nil)
	for text, want := range map[string]int{"vault:v3:abc": 3, "vault:v12:abc": 12, "": 0, "vault:v3": 0, "vault:v3:": 0, "vault:vx:abc": 0, "vault:v-1:abc": 0, "v1:abc": 0} {
		if got := d.Version(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// Trouble costs a bounded number of tries, and its cause is said.
func TestTrouble(t *testing.T) {
	type trouble = transittest.Trouble
	for name, c := range map[string]struct {
		trouble []trouble
		want    error
		asked   int
	}{
		"an error once":           {[]trouble{{Status: 500}}, nil, 2},
		"an error always":         {slices.Repeat([]trouble{{Status: 500}}, 9), transit.ErrUnreachable, 3},
		"a gateway":               {slices.Repeat([]trouble{{Status: 503, Body: "<html>"}}, 9), transit.ErrUnreachable, 3},
		"dropped once":            {[]trouble{{Drop: true}}, nil, 2},
		"slow":                    {slices.Repeat([]trouble{{Slow: 30 * time.Second}}, 9), transit.ErrUnreachable, 3},
		"slow once":               {[]trouble{{Slow: 30 * time.Second}}, nil, 2},
		"busy":                    {[]trouble{{Status: 429}}, nil, 2},
		"busy for a second":       {[]trouble{{Status: 429, After: "1"}}, nil, 2},
		"busy for long":           {[]trouble{{Status: 429, After: "3600"}}, transit.ErrBusy, 1},
		"another service":         {[]trouble{{Body: "<html>hello</html>"}}, transit.ErrAnswer, 1},
		"nothing in it":           {[]trouble{{Body: `{"data":{}}`}}, transit.ErrAnswer, 1},
		"too much":                {[]trouble{{Body: `{"data":{"plaintext":"` + strings.Repeat("A", 1<<21) + `"}}`}}, transit.ErrAnswer, 1},
		"a redirect":              {[]trouble{{Status: 307}}, transit.ErrAnswer, 1},
		"a token that is refused": {[]trouble{{Status: 403}}, transit.ErrToken, 1},
		"no such mount":           {[]trouble{{Status: 404}}, transit.ErrKey, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			text := d.wrapped(t)
			for i := range c.trouble {
				c.trouble[i].Path = "/decrypt/"
			}
			d.Play(c.trouble...)
			if err := d.opens(t.Context(), text); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := d.Asked("/decrypt/"); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

// A sealed server is said to be, at once, and is used again once it is not.
func TestSealed(t *testing.T) {
	d := newDesk(t, nil)
	text := d.wrapped(t)
	d.Seal(true)
	if err := d.opens(t.Context(), text); !errors.Is(err, transit.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	if err := d.Client.Check(t.Context()); !errors.Is(err, transit.ErrSealed) {
		t.Errorf("check: got %v, want ErrSealed", err)
	}
	if n := d.Asked("/decrypt/"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	d.Seal(false)
	if err := d.opens(t.Context(), text); err != nil {
		t.Error(err)
	}
	d.CloseClientConnections()
	d.Close()
	if err := d.Client.Check(t.Context()); !errors.Is(err, transit.ErrUnreachable) {
		t.Errorf("gone: got %v, want ErrUnreachable", err)
	}
}

// A server that wants to be left alone is, for as long as it said.
func TestRests(t *testing.T) {
	d := newDesk(t, nil)
	text := d.wrapped(t)
	d.Play(transittest.Trouble{Path: "/decrypt/", Status: 429, After: "30"})
	for range 3 {
		if err := d.opens(t.Context(), text); !errors.Is(err, transit.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
	}
	if n := d.Asked("/decrypt/"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	d.now = d.now.Add(31 * time.Second)
	if err := d.opens(t.Context(), text); err != nil {
		t.Error(err)
	}
}

// A key is used when it is there and fit, and never made.
func TestKeysThatDoNot(t *testing.T) {
	for name, want := range map[string]error{"nobody": transit.ErrKey, "rsa": transit.ErrKind} {
		d := newDesk(t, func(c *transit.Config) { c.Key = name })
		d.AddKey("rsa", "rsa-2048")
		if _, err := d.Wrap(t.Context(), seal.SecretString("x"), bound); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if d.Asked("/encrypt/") > 0 {
			t.Errorf("%s: something was sent to be encrypted", name)
		}
	}
}

// The token of a file is renewed in time, and another in its place is taken.
func TestToken(t *testing.T) {
	d := newDesk(t, nil)
	text := d.wrapped(t)
	for _, c := range []struct {
		age   int64
		renew int
	}{{1000, 0}, {1000, 1}, {1000, 1}} {
		d.Age(c.age)
		if err := d.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := d.Asked("renew-self"); n != c.renew {
			t.Errorf("after %d s: renewed %d times, want %d", c.age, n, c.renew)
		}
	}
	d.Age(3600)
	if err := d.opens(t.Context(), text); !errors.Is(err, transit.ErrToken) {
		t.Errorf("an old token: got %v, want ErrToken", err)
	}
	d.token = d.NewToken(0)
	if err := d.opens(t.Context(), text); err != nil {
		t.Error(err)
	}
	if tok, err := d.Signed(t.Context()); err != nil || tok.Life() != 0 {
		t.Errorf("got %+v, %v", tok, err)
	}
	if err := d.Renew(t.Context()); err != nil || d.Asked("renew-self") != 1 {
		t.Errorf("a token without end: got %v, renewed %d times", err, d.Asked("renew-self"))
	}
}

// A role signs in by itself, again when its token has ended.
func TestRole(t *testing.T) {
	secret := transittest.SecretID
	d := newDesk(t, func(c *transit.Config) {
		c.RoleID, c.SecretID = transittest.RoleID, func() (seal.Secret, error) { return seal.SecretString(secret), nil }
	})
	text := d.wrapped(t)
	d.Revoke()
	if err := d.opens(t.Context(), text); err != nil {
		t.Error(err)
	}
	if n := d.Asked("approle/login"); n != 2 {
		t.Errorf("signed in %d times, want 2", n)
	}
	d.Revoke()
	secret = "wrong"
	if err := d.opens(t.Context(), text); !errors.Is(err, transit.ErrToken) {
		t.Errorf("a wrong secret id: got %v, want ErrToken", err)
	}
}

// A token that cannot be read is said to be, and nothing is asked.
func TestNoCredential(t *testing.T) {
	d := newDesk(t, func(c *transit.Config) {
		c.Token = func() (seal.Secret, error) { return seal.Secret{}, os.ErrPermission }
	})
	if err := d.opens(t.Context(), "vault:v1:abc"); !errors.Is(err, transit.ErrCredential) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
	if d.Asked("") > 0 {
		t.Error("the server was asked")
	}
}

// Nothing that was sent or received is in an error, nor the address.
func TestErrorsSayNothing(t *testing.T) {
	d := newDesk(t, nil)
	text := d.wrapped(t)
	for _, trouble := range []transittest.Trouble{{Status: 400, Body: "SECRET"}, {Status: 200, Body: "SECRET"}, {Status: http.StatusTeapot, Body: `{"errors":["SECRET"]}`}} {
		trouble.Path = "/decrypt/"
		d.Play(trouble)
		err := d.opens(t.Context(), text)
		if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), d.token) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("got %v", err)
		}
	}
	d.CloseClientConnections()
	d.Close()
	if err := d.opens(t.Context(), text); err == nil || strings.Contains(err.Error(), "/v1/") {
		t.Errorf("got %v", err)
	}
}

// A server with another certificate is not asked.
func TestNotTrusted(t *testing.T) {
	d := newDesk(t, func(c *transit.Config) { c.Roots = x509.NewCertPool() })
	if err := d.opens(t.Context(), "vault:v1:abc"); !errors.Is(err, transit.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	if d.Asked("") > 0 {
		t.Error("it got a request")
	}
}
