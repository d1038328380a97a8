package pfx_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

var password = seal.SecretString(pw)

// bombs are iteration counts that would forge a check or never end.
func bombs() map[string][]byte {
	huge := new(big.Int).Lsh(big.NewInt(1), 4000)
	return map[string][]byte{
		"0": integer(0), "-1": integer(-1), "-2^31": integer(-1 << 31),
		"5000001": integer(5_000_001), "2^31-1": integer(1<<31 - 1), "2^31": integer(1 << 31), "2^62": integer(1 << 62),
		"2^4000": must(asn1.Marshal(huge)),
	}
}

// TestIterationBombs must end at once; a bomb that ran would outlive the test.
func TestIterationBombs(t *testing.T) {
	legacy := windows(pbeRC240)
	places := map[string]func(c *craft, n []byte){
		"mac":  func(c *craft, n []byte) { c.mac.iterations = n },
		"safe": func(c *craft, n []byte) { c.certs.iterations = n },
		"key":  func(c *craft, n []byte) { c.keys.iterations = n },
		"null password": func(c *craft, n []byte) {
			c.mac.iterations, c.password, c.nullPass = n, "", true
		},
	}
	for kind, base := range map[string]craft{"PBES1": legacy, "PBES2": modern(), "PBMAC1": authenticated(crypto.SHA256, 32)} {
		for place, put := range places {
			for name, n := range bombs() {
				c := base.with(func(c *craft) { put(c, n) })
				_, err := pfx.Read(t.Context(), c.build(), seal.SecretString(c.password), pfx.Default)
				if !errors.Is(err, pfx.ErrLimit) {
					t.Errorf("%s, %s iterations in %s: got %v, want pfx_limit_exceeded", kind, name, place, err)
				}
			}
		}
	}
}

func TestFileIterationsAddUp(t *testing.T) {
	// Sixty keys of a million iterations each, which one alone may have.
	c := modern().with(func(c *craft) {
		c.keys.iterations = integer(1)
		for range 59 {
			c.keyBags = append(c.keyBags, aliceKey)
		}
	})
	limits := pfx.Default
	limits.FileIterations = 2048*2 + 59
	if _, err := pfx.Read(t.Context(), c.build(), password, limits); !errors.Is(err, pfx.ErrLimit) {
		t.Errorf("one iteration over the budget: got %v, want pfx_limit_exceeded", err)
	}
	limits.FileIterations++
	if _, err := pfx.Read(t.Context(), c.build(), password, limits); err != nil {
		t.Errorf("within the budget: %v", err)
	}
}

// rsaKey is PKCS #8 with a modulus of so many bits, and nothing else right.
func rsaKey(bits int) []byte {
	n := tlv(2, []byte{0}, bytes.Repeat([]byte{0xff}, bits/8))
	inner := seq(integer(0), n, integer(65537), n, integer(3), integer(5), integer(1), integer(1), integer(1))
	return seq(integer(0), algorithm("1.2.840.113549.1.1.1", null()), octets(inner))
}

// primes is an RSA key that claims to be made of so many.
func primes(count int) []byte {
	ints := [][]byte{integer(1)}
	for range 8 {
		ints = append(ints, integer(3))
	}
	more := bytes.Repeat(seq(integer(3), integer(3), integer(3)), count-2)
	return seq(integer(0), algorithm("1.2.840.113549.1.1.1", null()), octets(seq(append(ints, tlv(0x30, more))...)))
}

// rsaCert is a certificate whose key has a modulus of so many bits.
func rsaCert(bits int) []byte {
	spki := seq(algorithm("1.2.840.113549.1.1.1", null()), tlv(3, []byte{0}, seq(tlv(2, []byte{0}, bytes.Repeat([]byte{0xff}, bits/8)), integer(65537))))
	sig := algorithm("1.2.840.113549.1.1.11", null())
	return seq(seq(context0(integer(2)), integer(1), sig, seq(), seq(), seq(), spki), sig, tlv(3, []byte{0}))
}

