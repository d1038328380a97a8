package escrow_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

var update = flag.Bool("update", false, "write testdata/record-v1.json anew")

// key is a private key of a user, as an importer has it.
func key(t *testing.T) escrow.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return escrow.Key{User: "01890000-0000-7000-8000-000000000001", Certificate: c, PKCS8: pkcs8}
}

func recipient(t *testing.T, private hpke.PrivateKey) escrow.Recipient {
	t.Helper()
	r, err := escrow.NewRecipient(private.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open does by RFC 9180 and the description in the package comment what the
// opener does.
func open(private hpke.PrivateKey, r escrow.Record, b escrow.Binding) ([]byte, error) {
	w := r.Wraps[0]
	h, err := hpke.NewRecipient(w.Enc, private, hpke.HKDFSHA256(), hpke.AES256GCM(), escrow.WrapInfo(r.ID, w.Key))
	if err != nil {
		return nil, err
	}
	dataKey, err := h.Open(nil, w.Sealed)
	if err != nil {
		return nil, err
	}
	aead, err := r.Suite.AEAD(dataKey)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, r.Nonce, r.Ciphertext, b.AAD(r.Suite))
}

func TestSealedOpensForItsKeyAndBindingOnly(t *testing.T) {
	for name, kem := range map[string]hpke.KEM{"hybrid": escrow.Hybrid(), "classic": escrow.Classic()} {
		t.Run(name, func(t *testing.T) {
			private, err := kem.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			other, err := kem.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			k := key(t)
			r, err := escrow.NewSealer(recipient(t, private)).Seal(k)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := open(private, r, k.Binding()); err != nil || !bytes.Equal(got, k.PKCS8) {
				t.Fatalf("the right key: got %d bytes, %v", len(got), err)
			}
			if _, err := open(other, r, k.Binding()); err == nil {
				t.Error("another escrow key opens it")
			}
			for what, change := range map[string]func(*escrow.Binding){
				"user":        func(b *escrow.Binding) { b.User += "0" },
				"certificate": func(b *escrow.Binding) { b.Cert[31]++ },
				"public key":  func(b *escrow.Binding) { b.SPKI[0]++ },
			} {
				b := k.Binding()
				change(&b)
				if _, err := open(private, r, b); err == nil {
					t.Errorf("it opens for another %s", what)
				}
			}
		})
	}
}

func TestWrapBelongsToItsRecord(t *testing.T) {
	private, _ := escrow.Classic().GenerateKey()
	s := escrow.NewSealer(recipient(t, private))
	k := key(t)
	a, err := s.Seal(k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Seal(k)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == b.ID || bytes.Equal(a.Nonce, b.Nonce) || bytes.Equal(a.Ciphertext, b.Ciphertext) {
		t.Error("two seals share an id, a nonce or a ciphertext")
	}
	a.Wraps = b.Wraps
	if _, err := open(private, a, k.Binding()); err == nil {
		t.Error("another record's wrap opens")
	}
}

func TestRecordHoldsNoKeyInTheClear(t *testing.T) {
	private, _ := escrow.Hybrid().GenerateKey()
	k := key(t)
	r, err := escrow.NewSealer(recipient(t, private), recovery(t, identity(t))).Seal(k)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ec.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Clone(r.Ciphertext)
	for _, w := range r.Wraps {
		all = append(append(all, w.Enc...), w.Sealed...)
	}
	if bytes.Contains(all, secret) || !bytes.Contains(k.PKCS8, secret) {
		t.Error("the private key shows")
	}
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func recovery(t *testing.T, id *age.X25519Identity) escrow.Recovery {
	t.Helper()
	r, err := escrow.ParseRecovery(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Without any key and program of ours: age and openssl make a PKCS #12 file of
// what lies beside the record.
func TestRecoveryNeedsAgeAndOpenSSLOnly(t *testing.T) {
	judge.Need(t, "openssl")
	private, _ := escrow.Hybrid().GenerateKey()
	first, second := identity(t), identity(t)
	k := key(t)
	s := escrow.NewSealer(recipient(t, private), recovery(t, first), recovery(t, second))
	r, err := s.Seal(k)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Wraps) != 3 || r.Wraps[0].Key.Offline() || !r.Wraps[1].Key.Offline() || r.Wraps[2].Key != recovery(t, second).ID() {
		t.Fatalf("wraps: got %v", r.Wraps)
	}
	for i, id := range []*age.X25519Identity{first, second} {
		plain, err := age.Decrypt(bytes.NewReader(r.Wraps[i+1].Sealed), id)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		p12 := filepath.Join(t.TempDir(), "p12")
		judge.Run(t, text, "openssl", "pkcs12", "-export", "-passout", "pass:x", "-out", p12)
		out := judge.Run(t, nil, "openssl", "pkcs12", "-in", p12, "-passin", "pass:x", "-nocerts", "-noenc")
		if got := judge.Run(t, out, "openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"); !bytes.Equal(got, k.PKCS8) {
			t.Error("openssl gives another key")
		}
	}
	if _, err := age.Decrypt(bytes.NewReader(r.Wraps[1].Sealed), second); err == nil {
		t.Error("another recovery key opens the file")
	}
}

func TestSuites(t *testing.T) {
	for name, c := range map[string]struct {
		suite escrow.Suite
		bytes int
	}{"unknown": {2, 32}, "none": {0, 32}, "short key": {escrow.AES256GCM, 16}} {
		if _, err := c.suite.AEAD(make([]byte, c.bytes)); !errors.Is(err, escrow.ErrSuite) {
			t.Errorf("%s: got %v, want ErrSuite", name, err)
		}
	}
}

// What is bound is written into every stored record: these bytes never change.
func TestBindingBytes(t *testing.T) {
	b := escrow.Binding{User: "u-1", Cert: cert.Fingerprint{0xc0}, SPKI: cert.Fingerprint{0x59}}
	want := hex.EncodeToString([]byte("signet/escrow/v1")) + "00000003" + hex.EncodeToString([]byte("u-1")) +
		"00000020c0" + zeros(31) + "0000002059" + zeros(31) + "000000020001"
	if got := hex.EncodeToString(b.AAD(escrow.AES256GCM)); got != want {
		t.Errorf("AAD: got %s, want %s", got, want)
	}
	want = hex.EncodeToString([]byte("signet/dek/v1")) + "00000001" + "61" + "00000002" + "6263"
	if got := hex.EncodeToString(escrow.WrapInfo("a", "bc")); got != want {
		t.Errorf("WrapInfo: got %s, want %s", got, want)
	}
	if bytes.Equal(escrow.WrapInfo("a", "bc"), escrow.WrapInfo("ab", "c")) {
		t.Error("two lists of fields give the same bytes")
	}
}

func zeros(n int) string { return hex.EncodeToString(make([]byte, n)) }

// vector is a record with what opens it, of the day the format was fixed.
type vector struct {
	Private, PKCS8 []byte
	Record         escrow.Record
}

// A record of the first version opens for ever.
func TestRecordOfVersionOne(t *testing.T) {
	file := filepath.Join("testdata", "record-v1.json")
	if *update {
		private, _ := escrow.Hybrid().GenerateKey()
		k := key(t)
		r, err := escrow.NewSealer(recipient(t, private)).Seal(k)
		if err != nil {
			t.Fatal(err)
		}
		seed, _ := private.Bytes()
		text, _ := json.MarshalIndent(vector{seed, k.PKCS8, r}, "", "  ")
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	private, err := escrow.Hybrid().NewPrivateKey(v.Private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(private, v.Record, v.Record.Binding); err != nil || !bytes.Equal(got, v.PKCS8) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if id := recipient(t, private).ID(); id != v.Record.Wraps[0].Key {
		t.Errorf("the key is now called %s, was %s", id, v.Record.Wraps[0].Key)
	}
}
