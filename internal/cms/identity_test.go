package cms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
)

// identity is a key with its certificate, in memory and as PEM files.
type identity struct {
	key       crypto.Signer
	cert      *x509.Certificate
	keyPEM    []byte
	certPEM   []byte
	decrypter crypto.Decrypter
}

var (
	rsaOne = sync.OnceValue(func() identity { return newIdentity("device one", rsaKey()) })
	rsaTwo = sync.OnceValue(func() identity { return newIdentity("device two", rsaKey()) })
	ecOne  = sync.OnceValue(func() identity {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return newIdentity("ec device", key)
	})
)

// fuzzOnly is the same in every process: fuzz workers share seeds, so they
// must share the key that made them.
var fuzzOnly = sync.OnceValue(func() identity {
	block, rest := pem.Decode(fuzzPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	block, _ = pem.Decode(rest)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return identity{key: key.(crypto.Signer), decrypter: key.(crypto.Decrypter), cert: cert}
})

//go:embed testdata/fuzz-only.pem
var fuzzPEM []byte

func rsaKey() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func newIdentity(name string, key crypto.Signer) identity {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		SubjectKeyId: serial.Bytes(),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	dec, _ := key.(crypto.Decrypter)
	return identity{
		key: key, cert: cert, decrypter: dec,
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
}

func (i identity) signer() cms.Signer { return cms.Signer{Certificate: i.cert, Key: i.key} }

// files writes the identity for programs that want file names.
func (i identity) files(t testing.TB) (cert, key string) {
	t.Helper()
	return file(t, "cert.pem", i.certPEM), file(t, "key.pem", i.keyPEM)
}

func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
