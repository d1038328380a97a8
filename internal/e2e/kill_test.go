package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// How much is imported, and how often somebody is killed meanwhile.
const (
	importedFiles = 200
	importKills   = 10
	soakRounds    = 10 // of that, with SIGNET_TEST_SOAK=1
)

// An import of many files is killed at random moments: who imports, the server
// with its database, and with MariaDB the database server as well. What was
// acknowledged opens afterwards, and a run that goes on skips nothing else; what
// was not is there whole or not at all, and once.
func TestImportIsKilled(t *testing.T) {
	bin, rounds := build(t), 1
	if os.Getenv("SIGNET_TEST_SOAK") == "1" {
		rounds = soakRounds
	}
	t.Run("sqlite", func(t *testing.T) {
		for range rounds {
			k := newKilled(t, bin, "")
			k.run(k.killServer, k.killImport)
			k.integrity()
		}
	})
	t.Run("mariadb", func(t *testing.T) {
		db := mariadbtest.New(t)
		for range rounds {
			k := newKilled(t, bin, db.Database(t))
			k.run(k.killServer, k.killImport, func() {
				db.Kill()
				k.afterwards = func() { k.must(db.Start()) }
			})
		}
	})
}

// killed is a server, its files to import, and what it acknowledged.
type killed struct {
	workshop
	t          *testing.T
	server     *exec.Cmd
	importing  *exec.Cmd
	afterwards func() // brings back what was killed
	keys       map[cert.Fingerprint]*x509.Certificate
	acked      map[string]bool // files
}

func newKilled(t *testing.T, bin, dsn string) *killed {
	k := &killed{workshop: workshop{bin: bin, dir: t.TempDir(), dsn: dsn}, t: t, keys: map[cert.Fingerprint]*x509.Certificate{}, acked: map[string]bool{}}
	k.makeFiles()
	if dsn != "" {
		k.must(os.WriteFile(filepath.Join(k.dir, "dsn"), []byte(dsn), 0o600))
	}
	port, err := freePort()
	k.must(err)
	k.must(k.signet("init", "--url", "https://127.0.0.1:"+port, "--listen", "127.0.0.1:"+port))
	k.serve()
	t.Cleanup(func() { k.server.Process.Kill(); k.server.Wait() })
	k.must(k.signet("user", "add", "alice@example.com", "--name", "Alice Example"))
	return k
}

func (k *killed) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// makeFiles writes files with a key each.
func (k *killed) makeFiles() {
	k.must(os.Mkdir(filepath.Join(k.dir, "files"), 0o700))
	k.must(os.WriteFile(filepath.Join(k.dir, "password"), []byte("pass phrase"), 0o600))
	for n := range importedFiles {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		k.must(err)
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: "Alice Example"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageKeyAgreement,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{"alice@example.com"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		k.must(err)
		c, err := x509.ParseCertificate(der)
		k.must(err)
		file, err := pkcs12.Modern2023.Encode(key, c, nil, "pass phrase")
		k.must(err)
		k.must(os.WriteFile(filepath.Join(k.dir, "files", fmt.Sprintf("%03d.p12", n)), file, 0o600))
		k.keys[cert.FingerprintOf(der)] = c
	}
}

func (k *killed) serve() {
	k.t.Helper()
	k.server = k.command("serve")
	k.must(k.server.Start())
	k.must(listening("unix", filepath.Join(k.dir, "data", "signet.sock")))
}

func (k *killed) killServer() {
	k.server.Process.Kill()
	k.server.Wait()
	k.afterwards = k.serve
}

func (k *killed) killImport() {
	k.importing.Process.Kill()
	k.afterwards = func() {}
}

// run imports and kills, imports to the end, and looks at what there is.
func (k *killed) run(kills ...func()) {
	broken := 0
	for n := range importKills {
		done := make(chan error, 1)
		k.startImport(n%3 != 0)
		go func() { done <- k.finishImport() }()
		time.Sleep(time.Duration(300+mathrand.IntN(500)) * time.Millisecond)
		kills[n%len(kills)]()
		if err := <-done; err != nil {
			broken++
		}
		k.afterwards()
	}
	k.t.Logf("%d of %d imports were broken off, %d files acknowledged by then", broken, importKills, len(k.acked))
	if broken == 0 {
		k.t.Error("no import was broken off")
	}
	for _, resume := range []bool{true, false} {
		k.startImport(resume)
		k.must(k.finishImport())
		if len(k.acked) != importedFiles {
			k.t.Errorf("%d files were acknowledged, want %d", len(k.acked), importedFiles)
		}
	}
	k.killServer()
	k.opens()
}

// report is what an import says of a file.
type report struct {
	File   string `json:"file"`
	Status string `json:"status"`
}

// startImport imports every file, or those that are not finished.
func (k *killed) startImport(resume bool) {
	k.t.Helper()
	args := []string{"pfx", "import", "-o", "json", "--user", "alice@example.com",
		"--password-file", filepath.Join(k.dir, "password"), filepath.Join(k.dir, "files")}
	if resume {
		args = append(args, "--resume", filepath.Join(k.dir, "finished"))
	}
	k.importing = k.command(args...)
	k.importing.Stdout, k.importing.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	k.must(k.importing.Start())
}

// finishImport waits for it. A file that was acknowledged before is unchanged,
// or skipped; no other is.
func (k *killed) finishImport() error {
	failed := k.importing.Wait()
	out, said := k.importing.Stdout.(*bytes.Buffer), k.importing.Stderr.(*bytes.Buffer)
	for d := json.NewDecoder(out); ; {
		var r report
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return errors.Join(err, failed)
		}
		if was, before := k.acked[r.File], r.Status == "unchanged" || r.Status == "skipped"; r.Status != "imported" && !before || was && !before || !was && r.Status == "skipped" {
			k.t.Errorf("%s is %s; acknowledged before: %v", r.File, r.Status, k.acked[r.File])
		}
		k.acked[r.File] = true
	}
	if failed != nil {
		return fmt.Errorf("%w: %s", failed, said.String())
	}
	return nil
}

