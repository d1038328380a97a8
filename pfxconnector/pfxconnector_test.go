package pfxconnector_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/testdata"
)

var (
	by = journal.Actor{Kind: journal.Local, ID: "test"}
	at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// house is a real store and keyring with the service under test.
type house struct {
	*pfxconnector.Service
	db     *store.DB
	ring   *keyring.Ring
	path   string // of the database
	people *directory.Service
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return openHouse(t, t.TempDir())
}

func openHouse(t testing.TB, dir string) *house {
	t.Helper()
	h := &house{path: filepath.Join(dir, "signet.db")}
	var err error
	sqlitetest.Put(t, h.path)
	if h.db, err = store.OpenSQLite(t.Context(), h.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.db.Close() })
	keys, unlock := filepath.Join(dir, "keys"), filepath.Join(dir, "unlock.key")
	h.ring, err = keyring.Create(keys, unlock)
	if errors.Is(err, keyring.ErrExists) {
		h.ring, err = keyring.Open(keys, unlock)
	}
	if err != nil {
		t.Fatal(err)
	}
	to, err := keyring.Recipient(keys)
	if err != nil {
		t.Fatal(err)
	}
	h.people = directory.New(h.db.Directory(), now)
	marks, err := seal.NewBox(h.ring.ColumnRoot(), "assignment")
	if err != nil {
		t.Fatal(err)
	}
	h.Service = pfxconnector.New(pfxconnector.Config{Store: h.db.PFX(), Users: h.people, Sealer: escrow.NewSealer(to), Marks: marks, Now: now})
	return h
}

func now() time.Time { return at }

func (h *house) user(t testing.TB, mail string, aliases ...string) subject.User {
	t.Helper()
	u, err := h.people.Add(t.Context(), by, subject.User{Mail: mail, Aliases: aliases})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// take imports a file and wants no error.
func (h *house) take(t testing.TB, f pfxconnector.File) pfxconnector.FileReport {
	t.Helper()
	r, err := h.Import(t.Context(), by, f)
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return r
}

func (h *house) list(t *testing.T, u subject.User) []pfxconnector.Item {
	t.Helper()
	list, err := h.List(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// public opens a deposit as the keeper would and gives the public key in it.
func (h *house) public(t *testing.T, d escrow.Deposit) crypto.PublicKey {
	t.Helper()
	w := d.Key.Wraps[len(d.Key.Wraps)-1] // recovery keys come first
	dataKey, err := h.ring.Unwrap(context.Background(), w, escrow.WrapInfo(d.Key.ID, w.Key))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := d.Key.Suite.AEAD(dataKey.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	der, err := aead.Open(nil, d.Key.Nonce, d.Key.Ciphertext, d.Key.AAD(d.Key.Suite))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer).Public()
}

func historyFile(i int) pfxconnector.File {
	f := testdata.History()[i]
	return pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password)}
}

// sample gives a file of the reader's corpus.
func sample(t *testing.T, name string) pfxconnector.File {
	t.Helper()
	for _, s := range testdata.PFXCorpus() {
		if s.Name == name && s.Outcome == "ok" {
			return pfxconnector.File{Name: name, Data: s.Data, Password: seal.SecretString(s.Password)}
		}
	}
	t.Fatalf("the corpus has no %s", name)
	return pfxconnector.File{}
}

var (
	sharedRSA, _ = rsa.GenerateKey(rand.Reader, 2048)
	sharedEC, _  = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

const password = "canary-made"

// made packs a self-signed certificate; what is left out is as for encryption
// of alice's mail.
func made(t testing.TB, c x509.Certificate, key crypto.Signer) pfxconnector.File {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = serial, pkix.Name{CommonName: "x"}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = at.AddDate(-1, 0, 0), at.AddDate(1, 0, 0)
	}
	if c.ExtKeyUsage == nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	}
	if c.EmailAddresses == nil {
		c.EmailAddresses = []string{"alice@example.com"}
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern2023.Encode(key, leaf, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	return pfxconnector.File{Name: "made.p12", Data: p12, Password: seal.SecretString(password)}
}

const (
	ds = x509.KeyUsageDigitalSignature
	ke = x509.KeyUsageKeyEncipherment
	ka = x509.KeyUsageKeyAgreement
)
