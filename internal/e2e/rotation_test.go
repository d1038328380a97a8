package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// What a rotation has to do, and how often the keeper is killed meanwhile.
const rotatedKeys = 10_000

func rotationKills() int { return soak(4, 20) }

// A keeper that changes the escrow key of many records is killed at random
// moments. Afterwards each record opens with the new key, the old one is
// destroyed, and nothing but wraps has changed.
func TestRotationIsKilled(t *testing.T) {
	k := toKill(t)
	k.begin()
	user := k.fillEscrow()
	before := k.blobs()
	old := k.escrowKeys()[0].ID
	k.must(k.signet("keys", "escrow", "rotate"))
	began, broken := time.Now(), 0
	for range rotationKills() {
		k.serve()
		time.Sleep(time.Duration(mathrand.IntN(300)) * time.Millisecond)
		k.killServer()
		if left := k.wraps(old); 0 < left && left < rotatedKeys {
			broken++
		}
	}
	t.Logf("%d of %d kills were in the middle, %d wraps left", broken, rotationKills(), k.wraps(old))
	k.serve()
	for k.wraps(old) > 0 {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d wraps are left after a minute", k.wraps(old))
		}
		time.Sleep(50 * time.Millisecond)
	}
	k.must(k.signet("keys", "escrow", "destroy", string(old)))
	k.killServer()
	if broken == 0 {
		t.Error("no kill was in the middle of the rotation")
	}
	if k.blobs() != before {
		t.Error("what is stored of the keys themselves has changed")
	}
	k.allOpen(user)
}

// database opens the file beside the server.
func (k *killed) database() *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(k.dir, "data", "signet.db")+"?_pragma=busy_timeout(5000)")
	k.must(err)
	return db
}

func (k *killed) escrowKeys() []keyring.EscrowKey {
	keys := filepath.Join(k.dir, "data", "keys")
	ring, err := keyring.Open(keys, keyring.FindUnlock("", keys, func(string) string { return "" }))
	k.must(err)
	return ring.Escrow()
}

func (k *killed) wraps(key escrow.KeyID) (n int) {
	db := k.database()
	defer db.Close()
	k.must(db.QueryRow(`SELECT COUNT(*) FROM escrow_wrap WHERE recipient = ?`, key).Scan(&n))
	return n
}

// blobs gives the hash of all that is stored of the keys besides the wraps.
func (k *killed) blobs() [32]byte {
	db := k.database()
	defer db.Close()
	rows, err := db.Query(`SELECT id || user_id || certificate || spki || suite || hex(nonce) || hex(ciphertext) || source || created_by || created_at
		FROM escrow_key ORDER BY id`)
	k.must(err)
	defer rows.Close()
	all := sha256.New()
	for rows.Next() {
		var row string
		k.must(rows.Scan(&row))
		fmt.Fprintln(all, row)
	}
	k.must(rows.Err())
	return [32]byte(all.Sum(nil))
}

func toKill(t *testing.T) *killed {
	return &killed{workshop: workshop{bin: build(t), dir: t.TempDir()}, t: t, keys: map[cert.Fingerprint]*x509.Certificate{}}
}

// begin makes an installation with one user, whose server does not run.
func (k *killed) begin(settings ...string) {
	port, err := freePort()
	k.must(err)
	k.must(k.signet(append([]string{"init", "--url", "https://127.0.0.1:" + port, "--listen", "127.0.0.1:" + port}, settings...)...))
	k.serve()
	k.t.Cleanup(func() { k.server.Process.Kill(); k.server.Wait() })
	k.must(k.signet("user", "add", "alice@example.com"))
	k.killServer()
}

// fillEscrow puts records into the database in one transaction, sealed as an
// import seals them.
func (k *killed) fillEscrow() subject.UserID {
	to, err := keyring.Recipient(filepath.Join(k.dir, "data", "keys"))
	k.must(err)
	sealer := escrow.NewSealer(to)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	k.must(err)
	store, err := k.openStore(k.t.Context())
	k.must(err)
	u, err := store.Directory().User(k.t.Context(), "alice@example.com")
	k.must(err)
	k.must(store.Close())
	db := k.database()
	defer db.Close()
	tx, err := db.Begin()
	k.must(err)
	defer tx.Rollback()
	for n := range rotatedKeys {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: "Alice Example"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		k.must(err)
		c, err := x509.ParseCertificate(der)
		k.must(err)
		r, err := sealer.Seal(escrow.Key{User: u.ID, Certificate: c, PKCS8: pkcs8})
		k.must(err)
		k.keys[r.Cert] = c
		k.put(tx, r)
	}
	k.must(tx.Commit())
	return u.ID
}

func (k *killed) put(tx *sql.Tx, r escrow.Record) {
	for _, row := range []struct {
		statement string
		values    []any
	}{
		{`INSERT INTO escrow_key (id, user_id, certificate, spki, suite, nonce, ciphertext, source, created_by, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, '', 'test', 0)`,
			[]any{r.ID, r.User, r.Cert.String(), r.SPKI.String(), r.Suite, r.Nonce, r.Ciphertext}},
		{`INSERT INTO escrow_wrap (key_id, recipient, enc, sealed) VALUES (?, ?, ?, ?)`,
			[]any{r.ID, r.Wraps[0].Key, r.Wraps[0].Enc, r.Wraps[0].Sealed}},
	} {
		_, err := tx.Exec(row.statement, row.values...)
		k.must(err)
	}
}

// allOpen opens every record with the keys that are left.
func (k *killed) allOpen(user subject.UserID) {
	keys := filepath.Join(k.dir, "data", "keys")
	ring, err := keyring.Open(keys, keyring.FindUnlock("", keys, func(string) string { return "" }))
	k.must(err)
	db := k.database()
	defer db.Close()
	rows, err := db.Query(`SELECT k.id, k.certificate, k.suite, k.nonce, k.ciphertext, w.recipient, w.enc, w.sealed
		FROM escrow_key k JOIN escrow_wrap w ON w.key_id = k.id`)
	k.must(err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var r escrow.Record
		var w escrow.Wrap
		var f string
		k.must(rows.Scan(&r.ID, &f, &r.Suite, &r.Nonce, &r.Ciphertext, &w.Key, &w.Enc, &w.Sealed))
		r.Wraps = []escrow.Wrap{w}
		of, err := cert.ParseFingerprint(f)
		k.must(err)
		if key, err := unseal(k.t.Context(), ring, user, k.keys[of], r); err != nil || !key.PublicKey.Equal(k.keys[of].PublicKey) {
			k.t.Fatalf("the key of %s does not open: %v", f, err)
		}
	}
	k.must(rows.Err())
	if n != rotatedKeys {
		k.t.Errorf("%d records with a wrap each, want %d", n, rotatedKeys)
	}
}