func TestBagLimits(t *testing.T) {
	for name, c := range map[string]struct {
		key, cert []byte
		want      string
	}{
		"RSA key of 1 M bits":         {rsaKey(1 << 20), nil, "pfx_rsa_too_large"},
		"RSA key of 8200 bits":        {rsaKey(8200), nil, "pfx_rsa_too_large"},
		"RSA key of 8192 bits":        {rsaKey(8192), nil, "pfx_key_malformed"},
		"RSA key of 4000 primes":      {primes(4000), nil, "pfx_rsa_too_large"},
		"key that is no PKCS #8":      {seq(integer(0)), nil, "pfx_key_malformed"},
		"key with rubbish inside":     {seq(integer(0), algorithm("1.2.840.113549.1.1.1"), octets([]byte("rubbish"))), nil, "pfx_key_malformed"},
		"certificate of 64 KiB":       {nil, make([]byte, 65537), "pfx_certificate_too_large"},
		"certificate with 16384 bits": {nil, rsaCert(16384), "pfx_rsa_too_large"},
		"certificate with 8192 bits":  {nil, rsaCert(8192), "pfx_certificate_unparseable"},
		"certificate that is rubbish": {nil, []byte("rubbish"), "pfx_certificate_unparseable"},
	} {
		file := modern().with(func(f *craft) {
			f.keys = protect{}
			if c.key != nil {
				f.keyBags = append(f.keyBags, c.key)
			}
			if c.cert != nil {
				f.certBags = append(f.certBags, c.cert)
			}
		})
		res, err := pfx.Read(t.Context(), file.build(), password, pfx.Default)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(res.Problems) != 1 || res.Problems[0].Err.Code != c.want || len(res.Identities) != 1 {
			t.Errorf("%s: got %d identities and problems %v, want 1 and %s", name, len(res.Identities), res.Problems, c.want)
		}
	}
}

// TestRSAWorkAddsUp: keys that are each allowed may be too much together; those
// up to the limit are read.
func TestRSAWorkAddsUp(t *testing.T) {
	file := modern().with(func(c *craft) { c.keys, c.keyBags = protect{}, [][]byte{aliceKey, rsaKey(8192)} })
	for range 7 {
		file.keyBags = append(file.keyBags, rsaKey(8192))
	}
	res, err := pfx.Read(t.Context(), file.build(), password, pfx.Default)
	if err != nil || len(res.Identities) != 1 || len(res.Problems) != 8 {
		t.Fatalf("got %v, %v, want one identity and 8 problems", res, err)
	}
	for i, p := range res.Problems {
		want := "pfx_key_malformed"
		if i == 7 {
			want = "pfx_limit_exceeded"
		}
		if p.Err.Code != want {
			t.Errorf("key %d of 8192 bits: got %s, want %s", i+1, p.Err.Code, want)
		}
	}
}

// deep nests sequences.
func deep(levels int, indefinite bool) []byte {
	b := null()
	for range levels {
		if indefinite {
			b = open(0x30, b)
		} else {
			b = tlv(0x30, b)
		}
	}
	return b
}

