package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
	"github.com/signet-mdm/signet/scep/upstream"
)

var errUpstreamUsage = fault.New(fault.Conflict, "upstream_ra_usage",
	"The registration certificate of the other certification authority is not for both signing and decryption, without which no iPhone enrolls.",
	"Let its template for Signet have the key usages digitalSignature and keyEncipherment.")

// outside is the CA that is not ours, with our RA under it.
type outside struct {
	ca     *ca.Public
	client *upstream.Client
	source scep.Challenges
	ra     atomic.Pointer[scep.RA]
	failed time.Time // the last time that no RA was to be had; zero: none
}

// The keys of our RA under the other CA begin so; the newest counts. One with a
// certificate of its own making waits for the CA's.
const upstreamRA = "upstream-ra"

// upstreamClient is the key by which the other CA knows us again when it is
// asked what became of a request.
const upstreamClient = "upstream-client"

const (
	upstreamNotice = 30 * 24 * time.Hour // our RA is renewed so long before its end, or in its last third
	upstreamPause  = time.Hour           // each try may cost a challenge
)

// wireUpstream opens it; nil when there is none.
func (s *server) wireUpstream() error {
	u := s.cfg.Upstream
	if u.URL == "" {
		return nil
	}
	chain, err := readChain(u.CA)
	if err != nil {
		return fmt.Errorf("reading upstream.ca: %w", err)
	}
	o := &outside{}
	if o.ca, err = ca.NewPublic(scep.Upstream, chain, ca.URLs{}); err != nil {
		return err
	}
	pool, err := roots(u.TLSCA)
	if err != nil {
		return fmt.Errorf("reading upstream.tls_ca: %w", err)
	}
	c := upstream.Config{URL: u.URL, CA: chain, TLS: pool, Legacy: u.Legacy, Identity: s.upstreamIdentity, Now: time.Now}
	o.client = upstream.New(c)
	if o.source, err = challengesOf(u, c); err != nil {
		return err
	}
	s.outside = o
	return s.openUpstreamRA()
}

// shipped gives the shipped profiles; the other CA makes signing certificates.
func (s *server) shipped() []scep.Profile {
	list := scep.Shipped(deviceKey, mailKey)
	for i := range list {
		if s.outside != nil && list[i].Name == scep.MailSigning {
			list[i].Issuer = scep.Upstream
		}
	}
	return list
}

// beyond is how the RA sees the other CA.
func (s *server) beyond() *scep.Beyond {
	if s.outside == nil {
		return nil
	}
	return &scep.Beyond{CA: s.outside.ca, RA: s.outside.RA, Challenges: s.outside.source}
}

// asking is how the keeper sees it.
func (s *server) asking() *scep.Outside {
	if s.outside == nil {
		return nil
	}
	return &scep.Outside{CA: s.outside.ca, SCEP: s.outside.client}
}

// commandLife is how long a challenge of upstream.command is believed to live.
const commandLife = 25 * time.Hour

func challengesOf(u config.Upstream, c upstream.Config) (scep.Challenges, error) {
	switch u.Challenge {
	case "command":
		return upstream.Command{Path: u.Command, Life: commandLife}, nil
	case "ndes":
		text, err := os.ReadFile(u.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading upstream.password_file: %w", err)
		}
		return upstream.NewNDES(u.Page, seal.SecretString(u.Username), seal.NewSecret(bytes.TrimRight(text, "\r\n")), c), nil
	}
	return upstream.None{}, nil
}

// readChain reads the certificates of a PEM file.
func readChain(file string) (list []*x509.Certificate, err error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return list, nil
}

// openUpstreamRA takes the newest RA of the ring that the CA made.
func (s *server) openUpstreamRA() error {
	for _, name := range s.ring.Names() {
		if !strings.HasPrefix(name, upstreamRA) {
			continue
		}
		ra, err := openRA(s.ring, name)
		if err != nil {
			return err
		}
		if old := s.outside.ra.Load(); s.outside.ca.Made(ra.Certificate) && (old == nil || ra.Certificate.NotAfter.After(old.Certificate.NotAfter)) {
			s.outside.ra.Store(&ra)
		}
	}
	return nil
}

// RA gives ours.
func (o *outside) RA() (scep.RA, error) {
	ra := o.ra.Load()
	if ra == nil || time.Now().After(ra.Certificate.NotAfter) {
		return scep.RA{}, scep.ErrUpstreamRA
	}
	return *ra, nil
}

