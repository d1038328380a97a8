package scep_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// withEncryption changes the profile for encryption.
func withEncryption(f func(*scep.Profile)) func(*scep.Config) {
	return func(c *scep.Config) {
		for i, p := range profiles(c) {
			if p.Name == scep.MailEncryption {
				f(&profiles(c)[i])
			}
		}
	}
}

func TestMakeEncryption(t *testing.T) {
	judge.Need(t, "openssl")
	for name, c := range map[string]struct {
		keys  ca.Keys
		bits  int // 0: a curve
		curve string
		usage x509.KeyUsage
	}{
		"usual":      {ca.Keys{}, 2048, "", x509.KeyUsageKeyEncipherment},
		"longer":     {ca.Keys{Types: []string{"rsa"}, RSAMin: 3072}, 3072, "", x509.KeyUsageKeyEncipherment},
		"a curve":    {ca.Keys{Types: []string{"ec"}}, 0, "P-256", x509.KeyUsageKeyAgreement},
		"that curve": {ca.Keys{Types: []string{"ec"}, Curves: []string{"P-384"}}, 0, "P-384", x509.KeyUsageKeyAgreement},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withEncryption(func(p *scep.Profile) { p.Keys = c.keys }))
			issuer, r, key, err := w.keeper.MakeEncryption(t.Context(), w.user, cert.Fingerprint{})
			if err != nil {
				t.Fatal(err)
			}
			private := must(x509.ParsePKCS8PrivateKey(key.Reveal()))(t)
			leaf := must(r.Certificate())(t)
			switch k := private.(type) {
			case *rsa.PrivateKey:
				if k.N.BitLen() != c.bits || !cert.SameKey(k.Public(), leaf.PublicKey) {
					t.Errorf("got RSA of %d bits, want %d, of the certificate", k.N.BitLen(), c.bits)
				}
			case *ecdsa.PrivateKey:
				if k.Params().Name != c.curve || !cert.SameKey(k.Public(), leaf.PublicKey) {
					t.Errorf("got curve %s, want %s, of the certificate", k.Params().Name, c.curve)
				}
			}
			if use, why := cert.Classify(leaf); use != cert.Encryption || leaf.KeyUsage != c.usage {
				t.Errorf("it is for %s, usage %b: %s", use, leaf.KeyUsage, why)
			}
			if issuer != "smime" || r.Holder != (cert.Holder{User: w.user.ID}) || !r.Escrowed() || len(r.Chain) != 2 {
				t.Errorf("got %s, %+v", issuer, r)
			}
			h := theHouse()
			judge.Run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", pemFile(t, h.root.Certificate()),
				"-untrusted", pemFile(t, h.mail.public().Issuer.Certificate()), pemFile(t, leaf))
		})
	}
}

// A certificate that nobody stored is on the list soon.
func TestEncryptionNotStored(t *testing.T) {
	w := newWorld(t)
	_, r, _, err := w.keeper.MakeEncryption(t.Context(), w.user, cert.Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	w.sleep(time.Hour)
	must(w.keeper.Refresh(t.Context()))(t)
	for _, e := range w.crl("smime").RevokedCertificateEntries {
		if cert.SerialOf(e.SerialNumber) == r.Serial {
			return
		}
	}
	t.Error("it is not revoked")
}

func TestEncryptionRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scep.Profile)
		want   error
	}{
		"approval":          {func(p *scep.Profile) { p.Approval = true }, scep.ErrProfileInvalid},
		"no such CA":        {func(p *scep.Profile) { p.Issuer = "nobody" }, scep.ErrIssuerUnknown},
		"another's address": {func(p *scep.Profile) { p.Mail = []string{"bob@example.com"} }, scep.ErrAddressForeign},
	} {
		w := newWorld(t, withEncryption(c.change))
		if _, _, _, err := w.keeper.MakeEncryption(t.Context(), w.user, cert.Fingerprint{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestEncryptionRenewal(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		change func(*scep.Profile)
		want   int
	}{
		"usual": {func(*scep.Profile) {}, 20},
		"share": {func(p *scep.Profile) { p.RenewWithin, p.RenewPercent = 0, 33 }, 33},
		"days":  {func(p *scep.Profile) { p.Life, p.RenewWithin = 200*day, 50*day }, 25},
		"never": {func(p *scep.Profile) { p.RenewWithin = 0 }, 0},
	} {
		w := newWorld(t, withEncryption(c.change))
		if got, err := w.keeper.EncryptionRenewal(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: got %d, %v; want %d", name, got, err, c.want)
		}
	}
}
