package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
)

// A different libc may break the driver at run time; modernc asks for exactly
// the version that its own go.mod names.
func TestLibcInLockstep(t *testing.T) {
	ours := required(t, "../../go.mod", "modernc.org/libc")
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "modernc.org/sqlite").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	theirs := required(t, filepath.Join(strings.TrimSpace(string(dir)), "go.mod"), "modernc.org/libc")
	if ours != theirs || ours == "" {
		t.Errorf("modernc.org/libc: go.mod has %q, modernc.org/sqlite wants %q", ours, theirs)
	}
}

func required(t *testing.T, file, module string) string {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && fields[0] == module {
			return fields[1]
		}
	}
	return ""
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet.db")
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if _, err := store.OpenSQLite(t.Context(), path); !errors.Is(err, store.ErrSchemaNewer) {
		t.Errorf("got %v, want ErrSchemaNewer", err)
	}
}

// A path with characters that mean something in a URL is still that path.
func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20.db")
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the database is elsewhere: %v", err)
	}
}

// Two processes on one file: nobody's write is lost.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet.db")
	const each = 50
	var wg sync.WaitGroup
	for range 2 {
		db, err := store.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		wg.Go(func() {
			for range each {
				e := journal.Entry{At: time.Now(), Actor: journal.Worker("t"), Action: journal.DeviceReported}
				if err := db.Journal().Record(context.Background(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if list, err := db.Journal().Latest(t.Context(), 1000); err != nil || len(list) != 2*each {
		t.Errorf("got %d entries, %v; want %d", len(list), err, 2*each)
	}
}
