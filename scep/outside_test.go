package scep_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
	"github.com/signet-mdm/signet/scep/upstream"
	"github.com/signet-mdm/signet/scep/upstream/upstreamtest"
)

// codes tells the other CA each challenge before it is used.
type codes struct {
	*upstreamtest.Server
	next string // in place of a fresh one
	life time.Duration
}

func (c *codes) Challenge(context.Context, map[string]string) (seal.Secret, time.Duration, error) {
	s := seal.Random()
	if c.next != "" {
		s = seal.SecretString(c.next)
	}
	c.Code(s.RevealString())
	return s, c.life, nil
}

// outsideWorld has S/MIME certificates issued by another CA.
func outsideWorld(t *testing.T) (*world, *codes) {
	t.Helper()
	other := upstreamtest.Start()
	t.Cleanup(other.Close)
	source := &codes{Server: other, life: 57 * time.Minute}
	public := must(ca.NewPublic(scep.Upstream, other.Chain(), ca.URLs{}))(t)
	key := rsaKey(keyOfMailRA)
	ra := scep.RA{Certificate: other.Certify(key.Public(), "Example RA"), Signer: key, Decrypter: key}
	w := newWorld(t, func(c *scep.Config) {
		p := profiles(c)
		p[1].Issuer = scep.Upstream
		c.Beyond = &scep.Beyond{CA: public, Challenges: source, RA: func() (scep.RA, error) { return ra, nil }}
	})
	client := upstream.New(upstream.Config{URL: other.Address(), CA: other.Chain(), Now: time.Now, Identity: identity})
	w.outside = &scep.Outside{CA: public, SCEP: client}
	w.restart()
	return w, source
}

// identity is ours at the other CA, also after a restart.
var identity = sync.OnceValues(func() (upstream.Identity, error) { return upstream.NewIdentity(time.Now()) })

// alice is what the other CA must be asked for.
var alice = x509.CertificateRequest{Subject: pkix.Name{CommonName: "Alice Example"}, EmailAddresses: []string{"alice@example.com"}}

func (w *world) askOutside(challenge seal.Secret) ask {
	w.t.Helper()
	ra := must(w.config.Beyond.RA())(w.t)
	return ask{challenge: challenge.RevealString(), template: alice, to: ra.Certificate}
}

func TestOutside(t *testing.T) {
	w, other := outsideWorld(t)
	secret := w.challenge(scep.MailSigning)
	a := w.askOutside(secret)
	got := w.send(a)
	if got.cert == nil || got.cert.CheckSignatureFrom(other.CA) != nil {
		t.Fatalf("got %v", got)
	}
	if n := w.actions(journal.CertificateIssued); n != 1 || w.certificates() != 1 {
		t.Errorf("%d in the journal, %d stored; want 1", n, w.certificates())
	}
	if again := w.send(a); again.cert == nil || !again.cert.Equal(got.cert) || len(other.Issued()) != 1 {
		t.Errorf("the same request again: %v, and the other CA made %d", again, len(other.Issued()))
	}
	a.from, a.transaction = newClient(2), "T-2"
	if got := w.send(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("another key with the same challenge: %v", got)
	}
	// It is revoked in our records, and no CRL of ours tells of it.
	f := cert.FingerprintOf(got.cert.Raw)
	if err := w.s.Revoke(t.Context(), worker, f, ""); err != nil {
		t.Error(err)
	}
	if r := must(w.db.SCEP().Issued(t.Context(), f))(t); !r.Record.Revoked() || r.Issuer != scep.Upstream {
		t.Errorf("after the revocation: %+v", r)
	}
	if _, err := w.s.CRL(t.Context(), scep.Upstream, ""); !errors.Is(err, scep.ErrIssuerUnknown) {
		t.Errorf("its CRL: %v", err)
	}
}

