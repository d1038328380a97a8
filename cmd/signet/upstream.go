package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
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

// The keys of our RA under the other CA begin so; the newest counts.
const upstreamRA = "upstream-ra"

const (
	upstreamNotice = 30 * 24 * time.Hour // our RA is renewed so long before its end
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
	c := upstream.Config{URL: u.URL, CA: chain, TLS: pool, Legacy: u.Legacy, Now: time.Now}
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
	if ra := o.ra.Load(); ra != nil && time.Until(ra.Certificate.NotAfter) > upstreamNotice || time.Since(o.failed) < upstreamPause {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.newUpstreamRA(ctx); err != nil {
		o.failed = time.Now()
		return 0, fmt.Errorf("getting a registration certificate of the other CA: %w", err)
	}
	return 1, s.openUpstreamRA()
}

func (s *server) newUpstreamRA(ctx context.Context) error {
	o, name := s.outside, maker{cfg: s.cfg}.organization()+" Signet RA"
	secret, _, err := o.source.Challenge(ctx, map[string]string{"profile": "registration", "commonName": name})
	if err != nil {
		return err
	}
	key, err := rsaKey(2048)()
	if err != nil {
		return err
	}
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, ExtraExtensions: []pkix.Extension{bothUsages}},
		ChallengePassword:  secret.RevealString(),
	}, key)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	c, err := o.client.Enroll(ctx, csr)
	if err != nil {
		return err
	}
	if both := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment; c.KeyUsage&both != both || c.IsCA {
		return errUpstreamUsage
	}
	s.log.InfoContext(ctx, "the other CA made our registration certificate", logx.Serial, c.SerialNumber.Text(16), logx.Until, c.NotAfter)
	return s.ring.Add(s.freeName(upstreamRA), key, slices.Concat([]*x509.Certificate{c}, o.ca.Chain()))
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
