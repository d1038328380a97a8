package opener_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

const historyLength = 30

// memory is a store of deposits.
type memory map[cert.Fingerprint]escrow.Deposit

func (m memory) Deposits(_ context.Context, _ subject.UserID, wanted []cert.Fingerprint) (list []escrow.Deposit, err error) {
	for _, f := range wanted {
		list = append(list, m[f])
	}
	return list, nil
}

// BenchmarkSealHistory seals a history of thirty RSA-2048 identities, one
// profile each, as a new phone gets it. What the database does is left out.
func BenchmarkSealHistory(b *testing.B) {
	w := newWorld(b)
	to, err := keyring.Recipient(filepath.Join(w.dir, "keys"))
	if err != nil {
		b.Fatal(err)
	}
	sealer, kept := escrow.NewSealer(to), memory{}
	for i := range historyLength {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		c, err := mailCA.sign(&x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), NotBefore: at, NotAfter: at}, key.Public())
		if err != nil {
			b.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			b.Fatal(err)
		}
		sealed, err := sealer.Seal(escrow.Key{User: w.alice.ID, Certificate: c, PKCS8: pkcs8})
		if err != nil {
			b.Fatal(err)
		}
		kept[sealed.Cert] = escrow.Deposit{Key: sealed, Certificate: cert.Record{
			DER: c.Raw, Chain: [][]byte{mailCA.Raw, root.Raw}, Holder: cert.Holder{User: w.alice.ID}}}
	}
	w.config.Limits = opener.Limits{PerDevice: 1 << 40, Total: 1 << 40}
	w.config.Deposits, w.config.Journal = kept, quick{}
	o := opener.New(w.config)
	for b.Loop() {
		for f := range kept {
			if _, err := o.Seal(b.Context(), w.alicePhone, frame(f), 18); err != nil {
				b.Fatal(err)
			}
		}
	}
}
