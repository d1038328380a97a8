package scep_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

func TestIdentity(t *testing.T) {
	w := newWorld(t)
	c := w.enrolled(scep.DeviceIdentity, 1).cert
	other := func(r ca.Request, a authority) *x509.Certificate {
		return must(a.Issuer.Issue(must(a.Issuer.Prepare(r, start))(t)))(t)
	}
	unknown := other(ca.Request{Kind: ca.DeviceIdentity, Key: newClient(1).key.Public(), Names: ca.Names{
		CommonName: string(subject.NewDeviceID()), URIs: []string{cert.HolderURI(subject.NewUserID())}}}, theHouse().device)
	forged := *c
	forged.Signature = bytes.Clone(c.Signature)
	forged.Signature[0] ^= 1
	for name, c := range map[string]*x509.Certificate{
		"signing certificate":    w.enrolled(scep.MailSigning, 2).cert,
		"self-signed":            newClient(1).cert,
		"ours but not on record": unknown,
		"broken signature":       &forged,
		"the RA":                 theHouse().device.RA.Certificate,
	} {
		if r, err := w.s.Identity(t.Context(), c); !errors.Is(err, scep.ErrIdentity) || !r.Fingerprint.IsZero() {
			t.Errorf("%s: got %v, %v; want ErrIdentity", name, r.Fingerprint, err)
		}
	}
	r, err := w.s.Identity(t.Context(), c)
	if err != nil || r.Holder != (cert.Holder{User: w.user.ID, Device: w.device.ID}) {
		t.Errorf("got %v, %v", r.Holder, err)
	}
	w.sleep(366 * 24 * time.Hour)
	if r, err := w.s.Identity(t.Context(), c); !errors.Is(err, scep.ErrIdentityExpired) || r.Holder.Device != w.device.ID {
		t.Errorf("expired: got %v, %v; want the record and ErrIdentityExpired", r.Holder, err)
	}
	if err := w.s.Revoke(t.Context(), worker, r.Fingerprint, ""); err != nil {
		t.Fatal(err)
	}
	if r, err := w.s.Identity(t.Context(), c); !errors.Is(err, scep.ErrIdentityRevoked) || !r.Fingerprint.IsZero() {
		t.Errorf("revoked: got %v, %v; want ErrIdentityRevoked alone", r.Fingerprint, err)
	}
}

func contains(text []byte, s string) bool { return bytes.Contains(text, []byte(s)) }

// pemFile writes certificates for other programs.
func pemFile(t testing.TB, certs ...*x509.Certificate) string {
	t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return file(t, "certs.pem", out)
}

func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
