package upstream_test

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep/upstream"
	"github.com/signet-mdm/signet/scep/upstream/upstreamtest"
)

func big1() *big.Int { return big.NewInt(1) }

func TestNDES(t *testing.T) {
	for name, c := range map[string]struct {
		ndes     upstreamtest.NDES
		password string
		want     error
	}{
		"a password":    {},
		"big endian":    {ndes: upstreamtest.NDES{BigEndian: true}},
		"UTF-8":         {ndes: upstreamtest.NDES{UTF8: true}},
		"full":          {ndes: upstreamtest.NDES{Full: true}, want: upstream.ErrChallengeFull},
		"no permission": {ndes: upstreamtest.NDES{Forbidden: true}, want: upstream.ErrChallengeDenied},
		"another page":  {ndes: upstreamtest.NDES{Page: "<html>IIS</html>"}, want: upstream.ErrChallenge},
		"thumbprint":    {ndes: upstreamtest.NDES{Page: "thumbprint is: <B> 4D1F5A3B </B>"}, want: upstream.ErrChallenge},
		"wrong account": {password: "wrong", want: upstream.ErrChallengeDenied},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.NDES = c.ndes
			if c.password == "" {
				c.password = upstreamtest.Password
			}
			n := upstream.NewNDES(s.URL+"/certsrv/mscep_admin/", seal.SecretString(upstreamtest.User), seal.SecretString(c.password), upstream.Config{})
			secret, life, err := n.Challenge(t.Context(), nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				if strings.Contains(err.Error(), c.password) {
					t.Errorf("the error shows the password: %v", err)
				}
				return
			}
			if life <= 0 || life >= time.Hour {
				t.Errorf("it lives %v", life)
			}
			if _, err := enroll(t.Context(), client(s), request(t, secret.RevealString())); err != nil {
				t.Errorf("enrolling with it: %v", err)
			}
		})
	}
}

// The sixth unused password is not given out.
func TestNDESFills(t *testing.T) {
	s := start(t)
	n := upstream.NewNDES(s.URL+"/certsrv/mscep_admin/", seal.SecretString(upstreamtest.User), seal.SecretString(upstreamtest.Password), upstream.Config{})
	for i := range 5 {
		if _, _, err := n.Challenge(t.Context(), nil); err != nil {
			t.Fatalf("password %d: %v", i+1, err)
		}
	}
	if _, _, err := n.Challenge(t.Context(), nil); !errors.Is(err, upstream.ErrChallengeFull) {
		t.Errorf("got %v, want ErrChallengeFull", err)
	}
}

func TestCommand(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   string
		refuse bool
	}{
		"prints one":    {script: "echo CODE-1234", want: "CODE-1234"},
		"reads it":      {script: `sed 's/.*"mail":"\([^"]*\)".*/\1/'`, want: "alice@example.com"},
		"fails":         {script: "echo CODE-1234; exit 1", refuse: true},
		"prints none":   {script: "true", refuse: true},
		"too short":     {script: "echo 1234", refuse: true},
		"two lines":     {script: "echo CODE-1234; echo CODE-5678", refuse: true},
		"too much":      {script: "yes", refuse: true},
		"not printable": {script: `printf 'CODE\t1234567'`, refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "code")
			if err := os.WriteFile(file, fmt.Appendf(nil, "#!/bin/sh\n%s\n", c.script), 0o700); err != nil {
				t.Fatal(err)
			}
			secret, life, err := upstream.Command{Path: file, Life: time.Hour}.Challenge(t.Context(), map[string]string{"mail": "alice@example.com"})
			if c.refuse {
				if !errors.Is(err, upstream.ErrChallenge) || strings.Contains(err.Error(), "CODE") {
					t.Errorf("got %v, want ErrChallenge without the output", err)
				}
				return
			}
			if err != nil || secret.RevealString() != c.want || life != time.Hour {
				t.Errorf("got %q for %v, %v; want %q", secret.RevealString(), life, err, c.want)
			}
		})
	}
	if _, _, err := (upstream.Command{Path: "/does/not/exist"}).Challenge(t.Context(), nil); !errors.Is(err, upstream.ErrChallenge) {
		t.Errorf("no program: got %v, want ErrChallenge", err)
	}
}

func FuzzAdminPage(f *testing.F) {
	for _, page := range []string{"", "\xff\xfe", "\xfe\xff\x00", "a\x00b", "The enrollment challenge password is: <B> 1234567890ABCDEF </B>", "The password cache is full."} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		secret, err := upstream.ReadAdminPage(page)
		if (err == nil) == secret.Empty() {
			t.Errorf("got a secret of %d bytes and %v", len(secret.Reveal()), err)
		}
	})
}
