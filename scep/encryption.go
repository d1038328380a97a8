package scep

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrEncryptionApproval is returned where a person is to decide on each
// certificate for encryption: whoever has them made has decided.
var ErrEncryptionApproval = ErrProfileInvalid.Saying("The certificate profile " + MailEncryption + " wants approval, for which there is nobody to ask.")

// MakeEncryption makes a key for mail that is sent to a user, and a certificate
// for it, which is to follow an earlier one of his; zero: there was none. Only
// its serial number is written down here: the caller stores the certificate
// once the key, PKCS #8, is where it cannot be lost, and wipes it. What is not
// stored soon is revoked. Issuer is the CA in whose records the serial number
// stands.
func (v *Certifier) MakeEncryption(ctx context.Context, u subject.User, follows cert.Fingerprint) (issuer string, r cert.Record, key seal.Secret, err error) {
	p, err := v.Profiles.Profile(ctx, MailEncryption)
	if err == nil {
		err = p.check()
	}
	if err == nil && p.Approval {
		err = ErrEncryptionApproval
	}
	if err != nil {
		return "", r, key, err
	}
	names, err := p.names(u, subject.Device{})
	if err != nil {
		return "", r, key, err
	}
	signer, err := p.newKey()
	if err != nil {
		return "", r, key, fmt.Errorf("making a key for encryption: %w", err)
	}
	g := Grant{Profile: p.Name, Holder: cert.Holder{User: u.ID}, Names: names}
	if issuer, r, err = v.certifyKey(ctx, p, g, signer.Public(), follows); err != nil {
		return "", r, key, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return "", r, key, fmt.Errorf("encoding a key for encryption: %w", err)
	}
	v.Log.InfoContext(ctx, "encryption certificate made", logx.Profile, p.Name, logx.User, u.ID, logx.Serial, string(r.Serial))
	return issuer, r, seal.NewSecret(pkcs8), nil
}

// certifyKey prepares and checks, writes down the serial number, and signs.
func (v *Certifier) certifyKey(ctx context.Context, p Profile, g Grant, key crypto.PublicKey, follows cert.Fingerprint) (string, cert.Record, error) {
	issuer, err := v.current(p.Issuer)
	if err != nil {
		return "", cert.Record{}, fmt.Errorf("certificate profile %s: %w", p.Name, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", cert.Record{}, fmt.Errorf("encoding a public key: %w", err)
	}
	request, now := p.request(g.Names), v.Now()
	request.Key = key
	prepared, err := issuer.Prepare(request, now)
	if err != nil {
		return "", cert.Record{}, err
	}
	i := Issuance{Grant: g, Issuer: issuer.Name(), Serial: prepared.Serial(), Shard: prepared.Shard(), Renews: follows, Rate: v.Rate,
		SPKI: cert.FingerprintOf(spki), TBS: prepared.TBS(), NotAfter: prepared.Draft.NotAfter, At: now}
	if err := v.Store.SerialReserved(ctx, i); err != nil {
		return "", cert.Record{}, fmt.Errorf("reserving serial number %s: %w", i.Serial, err)
	}
	c, err := issuer.Issue(prepared)
	if err != nil {
		return "", cert.Record{}, err
	}
	r := record(c, g, p.Use, now)
	for _, above := range issuer.Chain() {
		r.Chain = append(r.Chain, above.Raw)
	}
	return issuer.Name(), r, nil
}

// EncryptionRenewal tells how much of the validity of certificates for
// encryption is left, in percent, when others follow them; 0: none follow by
// themselves.
func (v *Certifier) EncryptionRenewal(ctx context.Context) (int, error) {
	p, err := v.Profiles.Profile(ctx, MailEncryption)
	switch {
	case err != nil || p.RenewPercent == 0 && p.RenewWithin == 0:
		return 0, err
	case p.RenewPercent == 0 && p.RenewWithin == usualWindow:
		return usualShare, nil
	}
	return max(1, p.RenewalShare()), nil
}

// What is made where a profile leaves the choice: every mail program reads it.
const usualBits = 2048

// newKey makes a key that the profile takes: RSA unless it wants a curve.
func (p Profile) newKey() (crypto.Signer, error) {
	if len(p.Keys.Types) > 0 && !slices.Contains(p.Keys.Types, "rsa") {
		curve := elliptic.P256()
		if len(p.Keys.Curves) > 0 && !slices.Contains(p.Keys.Curves, "P-256") {
			curve = elliptic.P384()
		}
		return ecdsa.GenerateKey(curve, rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, max(usualBits, p.Keys.RSAMin))
}
