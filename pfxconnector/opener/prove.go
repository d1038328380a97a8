package opener

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// maxRecovery bounds what is read of one recovery file.
const maxRecovery = 1 << 20

// Prove opens a deposit as a delivery would and forgets the key at once. It is
// for whoever restores a backup and holds the unlock key; the key goes nowhere.
// [ErrTampered], [ErrKeyAway].
func Prove(ctx context.Context, keys Keys, d escrow.Deposit) error {
	leaf, _, err := certificates(d.Certificate, d.Key.Cert)
	if err != nil {
		return err
	}
	_, err = open(ctx, keys, d.Key.User, leaf, d.Key)
	return err
}

// ProveRecovery opens what was sealed to a recovery key, and tells whether
// there is such a thing for this identity. [ErrTampered].
func ProveRecovery(d escrow.Deposit, identity age.Identity) (bool, error) {
	leaf, _, err := certificates(d.Certificate, d.Key.Cert)
	if err != nil {
		return false, err
	}
	for _, w := range d.Key.Wraps {
		if !w.Key.Offline() {
			continue
		}
		in, err := age.Decrypt(bytes.NewReader(w.Sealed), identity)
		if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
			continue
		}
		if err != nil {
			return false, ErrTampered.With(fmt.Errorf("recovery of %s: %w", d.Key.Cert, err))
		}
		return true, recovers(in, leaf, d.Key)
	}
	return false, nil
}

// recovers reads a recovery file and wipes it.
func recovers(in io.Reader, leaf *x509.Certificate, r escrow.Record) error {
	text := make([]byte, 0, 64<<10) // large enough to leave no copy behind
	defer func() { clear(text[:cap(text)]) }()
	text, err := readInto(text, io.LimitReader(in, maxRecovery))
	if err != nil {
		return ErrTampered.With(fmt.Errorf("recovery of %s: %w", r.Cert, err))
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return ErrTampered.With(fmt.Errorf("recovery of %s holds no key", r.Cert))
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil || !pair(key, leaf, r.SPKI) {
		return ErrTampered.With(fmt.Errorf("recovery of %s is another's key", r.Cert))
	}
	return nil
}

func readInto(buf []byte, in io.Reader) ([]byte, error) {
	out := bytes.NewBuffer(buf)
	_, err := io.Copy(out, in)
	return out.Bytes(), err
}
