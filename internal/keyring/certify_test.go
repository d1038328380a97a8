package keyring_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
)

// A key may wait for its certificate, and certificates stand without a key of
// ours.
func TestCertify(t *testing.T) {
	r, dir, unlock := create(t)
	key, elsewhere := ecKey(t), ecKey(t)
	if err := r.Add("device", key, nil); err != nil {
		t.Fatal(err)
	}
	own, root := selfSigned(t, key), selfSigned(t, elsewhere)
	waiting, err := keyring.Open(dir, unlock) // another process
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		name  string
		certs []*x509.Certificate
		want  error
	}{
		"another key": {"device", []*x509.Certificate{root}, keyring.ErrCertificate},
		"none":        {"device", nil, keyring.ErrCertificate},
		"no name":     {"../device", []*x509.Certificate{own}, keyring.ErrName},
	} {
		if err := r.Certify(c.name, c.certs); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for name, certs := range map[string][]*x509.Certificate{"device": {own, root}, "root": {root}} {
		for range 2 { // a renewed one takes its place
			if err := r.Certify(name, certs); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*keyring.Ring{r, again, waiting} {
		if got, err := ring.Certificates("device"); err != nil || len(got) != 2 || !got[0].Equal(own) {
			t.Errorf("device: got %d certificates, %v", len(got), err)
		}
		if got, err := ring.Certificates("root"); err != nil || len(got) != 1 || !got[0].Equal(root) {
			t.Errorf("root: got %d certificates, %v", len(got), err)
		}
		if _, err := ring.Signer("root"); !errors.Is(err, keyring.ErrKeyUnknown) {
			t.Errorf("the root's key: got %v", err)
		}
	}
}