// opens opens every key with the escrow key, once each in the journal.
func (k *killed) opens() {
	ctx := k.t.Context()
	keys := filepath.Join(k.dir, "data", "keys")
	ring, err := keyring.Open(keys, keyring.FindUnlock("", keys, func(string) string { return "" }))
	k.must(err)
	db, err := k.openStore(ctx)
	k.must(err)
	defer db.Close()
	u, err := db.Directory().User(ctx, "alice@example.com")
	k.must(err)
	records, err := db.PFX().Imported(ctx, u.ID)
	k.must(err)
	var wanted []cert.Fingerprint
	for _, r := range records {
		wanted = append(wanted, r.Fingerprint)
	}
	deposits, err := db.PFX().Deposits(ctx, u.ID, wanted)
	k.must(err)
	if len(records) != importedFiles || len(deposits) != importedFiles {
		k.t.Errorf("%d certificates and %d keys, want %d", len(records), len(deposits), importedFiles)
	}
	for _, d := range deposits {
		c := k.keys[d.Key.Cert]
		key, err := unseal(ctx, ring, u.ID, c, d.Key)
		if err != nil || !key.PublicKey.Equal(c.PublicKey) {
			k.t.Errorf("the key of %s does not open: %v", d.Key.Cert, err)
		}
	}
	entries, err := db.Journal().Latest(ctx, 10*importedFiles)
	k.must(err)
	told := map[cert.Fingerprint]int{}
	for _, e := range entries {
		if e.Action == journal.KeyImported {
			told[e.Cert]++
		}
	}
	for f, n := range told {
		if n != 1 {
			k.t.Errorf("the journal has the import of %s %d times", f, n)
		}
	}
	if len(told) != importedFiles {
		k.t.Errorf("the journal has %d imports, want %d", len(told), importedFiles)
	}
}

func (k *killed) openStore(ctx context.Context) (*store.DB, error) {
	if k.dsn != "" {
		return store.OpenMySQL(ctx, k.dsn)
	}
	return store.OpenSQLite(ctx, filepath.Join(k.dir, "data", "signet.db"))
}

// unseal opens a key as its record says.
func unseal(ctx context.Context, ring *keyring.Ring, user subject.UserID, c *x509.Certificate, r escrow.Record) (*ecdsa.PrivateKey, error) {
	for _, w := range r.Wraps {
		if w.Key.Offline() {
			continue
		}
		dataKey, err := ring.Unwrap(ctx, w, escrow.WrapInfo(r.ID, w.Key))
		if err != nil {
			return nil, err
		}
		aead, err := r.Suite.AEAD(dataKey.Reveal())
		if err != nil {
			return nil, err
		}
		pkcs8, err := aead.Open(nil, r.Nonce, r.Ciphertext, escrow.Key{User: user, Certificate: c}.Binding().AAD(r.Suite))
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS8PrivateKey(pkcs8)
		if err != nil {
			return nil, err
		}
		return key.(*ecdsa.PrivateKey), nil
	}
	return nil, errors.New("no wrap for the escrow key")
}

// integrity lets SQLite judge its file.
func (k *killed) integrity() {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(k.dir, "data", "signet.db"))
	k.must(err)
	defer db.Close()
	var said string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&said); err != nil || strings.TrimSpace(said) != "ok" {
		k.t.Errorf("integrity_check: %s, %v", said, err)
	}
}
