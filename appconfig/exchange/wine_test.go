package exchange_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/appconfig/exchange"
)

// TestCrypt32 lets Wine's crypt32 open a store. Wine takes long to start, so
// this is asked for: SIGNET_TEST_WINE=1, with wine, wine64 and
// gcc-mingw-w64-x86-64 of Debian. Wine reports a store that it cannot read as
// an empty one, so the numbers count.
func TestCrypt32(t *testing.T) {
	if os.Getenv("SIGNET_TEST_WINE") != "1" {
		t.Skip("SIGNET_TEST_WINE is not 1")
	}
	dir := t.TempDir()
	env := append(os.Environ(), "WINEDEBUG=-all", "WINEPREFIX="+filepath.Join(dir, "wine"), "WINEARCH=win64", "DISPLAY=")
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), name, args...)
		c.Env = env
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return strings.ReplaceAll(string(out), "\r\n", "\n")
	}
	program, store := filepath.Join(dir, "crypt32.exe"), filepath.Join(dir, "cas.sst")
	run("x86_64-w64-mingw32-gcc", "-municode", "-o", program, "testdata/crypt32.c", "-lcrypt32")
	run("wine", "wineboot", "-i")
	end := exec.Command("wineserver", "-k") // which may have ended by itself
	end.Env = env
	defer end.Run()
	root := newCA(t, "Root", nil)
	for _, list := range [][]*x509.Certificate{nil, {root.cert}, {newCA(t, "Sub", root).cert, root.cert}} {
		if err := os.WriteFile(store, exchange.SST(list), 0o600); err != nil {
			t.Fatal(err)
		}
		n := string(rune('0' + len(list)))
		if got, want := run("wine", program, store), "file "+n+"\nserialized "+n+"\ncontent 4\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
