package transport_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"hash"
	"math/big"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

var by = journal.Actor{Kind: journal.Local, ID: "test"}

func newService(t testing.TB) *transport.Service {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, err := seal.NewBox(seal.RandomRoot(), "transport")
	if err != nil {
		t.Fatal(err)
	}
	return transport.New(db.Transport(box), time.Now)
}

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// full writes an RSAFULLPRIVATEBLOB.
func full(key *rsa.PrivateKey) []byte {
	size, half := uint32(key.Size()), uint32(key.Size()/2)
	e := big.NewInt(int64(key.E)).Bytes()
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, []uint32{0x33415352, uint32(key.N.BitLen()), uint32(len(e)), size, half, half})
	out.Write(e)
	for _, part := range []struct {
		n    *big.Int
		size uint32
	}{{key.N, size}, {key.Primes[0], half}, {key.Primes[1], half}, {key.Precomputed.Dp, half}, {key.Precomputed.Dq, half}, {key.Precomputed.Qinv, half}, {key.D, size}} {
		out.Write(part.n.FillBytes(make([]byte, part.size)))
	}
	return out.Bytes()
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Each format that a key comes in gives the key that opens.
func TestImport(t *testing.T) {
	s, key := newService(t), newKey(t, 2048)
	sealed, err := rsa.EncryptOAEP(sha512.New(), rand.Reader, &key.PublicKey, []byte("pass"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"CNG": full(key), "PKCS #8": pemOf("PRIVATE KEY", pkcs8(t, key)), "PKCS #1": pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
	} {
		k, err := s.Import(t.Context(), by, "p", name, seal.NewSecret(file))
		if err != nil || !k.Public.Equal(&key.PublicKey) {
			t.Errorf("%s: got %v, %v", name, k, err)
			continue
		}
		plain, err := s.Open(t.Context(), "p", name, transport.OAEPSHA512, sealed)
		if err != nil || plain.RevealString() != "pass" {
			t.Errorf("%s: opened %d bytes, %v", name, len(plain.Reveal()), err)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	s, key := newService(t), newKey(t, 2048)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := transport.Key{Public: &key.PublicKey}
	other := full(key)
	other[len(other)-1] ^= 1 // of the private exponent
	composite := full(key)
	composite[24+3+256] ^= 0x10 // of a prime
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"nothing":             {nil, transport.ErrFormat},
		"text":                {[]byte("hello, this is no key at all"), transport.ErrFormat},
		"a public blob":       {public.CNG(), transport.ErrPublic},
		"a public PEM":        {public.PEM(), transport.ErrPublic},
		"an elliptic key":     {pemOf("PRIVATE KEY", pkcs8(t, curve)), transport.ErrFormat},
		"an encrypted key":    {pemOf("ENCRYPTED PRIVATE KEY", []byte{1}), transport.ErrFormat},
		"half a blob":         {full(key)[:500], transport.ErrFormat},
		"more than a blob":    {append(full(key), 0), transport.ErrFormat},
		"a wrong exponent":    {other, transport.ErrFormat},
		"a wrong prime":       {composite, transport.ErrFormat},
		"an odd size":         {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(newKey(t, 2056))), transport.ErrBits},
		"a file far too long": {make([]byte, 1<<20), transport.ErrFormat},
	} {
		if _, err := s.Import(t.Context(), by, "p", "n", seal.NewSecret(c.file)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if list, err := s.Keys(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("got %d keys, %v, want none", len(list), err)
	}
}

func TestOpen(t *testing.T) {
	s := newService(t)
	k, err := s.Create(t.Context(), by, "p", "n", 2048)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(h hash.Hash) []byte {
		c, err := rsa.EncryptOAEP(h, rand.Reader, k.Public, []byte("pass"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		provider string
		padding  transport.Padding
		sealed   []byte
		want     error
	}{
		"SHA-256":          {"p", transport.OAEPSHA256, seal(sha256.New()), nil},
		"SHA-384":          {"p", transport.OAEPSHA384, seal(sha512.New384()), nil},
		"SHA-512":          {"p", transport.OAEPSHA512, seal(sha512.New()), nil},
		"SHA-1":            {"p", transport.OAEPSHA1, seal(sha1.New()), transport.ErrPadding},
		"PKCS #1":          {"p", transport.PKCS1, seal(sha256.New()), transport.ErrPadding},
		"none":             {"p", transport.None, []byte("pass"), transport.ErrPadding},
		"another hash":     {"p", transport.OAEPSHA256, seal(sha512.New()), transport.ErrDecrypt},
		"nothing":          {"p", transport.OAEPSHA256, nil, transport.ErrDecrypt},
		"too long":         {"p", transport.OAEPSHA256, make([]byte, 4096), transport.ErrDecrypt},
		"another provider": {"q", transport.OAEPSHA256, seal(sha256.New()), transport.ErrUnknown},
	} {
		plain, err := s.Open(t.Context(), c.provider, "n", c.padding, c.sealed)
		if !errors.Is(err, c.want) || c.want == nil && plain.RevealString() != "pass" {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		provider, name string
		bits           int
		want           error
	}{{"", "n", 2048, transport.ErrName}, {"p", "a\nb", 2048, transport.ErrName}, {"p", "n", 1024, transport.ErrBits}, {"p", "n", 8192, transport.ErrBits}} {
		if _, err := s.Create(t.Context(), by, c.provider, c.name, c.bits); !errors.Is(err, c.want) {
			t.Errorf("%q %q %d: got %v, want %v", c.provider, c.name, c.bits, err, c.want)
		}
	}
}

// What is exported is laid out as bcrypt.h says.
func TestPublicBlob(t *testing.T) {
	key := newKey(t, 2048)
	blob := transport.Key{Public: &key.PublicKey}.CNG()
	want := append([]byte{'R', 'S', 'A', '1', 0, 8, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, key.N.Bytes()...)
	if !bytes.Equal(blob, want) {
		t.Errorf("got %x, want %x", blob, want)
	}
}

func FuzzParsePrivate(f *testing.F) {
	key := newKey(f, 2048)
	for _, seed := range [][]byte{full(key), pemOf("PRIVATE KEY", pkcs8(f, key)), transport.Key{Public: &key.PublicKey}.CNG(), {}, []byte("RSA3")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := transport.ParsePrivate(file)
		if err != nil {
			return
		}
		if key.Validate() != nil || key.N.BitLen() < 2048 || key.N.BitLen() > 4096 {
			t.Errorf("an unfit key of %d bits was taken", key.N.BitLen())
		}
	})
}

// The public half comes in both forms that Export-IntunePublicKey writes.
func TestParsePublic(t *testing.T) {
	key := newKey(t, 2048)
	k := transport.Key{Public: &key.PublicKey}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	even := rsa.PublicKey{N: key.N, E: 4}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"PEM":             {k.PEM(), nil},
		"CNG":             {k.CNG(), nil},
		"private PEM":     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), transport.ErrPublicFormat},
		"private CNG":     {full(key), transport.ErrPublicFormat},
		"another kind":    {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: other}), transport.ErrPublicFormat},
		"short":           {transport.Key{Public: &newKey(t, 1024).PublicKey}.PEM(), transport.ErrBits},
		"even exponent":   {transport.Key{Public: &even}.CNG(), transport.ErrBits},
		"cut":             {k.CNG()[:200], transport.ErrPublicFormat},
		"longer":          {append(k.CNG(), 0), transport.ErrPublicFormat},
		"nothing":         {nil, transport.ErrPublicFormat},
		"more than a key": {bytes.Repeat([]byte("x"), 1<<20), transport.ErrPublicFormat},
	} {
		got, err := transport.ParsePublic(c.file)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || err == nil && !got.Equal(&key.PublicKey) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// What is encrypted here opens there, and only under OAEP with SHA-2.
func TestEncrypt(t *testing.T) {
	key, password := newKey(t, 2048), seal.Random()
	for p, h := range map[transport.Padding]hash.Hash{transport.OAEPSHA256: sha256.New(), transport.OAEPSHA384: sha512.New384(), transport.OAEPSHA512: sha512.New()} {
		sealed, err := p.Encrypt(&key.PublicKey, password)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rsa.DecryptOAEP(h, nil, key, sealed, nil); err != nil || string(got) != password.RevealString() {
			t.Errorf("%s: got %q, %v", p, got, err)
		}
	}
	for _, p := range []transport.Padding{transport.None, transport.PKCS1, transport.OAEPSHA1} {
		if _, err := p.Encrypt(&key.PublicKey, password); !errors.Is(err, transport.ErrPadding) {
			t.Errorf("%s: got %v, want %v", p, err, transport.ErrPadding)
		}
	}
}

func FuzzParsePublic(f *testing.F) {
	k := transport.Key{Public: &newKey(f, 2048).PublicKey}
	f.Add(k.PEM())
	f.Add(k.CNG())
	f.Add(k.CNG()[:24])
	f.Fuzz(func(t *testing.T, file []byte) {
		if key, err := transport.ParsePublic(file); err == nil && (key.N.BitLen() < 2048 || key.E < 3) {
			t.Errorf("took a key of %d bits with exponent %d", key.N.BitLen(), key.E)
		}
	})
}
