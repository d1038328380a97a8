package storetest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
)

func testRecovery(t *testing.T, open Open) {
	t.Run("what was exported is there until its time is over", func(t *testing.T) {
		db := open(t)
		file := bytes.Repeat([]byte{0, 1, 2, 255}, 1<<16)
		taken := func(id string, when time.Time) ([]byte, error) {
			e := entry(journal.ExportTaken)
			e.At = when
			return db.Recovery().ExportTaken(t.Context(), id, e)
		}
		if err := db.Recovery().ExportSealed(t.Context(), "c-1", file, at.Add(time.Hour), entry(journal.KeyExported)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a download may break off
			if got, err := taken("c-1", at); err != nil || !bytes.Equal(got, file) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		}
		if _, err := taken("c-2", at); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("another: got %v, want ErrConsentOver", err)
		}
		if _, err := taken("c-1", at.Add(time.Hour)); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("later: got %v, want ErrConsentOver", err)
		}
		if err := db.Recovery().ExportSealed(t.Context(), "c-1", file, at, entry(journal.KeyExported)); err == nil {
			t.Error("stored twice")
		}
		if n, err := db.Access().PagesTidied(t.Context(), at.Add(time.Hour)); n != 1 || err != nil {
			t.Errorf("tidied %d, %v, want 1", n, err)
		}
	})
}
