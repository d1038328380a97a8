package pfx_test

import (
	"context"
	"crypto/x509"
	"testing"
	"unicode"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// cheap lets a fuzzer spend its time on parsing.
func cheap() pfx.Limits {
	l := pfx.Default
	l.KDFIterations, l.FileIterations, l.AllowNoMAC = 3, 300, true
	return l
}

// quick is a craft whose derivations cost nothing.
func quick(c craft) []byte {
	return c.with(func(c *craft) {
		c.keys.iterations, c.certs.iterations, c.mac.iterations = integer(1), integer(1), integer(1)
	}).build()
}

// hold checks what must be true of every answer.
func hold(t *testing.T, res *pfx.Result, err error) {
	if err != nil {
		return
	}
	for _, id := range res.Identities {
		if !public(id.Key).Equal(id.Certificate.PublicKey) {
			t.Error("key and certificate do not belong together")
		}
		key, err := x509.ParsePKCS8PrivateKey(id.PKCS8.Reveal())
		if err != nil || !public(key).Equal(id.Certificate.PublicKey) {
			t.Errorf("PKCS #8 is not the key: %v", err)
		}
		if len(id.Chain) > 8 {
			t.Errorf("a chain of %d", len(id.Chain))
		}
		for _, r := range id.FriendlyName {
			if unicode.IsControl(r) {
				t.Errorf("control character in %q", id.FriendlyName)
			}
		}
	}
	for _, p := range res.Problems {
		if p.Err == nil || p.Item == "" {
			t.Errorf("a problem without a cause: %+v", p)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range testdata.PFXCorpus() {
		f.Add(s.Data, s.Password)
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		res, err := pfx.Read(context.Background(), data, seal.SecretString(password), cheap())
		if err != nil && fault.Of(err) == nil {
			t.Errorf("got %v, want a fault", err)
		}
		hold(t, res, err)
	})
}

// FuzzBelowMAC changes what the MAC protects.
func FuzzBelowMAC(f *testing.F) {
	for _, c := range []craft{modern(), windows(pbeRC240), macOS(), bouncyCastle(true), bouncyCastle(false), forge(),
		modern().with(func(c *craft) { c.keys, c.certs = protect{}, protect{} }),
		modern().with(func(c *craft) { c.indefinite, c.keyBags, c.certBags = true, [][]byte{ecKey}, [][]byte{ecCert} })} {
		f.Add(quick(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := pfx.ReadUnchecked(context.Background(), data, password, cheap())
		hold(t, res, err)
	})
}

// FuzzSafe changes what the encryption protects.
func FuzzSafe(f *testing.F) {
	cert := func(der []byte, attrs ...[]byte) []byte {
		return bag("3", seq(oid("1.2.840.113549.1.9.22.1"), context0(octets(der))), set(attrs...))
	}
	f.Add(seq(bag("1", ecKey, set(friendly("Alice"), keyID([]byte{1}))), cert(ecCert, friendly("Älice"), keyID([]byte{1}))))
	f.Add(seq(bag("1", aliceKey, nil), cert(aliceCert), cert(renewedCert), cert(caCert), cert(rootCert)))
	f.Add(open(0x30, bag("6", open(0x30, bag("1", ecKey, nil)), nil), cert(ecCert)))
	f.Add(seq(bag("4", null(), nil), bag("5", null(), nil), bag("99", null(), nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := pfx.ReadSafe(context.Background(), data, password, cheap())
		hold(t, res, err)
	})
}

func FuzzToDER(f *testing.F) {
	f.Add(bouncyCastle(true).build())
	f.Add(unhex("30800201030000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		once, _, err := pfx.ToDER(data, pfx.Default)
		if err != nil {
			return
		}
		if twice, rest, err := pfx.ToDER(once, pfx.Default); err != nil || len(rest) > 0 || string(once) != string(twice) {
			t.Errorf("not a fixed point: %x, then %x", once, twice)
		}
		if cap(once) != len(data)+len(data)/2+8 {
			t.Error("the buffer has grown and left a copy behind")
		}
	})
}