func TestStructureLimits(t *testing.T) {
	many := func(n int, kind string) []byte {
		return modern().with(func(c *craft) { c.extraBags = [][]byte{bytes.Repeat(bag(kind, null(), nil), n)} }).build()
	}
	small := pfx.Default
	small.FileBytes = 1000
	for name, c := range map[string]struct {
		file   []byte
		limits pfx.Limits
		want   string
	}{
		"10000 bags":                 {many(10_000, "99"), pfx.Default, "pfx_limit_exceeded"},
		"254 more bags":              {many(254, "99"), pfx.Default, ""},
		"255 more bags":              {many(255, "99"), pfx.Default, "pfx_limit_exceeded"},
		"10000 levels":               {deep(10_000, false), pfx.Default, "pfx_limit_exceeded"},
		"10000 indefinite levels":    {deep(10_000, true), pfx.Default, "pfx_limit_exceeded"},
		"10000 levels inside":        {modern().shell(deep(10_000, false)), pfx.Default, "pfx_limit_exceeded"},
		"safes in safes":             {nested(4), pfx.Default, "pfx_limit_exceeded"},
		"300000 elements":            {seq(bytes.Repeat(null(), 300_000)), pfx.Default, "pfx_limit_exceeded"},
		"300000 elements inside":     {modern().shell(seq(bytes.Repeat(null(), 300_000))), pfx.Default, "pfx_limit_exceeded"},
		"33 safes":                   {modern().shell(seq(bytes.Repeat(seq(oid("1.2.840.113549.1.7.1"), context0(octets(seq()))), 33))), pfx.Default, "pfx_limit_exceeded"},
		"a byte over the size":       {make([]byte, 1001), small, "pfx_limit_exceeded"},
		"string in 100000 pieces":    {modern().shell(open(0x24, bytes.Repeat(octets([]byte{0}), 250_000))), pfx.Default, "pfx_limit_exceeded"},
		"lengths of five octets":     {[]byte{0x30, 0x85, 0, 0, 0, 0, 3, 2, 1, 3}, pfx.Default, "blob_not_pkcs12"},
		"a length of 4 GiB":          {[]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 3}, pfx.Default, "blob_not_pkcs12"},
		"a length of 2 GiB, cut off": {[]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 3}, pfx.Default, "pfx_truncated"},
		"an end without beginning":   {[]byte{0x30, 2, 0, 0}, pfx.Default, "blob_not_pkcs12"},
		"no contents at all":         {modern().shell(nil), pfx.Default, "pfx_malformed"},
		"contents are no sequence":   {modern().shell(octets(nil)), pfx.Default, "pfx_malformed"},
	} {
		_, err := pfx.Read(t.Context(), c.file, password, c.limits)
		if got := fault.Code(err); got != c.want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, c.want)
		}
	}
}

// TestChainWorkIsBounded gives every leaf as many false issuers as there are
// leaves.
func TestChainWorkIsBounded(t *testing.T) {
	const n = 23 // squared: more than 500
	var certs [][]byte
	for i := range 2 * n {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "X"}, IsCA: true, BasicConstraintsValid: true}
		issuer, holder := &x509.Certificate{Subject: pkix.Name{CommonName: "Y"}}, bobPrivate
		if i < n {
			c.IsCA, issuer, holder = false, &x509.Certificate{Subject: c.Subject}, ecPrivate
			c.Subject.CommonName = "Alice"
		}
		certs = append(certs, must(x509.CreateCertificate(rand.Reader, c, issuer, public(holder), alicePrivate)))
	}
	file := modern().with(func(c *craft) { c.keyBags, c.certBags = [][]byte{ecKey}, certs })
	res, err := pfx.Read(t.Context(), file.build(), password, pfx.Default)
	if err != nil || len(res.Identities) != n || !slices.Contains(res.Notes, pfx.NoteChainCut) {
		t.Errorf("got %v, %v, want %d identities and chain_cut", res, err, n)
	}
}

