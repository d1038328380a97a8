package scep_test

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	scepserver "github.com/micromdm/scep/v2/server"
	smallstep "github.com/smallstep/scep"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
)

func legacy(c *scep.Config) { c.AllowLegacy = true }

// legacyProfile is legacy for the one profile.
func legacyProfile(c *scep.Config) {
	list := slices.Clone(profiles(c))
	list[1].Legacy = true
	c.Profiles = list
}

func TestGetCACaps(t *testing.T) {
	for name, c := range map[string]struct {
		w    *world
		want string
	}{
		"usual":          {newWorld(t), "AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-384 SHA-512"},
		"legacy":         {newWorld(t, legacy), "AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-384 SHA-512 SHA-1 DES3"},
		"legacy profile": {newWorld(t, legacyProfile), "AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-384 SHA-512 SHA-1 DES3"},
	} {
		got := string(must(c.w.s.GetCACaps(t.Context(), scep.MailSigning))(t))
		if got != strings.ReplaceAll(c.want, " ", "\n") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// What one profile allows, another does not.
func TestLegacyIsOfOneProfile(t *testing.T) {
	w := newWorld(t, legacyProfile)
	if caps := string(must(w.s.GetCACaps(t.Context(), scep.DeviceIdentity))(t)); strings.Contains(caps, "DES") || strings.Contains(caps, "SHA-1\n") {
		t.Errorf("got %q", caps)
	}
	sha1 := withSHA1(newClient(1).key)
	got := w.send(ask{profile: scep.DeviceIdentity, challenge: w.challenge(scep.DeviceIdentity).RevealString(), csr: sha1})
	if !got.refused("0", scep.ErrAlgorithm) {
		t.Errorf("got %v", got)
	}
	if got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString(), csr: sha1}); got.status != "0" {
		t.Errorf("got %v", got)
	}
}

// micromdm's own client speaks DES and SHA-1, and no other.
func TestMicromdmClient(t *testing.T) {
	for name, c := range map[string]struct {
		w      *world
		issued bool
	}{"usual": {newWorld(t), false}, "legacy": {newWorld(t, legacyProfile), true}} {
		t.Run(name, func(t *testing.T) {
			w := c.w
			client := must(scepserver.MakeClientEndpoints(w.serve(scep.MailSigning)))(t)
			bag, n, err := client.GetCACert(t.Context(), "")
			if err != nil || n < 2 {
				t.Fatalf("GetCACert: %d certificates, %v", n, err)
			}
			authorities := must(smallstep.CACerts(bag))(t)
			me := newClient(1)
			der := must(x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
				ChallengePassword: w.challenge(scep.MailSigning).RevealString()}, me.key))(t)
			csr := must(x509.ParseCertificateRequest(der))(t)
			request := must(smallstep.NewCSRRequest(csr, &smallstep.PKIMessage{
				MessageType: smallstep.PKCSReq, Recipients: authorities, SignerKey: me.key, SignerCert: me.cert,
			}, smallstep.WithCertsSelector(smallstep.EnciphermentCertsSelector())))(t)
			raw := must(client.PKIOperation(t.Context(), request.Raw))(t)
			reply := must(smallstep.ParsePKIMessage(raw, smallstep.WithCACerts(authorities)))(t)
			if !c.issued {
				if string(reply.PKIStatus) != "2" || string(reply.FailInfo) != "0" || w.certificates() != 0 {
					t.Errorf("got status %q, failInfo %q; want badAlg", string(reply.PKIStatus), string(reply.FailInfo))
				}
				return
			}
			if string(reply.PKIStatus) != "0" {
				t.Fatalf("got status %q, failInfo %q", string(reply.PKIStatus), string(reply.FailInfo))
			}
			if err := reply.DecryptPKIEnvelope(me.cert, me.key); err != nil {
				t.Fatal(err)
			}
			if got := reply.Certificate; fmt.Sprint(got.EmailAddresses) != "[alice@example.com]" || !me.key.PublicKey.Equal(got.PublicKey) {
				t.Errorf("got %v", got.EmailAddresses)
			}
			if !contains(raw, "\x60\x86\x48\x01\x65\x03\x04\x02\x01") {
				t.Error("the reply is not signed over SHA-256")
			}
		})
	}
}

// strongSwan with triple DES and SHA-1 is served where that is allowed.
func TestStrongSwanLegacy(t *testing.T) {
	judge.Need(t, "pki")
	w := newWorld(t, legacy)
	url := w.serve(scep.MailSigning)
	a := strongSwanCA(t, url)
	c := a.enroll(t, url, newKey(t), "--cipher", "des3", "--digest", "sha1", "--password", w.challenge(scep.MailSigning).RevealString())
	w.judge(a, scep.MailSigning, c)
}

func TestLegacySHA1Request(t *testing.T) {
	w := newWorld(t, legacy)
	got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString(), csr: withSHA1(newClient(1).key)})
	if got.status != "0" {
		t.Errorf("got %v", got)
	}
}
