package storetest

import (
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/store"
)

func testInstallation(t *testing.T, open Open) {
	t.Run("a database belongs to who claims it first", func(t *testing.T) {
		db := open(t)
		ours, theirs := cert.FingerprintOf([]byte("ours")), cert.FingerprintOf([]byte("theirs"))
		if owner, err := db.Owner(t.Context()); err != nil || !owner.IsZero() {
			t.Errorf("a new one belongs to %v, %v", owner, err)
		}
		for range 2 {
			if err := db.Claimed(t.Context(), ours, at); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Claimed(t.Context(), theirs, at); !errors.Is(err, store.ErrOtherInstallation) {
			t.Errorf("got %v, want ErrOtherInstallation", err)
		}
		if owner, err := db.Owner(t.Context()); err != nil || owner != ours {
			t.Errorf("it belongs to %v, %v; want %v", owner, err, ours)
		}
	})
}