// TestPBMAC1KeyLength: a short key would let anybody forge the check.
func TestPBMAC1KeyLength(t *testing.T) {
	for _, n := range []int64{0, -1, 1, 19, 65, 1 << 31} {
		if _, err := pfx.Read(t.Context(), authenticated(crypto.SHA256, n).build(), password, pfx.Default); err == nil || fault.Of(err) == nil {
			t.Errorf("key of %d bytes: got %v, want a refusal", n, err)
		}
	}
	for _, n := range []int64{20, 32, 64} {
		if _, err := pfx.Read(t.Context(), authenticated(crypto.SHA256, n).build(), password, pfx.Default); err != nil {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestSaltWithoutBytes(t *testing.T) {
	for name, base := range map[string]craft{"PBES1": windows(pbeRC240), "PBES2": modern(), "PBMAC1": authenticated(crypto.SHA512, 64)} {
		c := base.with(func(c *craft) { c.keys.saltSize, c.certs.saltSize, c.mac.saltSize = 0, 0, 0 })
		res, err := pfx.Read(t.Context(), c.build(), password, pfx.Default)
		if err != nil || len(res.Identities) != 1 {
			t.Errorf("%s: got %v, want one identity", name, err)
		}
	}
}

// TestTruncatedEverywhere cuts a file at every byte, with and without the
// length of the whole put right.
func TestTruncatedEverywhere(t *testing.T) {
	whole := modern().with(func(c *craft) { c.certBags = append(c.certBags, caCert) }).build()
	if len(whole) < 3000 {
		t.Fatalf("the file has only %d bytes", len(whole))
	}
	for n := range whole {
		_, err := pfx.Read(t.Context(), whole[:n], password, pfx.Default)
		want := "pfx_truncated"
		if n < 7 {
			want = "blob_not_pkcs12"
		}
		if got := fault.Code(err); got != want {
			t.Errorf("first %d bytes: got %q (%v), want %q", n, got, err, want)
		}
		if _, err := pfx.Read(t.Context(), seq(whole[4:max(4, n)]), password, pfx.Default); err == nil || fault.Of(err) == nil {
			t.Errorf("first %d bytes under a fitting length: got %v, want a refusal", n, err)
		}
	}
}

func TestOneByteFlipped(t *testing.T) {
	whole := forge().build()
	for n := range whole {
		bad := bytes.Clone(whole)
		bad[n] ^= 0x20
		res, err := pfx.Read(t.Context(), bad, password, pfx.Default)
		if err != nil && fault.Of(err) == nil {
			t.Errorf("byte %d: got %v, want a fault", n, err)
		}
		if err == nil && len(res.Identities) > 0 && !bytes.Equal(res.Identities[0].Certificate.Raw, aliceCert) {
			t.Errorf("byte %d: a changed certificate passed the check", n)
		}
	}
}

// slow has legal iterations that take long.
func slow() []byte {
	return modern().with(func(c *craft) {
		c.mac.iterations, c.keys.iterations, c.certs.iterations = integer(5_000_000), integer(5_000_000), integer(5_000_000)
	}).build()
}

func TestReadGivesUp(t *testing.T) {
	stop := errors.New("nobody waits any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
	if _, err := pfx.Read(ctx, slow(), password, pfx.Default); !errors.Is(err, stop) {
		t.Errorf("cancelled: got %v, want the cause", err)
	}
	limits := pfx.Default
	limits.Time = 20 * time.Millisecond
	if _, err := pfx.Read(t.Context(), slow(), password, limits); !errors.Is(err, pfx.ErrLimit) {
		t.Errorf("over time: got %v, want pfx_limit_exceeded", err)
	}
	pbkdf := authenticated(crypto.SHA256, 32).with(func(c *craft) { c.mac.iterations = integer(5_000_000) }).build()
	if _, err := pfx.Read(t.Context(), pbkdf, password, limits); !errors.Is(err, pfx.ErrLimit) {
		t.Errorf("PBKDF2 over time: got %v, want pfx_limit_exceeded", err)
	}
}

// TestDecodersAreFew fills every decoder; the next reader waits, and leaves
// when its context does.
func TestDecodersAreFew(t *testing.T) {
	busy, release := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for busy.Err() == nil {
				pfx.Read(busy, slow(), password, pfx.Default)
			}
		})
	}
	for pfx.Decoding() < runtime.GOMAXPROCS(0) {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pfx.Read(ctx, modern().build(), password, pfx.Default); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	release()
	wg.Wait()
	if _, err := pfx.Read(t.Context(), modern().build(), password, pfx.Default); err != nil {
		t.Errorf("after the others left: %v", err)
	}
}