func TestOutsideNames(t *testing.T) {
	for name, spoil := range map[string]func(*x509.CertificateRequest){
		"another person":  func(r *x509.CertificateRequest) { r.Subject.CommonName = "Mallory" },
		"more names":      func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"Example"} },
		"another address": func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"mallory@example.com"} },
		"more addresses":  func(r *x509.CertificateRequest) { r.EmailAddresses = append(r.EmailAddresses[:1:1], "ceo@example.com") },
		"a host":          func(r *x509.CertificateRequest) { r.DNSNames = []string{"mail.example.com"} },
		"no address":      func(r *x509.CertificateRequest) { r.EmailAddresses = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w, other := outsideWorld(t)
			a := w.askOutside(w.challenge(scep.MailSigning))
			spoil(&a.template)
			if got := w.send(a); !got.refused("2", scep.ErrUpstreamNames) || len(other.Issued()) > 0 {
				t.Errorf("got %v, and the other CA made %d", got, len(other.Issued()))
			}
			a.template = alice
			if got := w.send(a); got.cert == nil {
				t.Errorf("the right names after that: %v", got)
			}
		})
	}
}

// What the other CA makes of a request is not handed out when it is wrong.
func TestOutsideCertificate(t *testing.T) {
	for name, c := range map[string]func(*x509.Certificate){
		"other subject":   func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "Alice"} },
		"another address": func(c *x509.Certificate) { c.EmailAddresses = []string{"bob@example.com"} },
		"more addresses":  func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "bob@example.com") },
		"a CA": func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		},
		"encryption":       func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment },
		"no usage":         func(c *x509.Certificate) { c.KeyUsage = 0 },
		"not for mail":     func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"servers too":      func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) },
		"expired":          func(c *x509.Certificate) { c.NotBefore, c.NotAfter = start.AddDate(-2, 0, 0), start.AddDate(-1, 0, 0) },
		"begins next year": func(c *x509.Certificate) { c.NotBefore, c.NotAfter = start.AddDate(1, 0, 0), start.AddDate(2, 0, 0) },
		"ten years":        func(c *x509.Certificate) { c.NotAfter = start.AddDate(10, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			w, other := outsideWorld(t)
			other.Play(upstreamtest.Scene{Certify: c})
			got := w.send(w.askOutside(w.challenge(scep.MailSigning)))
			if !got.refused("2", scep.ErrUpstreamCertificate) || w.certificates() != 0 {
				t.Errorf("got %v", got)
			}
			if n := w.actions(journal.CertificateRefused); n != 1 || len(other.Issued()) != 1 {
				t.Errorf("%d in the journal, the other CA made %d", n, len(other.Issued()))
			}
			if serial := other.Issued()[0].SerialNumber.Text(16); !strings.Contains(w.log.String(), serial) {
				t.Errorf("the log does not say that %s is to be revoked", serial)
			}
		})
	}
}

// A server that is down, undecided or refuses leaves the challenge as good as
// before.
func TestOutsideFails(t *testing.T) {
	for name, c := range map[string]struct {
		scene upstreamtest.Scene
		want  error
	}{
		"down":    {upstreamtest.Scene{HTTP: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }}, upstream.ErrUnreachable},
		"foreign": {upstreamtest.Scene{Stranger: true}, upstream.ErrUntrusted},
		"refuses": {upstreamtest.Scene{Caps: "SHA-1"}, upstream.ErrAlgorithms},
	} {
		t.Run(name, func(t *testing.T) {
			w, other := outsideWorld(t)
			secret := w.challenge(scep.MailSigning)
			other.Play(c.scene)
			if got := w.send(w.askOutside(secret)); !got.refused("2", c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if n := w.actions(journal.ChallengeRefused); name == "down" && n != 0 {
				t.Errorf("%d tries were counted although nobody failed", n)
			}
			other.Play(upstreamtest.Scene{})
			other.Code(secret.RevealString())
			if got := w.send(w.askOutside(secret)); got.cert == nil {
				t.Errorf("afterwards: %v", got)
			}
		})
	}
}

