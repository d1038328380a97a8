package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// How many records get another recovery key, and how often the keeper is killed
// meanwhile.
const recoveredKeys = 1000

func recoveryKills() int { return soak(3, 20) }

// A keeper that seals many records to another recovery key is killed at random
// moments. Afterwards each record opens with the new identity and none with the
// old one, and nothing but those wraps has changed.
func TestRecoveryIsKilled(t *testing.T) {
	k := toKill(t)
	old, oldTo := vaultKey(k)
	now, nowTo := vaultKey(k)
	k.begin("--keys-recovery", old.Recipient().String())
	k.fillRecoverable(oldTo)
	before := k.blobs()
	toml := filepath.Join(k.dir, "data", "signet.toml")
	text, err := os.ReadFile(toml)
	k.must(err)
	k.must(os.WriteFile(toml, regexp.MustCompile(`age1[0-9a-z]+`).ReplaceAll(text, []byte(now.Recipient().String())), 0o600))
	k.must(k.signet("keys", "recovery", "rotate", now.Recipient().String()))
	began, broken := time.Now(), 0
	for range recoveryKills() {
		last := k.wraps(oldTo.ID())
		k.serve()
		for until := time.Now().Add(20 * time.Second); k.wraps(oldTo.ID()) == last && last > 0 && time.Now().Before(until); {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(mathrand.IntN(30)) * time.Millisecond)
		k.killServer()
		if left := k.wraps(oldTo.ID()); 0 < left && left < recoveredKeys {
			broken++
		}
		if n := k.wraps(oldTo.ID()) + k.wraps(nowTo.ID()); n != recoveredKeys {
			t.Fatalf("%d recovery wraps, want %d", n, recoveredKeys)
		}
	}
	t.Logf("%d of %d kills were in the middle, %d wraps left after %v", broken, recoveryKills(), k.wraps(oldTo.ID()), time.Since(began))
	k.serve()
	for k.wraps(oldTo.ID()) > 0 {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d wraps are left after a minute", k.wraps(oldTo.ID()))
		}
		time.Sleep(50 * time.Millisecond)
	}
	k.killServer()
	if broken == 0 {
		t.Error("no kill was in the middle")
	}
	if k.blobs() != before {
		t.Error("what is stored of the keys themselves has changed")
	}
	k.allRecover(now, old)
}

func vaultKey(k *killed) (*age.X25519Identity, escrow.Recovery) {
	id, err := age.GenerateX25519Identity()
	k.must(err)
	to, err := escrow.ParseRecovery(id.Recipient().String())
	k.must(err)
	return id, to
}

// fillRecoverable stores records as an import does.
func (k *killed) fillRecoverable(recovery escrow.Recovery) {
	to, err := keyring.Recipient(filepath.Join(k.dir, "data", "keys"))
	k.must(err)
	sealer := escrow.NewSealer(to, recovery)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	k.must(err)
	store, err := k.openStore(k.t.Context())
	k.must(err)
	defer store.Close()
	u, err := store.Directory().User(k.t.Context(), "alice@example.com")
	k.must(err)
	var list []pfxconnector.Arrival
	for n := range recoveredKeys {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: "Alice Example"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		k.must(err)
		c, err := x509.ParseCertificate(der)
		k.must(err)
		r, err := sealer.Seal(escrow.Key{User: u.ID, Certificate: c, PKCS8: pkcs8})
		k.must(err)
		k.keys[r.Cert] = c
		record := cert.RecordOf(c, time.Now())
		record.Holder.User, record.Source = u.ID, cert.Imported
		list = append(list, pfxconnector.Arrival{Deposit: escrow.Deposit{Certificate: record, Key: r},
			Entry: journal.Entry{At: time.Now(), Actor: journal.Worker("test"), Action: journal.KeyImported, User: u.ID, Cert: r.Cert}})
	}
	_, err = store.PFX().KeysImported(k.t.Context(), list)
	k.must(err)
}

// allRecover opens every record with one identity, and none with the other.
func (k *killed) allRecover(with, without age.Identity) {
	store, err := k.openStore(k.t.Context())
	k.must(err)
	defer store.Close()
	u, err := store.Directory().User(k.t.Context(), "alice@example.com")
	k.must(err)
	var wanted []cert.Fingerprint
	for f := range k.keys {
		wanted = append(wanted, f)
	}
	list, err := store.PFX().Deposits(k.t.Context(), u.ID, wanted)
	k.must(err)
	if len(list) != recoveredKeys {
		k.t.Errorf("%d records, want %d", len(list), recoveredKeys)
	}
	for _, d := range list {
		there, err := opener.ProveRecovery(d, with)
		k.must(err)
		still, err := opener.ProveRecovery(d, without)
		k.must(err)
		if !there || still || len(d.Key.Wraps) != 2 {
			k.t.Fatalf("%s: opens with the new key %v, with the old one %v, %d wraps", d.Key.Cert, there, still, len(d.Key.Wraps))
		}
	}
}
