package pfxconnector_test

import (
	"crypto/x509"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// BenchmarkImport imports files into a real database. What it costs beyond
// "read" is ours: judging, sealing, storing.
func BenchmarkImport(b *testing.B) {
	h := newHouse(b)
	h.user(b, "alice@example.com")
	b.Run("read", func(b *testing.B) {
		f := made(b, x509.Certificate{KeyUsage: ke}, sharedRSA)
		for b.Loop() {
			if _, err := pfx.Read(b.Context(), f.Data, seal.SecretString(password), pfx.Default); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			f := made(b, x509.Certificate{KeyUsage: ke}, sharedRSA)
			b.StartTimer()
			h.take(b, f)
		}
	})
}
