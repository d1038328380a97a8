package pfx_test

import (
	"bytes"
	"context"
	"crypto"
	"slices"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// hostile are files that want to cost a second or the memory.
var hostile = sync.OnceValue(func() map[string][]byte {
	keys := func(der ...[]byte) []byte {
		return modern().with(func(c *craft) { c.keys, c.keyBags = protect{}, der }).build()
	}
	many := func(kind string) []byte {
		return modern().with(func(c *craft) { c.extraBags = [][]byte{bytes.Repeat(bag(kind, null(), nil), 10_000)} }).build()
	}
	key := func(name string) []byte {
		f := file(name)
		return must(pfx.Read(context.Background(), f.Data, seal.SecretString(f.Password), pfx.Default)).Identities[0].PKCS8.Reveal()
	}
	times := func(n int, der []byte) []byte { return keys(slices.Repeat([][]byte{der}, n)...) }
	all := map[string][]byte{
		"RSA key of 1 M bits":        keys(rsaKey(1 << 20)),
		"RSA key of 4000 primes":     keys(primes(4000)),
		"certificate of 1 M bits":    modern().with(func(c *craft) { c.certBags = append(c.certBags, rsaCert(1<<20)) }).build(),
		"10000 bags":                 many("99"),
		"10000 keys":                 many("1"),
		"10000 levels":               deep(10_000, false),
		"10000 indefinite levels":    deep(10_000, true),
		"10000 levels inside":        modern().shell(deep(10_000, false)),
		"300000 elements":            seq(bytes.Repeat(null(), 300_000)),
		"string in 250000 pieces":    modern().shell(open(0x24, bytes.Repeat(octets([]byte{0}), 250_000))),
		"PEM of 30000 blocks":        bytes.Repeat([]byte("-----BEGIN X-----\n"), 30_000),
		"PEM whose blocks never end": bytes.Repeat(append([]byte("-----BEGIN CERTIFICATE-----\n"), bytes.Repeat([]byte("A"), 4000)...), 250),
		"250 keys on P-521":          times(250, key("openssl-key-P-521.p12")),
		"200 RSA keys of 4096 bits":  times(200, key("openssl-key-rsa4096.p12")),
	}
	for kind, base := range map[string]craft{"PBES1": windows(pbeRC240), "PBES2": modern(), "PBMAC1": authenticated(crypto.SHA256, 32)} {
		for name, n := range bombs() {
			all[kind+", "+name+" iterations"] = base.with(func(c *craft) { c.mac.iterations = n }).build()
			all[kind+", "+name+" iterations of the key"] = base.with(func(c *craft) { c.keys.iterations = n }).build()
		}
	}
	return all
})

// TestHostileFilesCostLittle counts instead of looking at a clock. A derivation
// of 5000 iterations takes about a millisecond.
func TestHostileFilesCostLittle(t *testing.T) {
	for name, file := range hostile() {
		got, err := pfx.Measure(t.Context(), file, password, pfx.Default)
		if got.Iterations > 20_000 || got.Nodes > pfx.Default.Nodes || got.Bags > pfx.Default.Bags+1 || got.Checks > 501 || got.RSA > 512 {
			t.Errorf("%s: costs %+v (%v)", name, got, err)
		}
	}
}

// BenchmarkHostile prints what each of them takes: all ought to be below
// 200 ms of one processor.
func BenchmarkHostile(b *testing.B) {
	for name, file := range hostile() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pfx.Read(b.Context(), file, password, pfx.Default)
			}
		})
	}
}
