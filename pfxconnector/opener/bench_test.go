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
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
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

// BenchmarkRotation changes the escrow key of a thousand records, database
// included.
func BenchmarkRotation(b *testing.B) {
	const records = 1000
	w := newWorld(b)
	to, err := w.ring.Recipient()
	if err != nil {
		b.Fatal(err)
	}
	sealer := escrow.NewSealer(to)
	template := &x509.Certificate{NotBefore: at, NotAfter: at}
	for i := range records - 3 { // the world has three
		template.SerialNumber = big.NewInt(int64(i + 1))
		c, err := mailCA.sign(template, deviceKey.Public())
		if err != nil {
			b.Fatal(err)
		}
		r, err := sealer.Seal(escrow.Key{User: w.alice.ID, Certificate: c, PKCS8: []byte("a key")})
		if err != nil {
			b.Fatal(err)
		}
		d := escrow.Deposit{Key: r, Certificate: cert.Record{Fingerprint: r.Cert, SPKI: r.SPKI, Holder: cert.Holder{User: w.alice.ID},
			Source: cert.Imported, Use: cert.Both, DER: c.Raw}}
		if _, err := w.db.PFX().KeysImported(b.Context(), []pfxconnector.Arrival{{Deposit: d, Entry: journal.Entry{At: at, Actor: journal.Worker("test"), Action: journal.KeyImported}}}); err != nil {
			b.Fatal(err)
		}
	}
	r := w.rotator(w.db.PFX(), w.ring)
	for b.Loop() {
		old := w.ring.Escrow()
		w.rotate(b)
		if n, err := finish(b, r); n != records || err != nil {
			b.Fatalf("got %d, %v", n, err)
		}
		if err := w.ring.DestroyEscrow(old[len(old)-1].ID); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
