package pfx_test

import (
	"fmt"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// BenchmarkRead opens each file of the history. Most of the time is the file's
// own key derivation.
func BenchmarkRead(b *testing.B) {
	for _, f := range testdata.History() {
		b.Run(f.Name, func(b *testing.B) { read(b, f.Data, seal.SecretString(f.Password)) })
	}
}

// BenchmarkReadBeyondKDF is what a file costs besides its derivations.
func BenchmarkReadBeyondKDF(b *testing.B) { read(b, quick(modern()), password) }

func read(b *testing.B, file []byte, pass seal.Secret) {
	for b.Loop() {
		if _, err := pfx.Read(b.Context(), file, pass, pfx.Default); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite includes the linting of what was written.
func BenchmarkWrite(b *testing.B) {
	for _, ios := range []int{17, 18} {
		b.Run(fmt.Sprint("iOS", ios), func(b *testing.B) {
			for b.Loop() {
				if _, err := pfx.Write(alicePrivate, aliceLeaf, nil, password, ios); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
