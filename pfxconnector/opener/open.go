package opener

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// open gives the private key of leaf. What it must be bound to is worked out
// from the certificates, not read from the record.
func open(ctx context.Context, keys Keys, user subject.UserID, leaf *x509.Certificate, r escrow.Record) (crypto.PrivateKey, error) {
	pkcs8, err := plain(ctx, keys, user, leaf, r)
	if err != nil {
		return nil, err
	}
	defer pkcs8.Wipe()
	return parse(pkcs8, leaf, r)
}

// parse reads a private key, which must be that of leaf.
func parse(pkcs8 seal.Secret, leaf *x509.Certificate, r escrow.Record) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(pkcs8.Reveal())
	if err != nil {
		return nil, ErrTampered.With(fmt.Errorf("the key of %s cannot be read", cert.FingerprintOf(leaf.Raw)))
	}
	if !pair(key, leaf, r.SPKI) {
		return nil, ErrTampered.With(fmt.Errorf("the key sealed for %s is another's", cert.FingerprintOf(leaf.Raw)))
	}
	return key, nil
}

// plain gives it as PKCS #8, unread.
func plain(ctx context.Context, keys Keys, user subject.UserID, leaf *x509.Certificate, r escrow.Record) (seal.Secret, error) {
	dataKey, err := dataKeyOf(ctx, keys, r)
	if err != nil {
		return seal.Secret{}, err
	}
	defer dataKey.Wipe()
	aead, err := r.Suite.AEAD(dataKey.Reveal())
	if err != nil || len(r.Nonce) != aead.NonceSize() {
		return seal.Secret{}, ErrTampered.With(errors.Join(err, errors.New("suite or nonce does not fit")))
	}
	bound := escrow.Key{User: user, Certificate: leaf}.Binding()
	pkcs8, err := aead.Open(nil, r.Nonce, r.Ciphertext, bound.AAD(r.Suite))
	if err != nil {
		return seal.Secret{}, ErrTampered.With(fmt.Errorf("opening %s: %w", bound.Cert, err))
	}
	return seal.NewSecret(pkcs8), nil
}

// pair tells whether the key is the certificate's and the record says so too.
func pair(key any, leaf *x509.Certificate, spki cert.Fingerprint) bool {
	private, ok := key.(interface{ Public() crypto.PublicKey })
	return ok && cert.FingerprintOf(leaf.RawSubjectPublicKeyInfo) == spki && cert.SameKey(private.Public(), cert.PublicKey(leaf))
}

// dataKeyOf unwraps the record's data key with any escrow key that is here.
func dataKeyOf(ctx context.Context, keys Keys, r escrow.Record) (seal.Secret, error) {
	failure := ErrKeyAway
	var causes []error
	for _, w := range r.Wraps {
		if w.Key.Offline() {
			continue
		}
		key, err := keys.Unwrap(ctx, w, escrow.WrapInfo(r.ID, w.Key))
		if err == nil {
			return key, nil
		}
		switch f := fault.Of(err); {
		case f == nil:
		case f.Kind == fault.Denied: // the key is here and does not fit
			failure = ErrTampered
		case f.Kind == fault.Unavailable && failure.Code != ErrTampered.Code: // who holds it says why
			failure = f
		}
		causes = append(causes, err)
	}
	return seal.Secret{}, failure.With(errors.Join(causes...))
}