// enrollUpstreamRA gets our RA's certificate from the other CA, and the next
// one before it ends. It is run again and again.
func (s *server) enrollUpstreamRA(ctx context.Context) (int, error) {
	o := s.outside
	if ra := o.ra.Load(); ra != nil && time.Until(ra.Certificate.NotAfter) > noticeOf(ra.Certificate) || time.Since(o.failed) < upstreamPause {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := s.newUpstreamRA(ctx)
	if err != nil {
		o.failed = time.Now()
		return 0, fmt.Errorf("getting a registration certificate of the other CA: %w", err)
	}
	if c == nil { // it is asked again in a minute
		return 0, nil
	}
	return 1, s.openUpstreamRA()
}

// noticeOf is how long before its end an RA is renewed: one that never lasts
// that long must not be asked for again and again.
func noticeOf(c *x509.Certificate) time.Duration {
	return min(upstreamNotice, c.NotAfter.Sub(c.NotBefore)/3)
}

// newUpstreamRA asks for the certificate of our next RA, or what became of that
// question; nil while a person over there decides.
func (s *server) newUpstreamRA(ctx context.Context) (*x509.Certificate, error) {
	o, subject := s.outside, pkix.Name{CommonName: maker{cfg: s.cfg}.organization() + " Signet RA"}
	name, key, waited, err := s.nextUpstreamRA()
	if err != nil {
		return nil, err
	}
	var c *x509.Certificate
	if waited {
		var decided bool
		if c, decided, err = o.ask(ctx, o.client.Poll, subject, key, ""); err == nil && !decided {
			return nil, nil
		}
	}
	if c == nil { // never asked, refused, or the CA knows no such question
		if c, err = o.enroll(ctx, subject, key); err != nil {
			return nil, err
		}
		if c == nil {
			s.log.InfoContext(ctx, "our registration certificate waits for approval at the other CA", logx.Kind, name)
			return nil, nil
		}
	}
	if both := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment; c.KeyUsage&both != both || c.IsCA {
		return nil, errUpstreamUsage
	}
	s.log.InfoContext(ctx, "the other CA made our registration certificate", logx.Serial, c.SerialNumber.Text(16), logx.Until, c.NotAfter)
	return c, s.ring.Certify(name, slices.Concat([]*x509.Certificate{c}, o.ca.Chain()))
}

// enroll asks for the certificate of an RA, with a challenge of its own; nil
// when a person over there decides first.
func (o *outside) enroll(ctx context.Context, subject pkix.Name, key crypto.Signer) (*x509.Certificate, error) {
	secret, _, err := o.source.Challenge(ctx, map[string]string{"profile": "registration", "commonName": subject.CommonName})
	if err != nil {
		return nil, err
	}
	c, decided, err := o.ask(ctx, o.client.Enroll, subject, key, secret.RevealString())
	if err != nil || !decided {
		return nil, err
	}
	return c, nil
}

// ask signs a request for an RA, and hands it to the client.
func (o *outside) ask(ctx context.Context, put func(context.Context, []byte) (*x509.Certificate, bool, error),
	subject pkix.Name, key crypto.Signer, secret string) (*x509.Certificate, bool, error) {
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: subject, ExtraExtensions: []pkix.Extension{bothUsages}},
		ChallengePassword:  secret,
	}, key)
	if err != nil {
		return nil, false, fmt.Errorf("making the request: %w", err)
	}
	return put(ctx, csr)
}

// nextUpstreamRA gives the key of the next RA. It is kept before the CA is
// asked, so that a request that waits over there is still ours after a restart.
func (s *server) nextUpstreamRA() (name string, key crypto.Signer, waited bool, err error) {
	for _, name := range s.ring.Names() {
		if !strings.HasPrefix(name, upstreamRA) {
			continue
		}
		chain, err := s.ring.Certificates(name)
		if err != nil || len(chain) == 0 || !bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject) {
			continue // a CA made it
		}
		key, err := s.ring.Signer(name)
		return name, key, true, err
	}
	self, err := upstream.NewIdentity(time.Now())
	if err != nil {
		return "", nil, false, err
	}
	name = s.freeName(upstreamRA)
	return name, self.Key, false, s.ring.Add(name, self.Key, []*x509.Certificate{self.Certificate})
}

// upstreamIdentity opens the key by which the other CA knows us, made when it is
// first needed.
func (s *server) upstreamIdentity() (upstream.Identity, error) {
	chain, err := s.ring.Certificates(upstreamClient)
	if errors.Is(err, keyring.ErrKeyUnknown) {
		self, err := upstream.NewIdentity(time.Now())
		if err != nil {
			return self, err
		}
		if err = s.ring.Add(upstreamClient, self.Key, []*x509.Certificate{self.Certificate}); !errors.Is(err, keyring.ErrKeyExists) {
			return self, err
		}
		chain, err = s.ring.Certificates(upstreamClient) // two requests at once began with it
	}
	if err != nil {
		return upstream.Identity{}, err
	}
	signer, err := s.ring.Signer(upstreamClient)
	if err != nil {
		return upstream.Identity{}, err
	}
	key, is := signer.(upstream.Key)
	if !is {
		return upstream.Identity{}, keyring.ErrKeyUse
	}
	return upstream.Identity{Certificate: chain[0], Key: key}, nil
}

// bothUsages asks for digitalSignature and keyEncipherment.
//
// Spec: RFC 5280 section 4.2.1.3
var bothUsages = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 5, 0xa0}}

// freeName gives a name for the next key of a kind.
func (s *server) freeName(kind string) string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s-%d", kind, n); !slices.Contains(s.ring.Names(), name) {
			return name
		}
	}
}