func TestOutsideChallenge(t *testing.T) {
	w, other := outsideWorld(t)
	request := scep.ChallengeRequest{Profile: scep.MailSigning, User: w.user, Device: w.device}
	c := must(w.s.Challenge(t.Context(), worker, request))(t)
	if want := w.clock().Add(other.life); !c.Expires.Equal(want) {
		t.Errorf("it expires %v, want %v, when the other CA forgets it", c.Expires, want)
	}
	other.next = "SAME-FOR-ALL"
	must(w.s.Challenge(t.Context(), worker, request))(t)
	if _, err := w.s.Challenge(t.Context(), worker, request); !errors.Is(err, scep.ErrUpstreamStatic) {
		t.Errorf("the same twice: got %v, want ErrUpstreamStatic", err)
	}
	w.config.Store = blind{w.config.Store}
	w.restart()
	if _, err := w.s.Challenge(t.Context(), worker, request); !errors.Is(err, errDied) || errors.Is(err, scep.ErrUpstreamStatic) {
		t.Errorf("a database that fails: got %v, want its failure alone", err)
	}
}

// Identities of devices open keys: no other CA makes them.
func TestOutsideIdentity(t *testing.T) {
	w, _ := outsideWorld(t)
	profiles(&w.config)[0].Issuer, w.config.Keeper = scep.Upstream, w.keeper
	if _, err := scep.New(w.config); !errors.Is(err, scep.ErrUpstreamIdentity) {
		t.Errorf("got %v, want ErrUpstreamIdentity", err)
	}
}

// Until the other CA has made our RA its profile answers nothing.
func TestOutsideWithoutRA(t *testing.T) {
	w, _ := outsideWorld(t)
	w.config.Beyond.RA = func() (scep.RA, error) { return scep.RA{}, scep.ErrUpstreamRA }
	w.config.Keeper = w.keeper
	s := must(scep.New(w.config))(t)
	if _, _, err := s.GetCACert(t.Context(), scep.MailSigning); !errors.Is(err, scep.ErrUpstreamRA) {
		t.Errorf("got %v, want ErrUpstreamRA", err)
	}
	if _, _, err := s.GetCACert(t.Context(), scep.DeviceIdentity); err != nil {
		t.Errorf("another profile: %v", err)
	}
}

func TestOutsideRenewal(t *testing.T) {
	w, _ := outsideWorld(t)
	a := w.askOutside(w.challenge(scep.MailSigning))
	got := w.send(a)
	if got.cert == nil {
		t.Fatalf("got %v", got)
	}
	a.kind, a.challenge, a.from = "17", "", client{newClient(1).key, got.cert}
	if got := w.send(a); !got.refused("2", scep.ErrRenewalUnknown) {
		t.Errorf("renewal by its signature: %v", got)
	}
}

// What another CA makes is looked at when it comes: a profile for it need not say
// what ours do.
func TestProfileForAnotherCA(t *testing.T) {
	w := newWorld(t)
	other := must(ca.NewPublic(scep.Upstream, theHouse().mail.Issuer.Chain(), ca.URLs{}))(t)
	b := scep.NewBook(w.db.SCEP(), scep.Shipped("device", "smime"), func(name string) (*ca.Public, bool) { return other, name == scep.Upstream }, w.clock)
	if err := write(t, b, "kind: CertificateProfile\nname: partners\nissuer: upstream\n"); err != nil {
		t.Fatal(err)
	}
	if p, err := b.Profile(t.Context(), "partners"); err != nil || p.Issuer != scep.Upstream {
		t.Errorf("got %+v, %v", p, err)
	}
}

// blind is a store whose challenges cannot be read.
type blind struct{ scep.Store }

func (blind) Ticket(context.Context, seal.Hash) (scep.Ticket, error) { return scep.Ticket{}, errDied }
