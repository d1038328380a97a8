package scep_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
)

// scepclients are the two released versions of micromdm's program: the one in
// Debian, and the last, built from the module. They encrypt with DES and sign
// over SHA-1, and no option changes that. By default they encrypt to each
// certificate of GetCACert and give up at one that is not RSA, so they are told
// which is the RA's.
var scepclients = map[string]func(t *testing.T, ra *x509.Certificate) (program string, choose []string){
	"2.1.0": func(t *testing.T, ra *x509.Certificate) (string, []string) {
		judge.Need(t, "scepclient")
		print := sha256.Sum256(ra.Raw)
		return "scepclient", []string{"-ca-fingerprint", hex.EncodeToString(print[:])}
	},
	"2.3.0": func(t *testing.T, _ *x509.Certificate) (string, []string) {
		return newScepclient(t), []string{"-key-encipherment-selector"}
	},
}

// newScepclient builds version 2.3.0.
func newScepclient(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scepclient")
	judge.Run(t, nil, "go", "build", "-o", path, "github.com/micromdm/scep/v2/cmd/scepclient")
	return path
}

// scepclient is one client in a folder of its own, where it keeps key,
// certificate and request.
type scepclient struct {
	t       *testing.T
	program string
	dir     string
	args    []string
}

func (c scepclient) with(args ...string) []string { return append(args, c.args...) }

func (c scepclient) certificate() *x509.Certificate {
	c.t.Helper()
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(c.dir, "cert.pem")))(c.t))
	return must(x509.ParseCertificate(block.Bytes))(c.t)
}

// scepclient enrolls and renews where a profile is for old clients, and is told
// why where it is not.
func TestScepclient(t *testing.T) {
	ra := theHouse().mail.RA.Certificate
	for version, choose := range scepclients {
		begin := func(t *testing.T, w *world) scepclient {
			program, args := choose(t, ra)
			c := scepclient{t: t, program: program, dir: t.TempDir()}
			c.args = append(args, "-server-url", w.serve(scep.MailSigning), "-private-key", filepath.Join(c.dir, "key.pem"),
				"-certificate", filepath.Join(c.dir, "cert.pem"), "-cn", "somebody")
			return c
		}
		t.Run(version, func(t *testing.T) {
			w := newWorld(t, legacyProfile, func(c *scep.Config) { profiles(c)[1].RenewWithin = profiles(c)[1].Life })
			c := begin(t, w)
			judge.Run(t, nil, c.program, c.with("-challenge", w.challenge(scep.MailSigning).RevealString())...)
			first := c.certificate()
			w.sees(first)
			judge.Run(t, nil, c.program, c.with()...)
			second := c.certificate()
			w.sees(second)
			if second.Equal(first) || w.certificates() != 2 {
				t.Errorf("%d certificates on record, want 2", w.certificates())
			}
		})
		for name, refused := range map[string]struct {
			legacy bool
			code   string
		}{"wrong challenge": {true, "code=scep_challenge_unknown"}, "usual profile": {false, "code=scep_algorithm"}} {
			t.Run(version+" "+name, func(t *testing.T) {
				w := newWorld(t)
				if refused.legacy {
					w = newWorld(t, legacyProfile)
				}
				c := begin(t, w)
				judge.Refuses(t, nil, c.program, c.with("-challenge", "WRONG")...)
				if w.certificates() != 0 || !contains(w.log.Bytes(), refused.code) {
					t.Errorf("%d certificates; the log says:\n%s", w.certificates(), w.log)
				}
			})
		}
	}
}

// sees wants a certificate for the world's user.
func (w *world) sees(c *x509.Certificate) {
	w.t.Helper()
	if len(c.EmailAddresses) != 1 || c.EmailAddresses[0] != w.user.Mail {
		w.t.Errorf("the certificate %s is for %v", cert.FingerprintOf(c.Raw), c.EmailAddresses)
	}
}
