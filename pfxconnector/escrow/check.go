package escrow

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
)

// What [Sealer.Check] finds.
var (
	ErrDamaged = errors.New("escrow: record does not fit together")
	ErrNoWrap  = errors.New("escrow: a recipient has no wrap")
)

// Check tells whether a deposit is whole, as far as that shows without opening
// it: the certificate is the one it is filed under, key and certificate are
// about the same user and public key, the ciphertext can be one, and each
// recipient that is sealed to now has a wrap. That it opens only its holder can
// try.
func (s *Sealer) Check(d Deposit) error {
	leaf, err := x509.ParseCertificate(d.Certificate.DER)
	if err != nil {
		return fmt.Errorf("%w: the certificate cannot be read", ErrDamaged)
	}
	bound := Key{User: d.Certificate.Holder.User, Certificate: leaf}.Binding()
	if bound != d.Key.Binding || cert.FingerprintOf(leaf.Raw) != d.Certificate.Fingerprint || bound.SPKI != d.Certificate.SPKI {
		return fmt.Errorf("%w: it is not about its certificate", ErrDamaged)
	}
	aead, err := d.Key.Suite.AEAD(make([]byte, KeyBytes))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(d.Key.Nonce) != aead.NonceSize() || len(d.Key.Ciphertext) <= aead.Overhead() {
		return fmt.Errorf("%w: nonce or ciphertext has no possible length", ErrDamaged)
	}
	wanted := []KeyID{s.active.Load().id}
	for _, r := range s.recovery {
		wanted = append(wanted, r.id)
	}
	for _, id := range wanted {
		i := slices.IndexFunc(d.Key.Wraps, func(w Wrap) bool { return w.Key == id })
		if i < 0 {
			return fmt.Errorf("%w: %s", ErrNoWrap, id)
		}
		if w := d.Key.Wraps[i]; len(w.Sealed) == 0 || len(w.Enc) == 0 && !id.Offline() {
			return fmt.Errorf("%w: the wrap for %s is empty", ErrDamaged, id)
		}
	}
	return nil
}
