package pfxconnector_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
)

const (
	crashDir   = "SIGNET_TEST_CRASH_DIR"
	crashFiles = 12
	crashKills = 10
)

// TestCrashChild is the process that gets killed: it imports one file after
// the other and says so after each.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return // run by TestKilledWhileImporting only
	}
	h := openHouse(t, dir)
	for i := range crashFiles {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		r := h.take(t, pfxconnector.File{Data: data, Password: seal.SecretString(password)})
		if r.Status != pfxconnector.Imported {
			t.Fatalf("got %+v", r)
		}
		fmt.Println("acknowledged", r.Identities[0].Cert)
	}
}

// Killed at any moment: what was acknowledged is there and opens, the rest is
// whole or absent, and importing all again gives each once.
func TestKilledWhileImporting(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for range crashKills {
		dir := t.TempDir()
		alice := openHouse(t, dir).user(t, "alice@example.com")
		var files []pfxconnector.File
		for i := range crashFiles {
			f := made(t, x509.Certificate{KeyUsage: ka}, key)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		acknowledged := killAfter(t, dir, 1+mathrand.IntN(crashFiles/2))

		h := openHouse(t, dir)
		there := map[string]bool{}
		for _, item := range h.list(t, alice) {
			there[item.Cert] = true
			f, err := cert.ParseFingerprint(item.Cert)
			if err != nil {
				t.Fatal(err)
			}
			d, err := h.db.PFX().Deposits(t.Context(), alice.ID, []cert.Fingerprint{f})
			if err != nil || len(d) != 1 || !key.PublicKey.Equal(h.public(t, d[0])) {
				t.Errorf("%s is half there: %d, %v", item.Cert, len(d), err)
			}
		}
		for _, c := range acknowledged {
			if !there[c] {
				t.Errorf("%s was acknowledged and is lost", c)
			}
		}
		unchanged := 0
		for _, f := range files {
			if h.take(t, f).Status == pfxconnector.Unchanged {
				unchanged++
			}
		}
		if unchanged != len(there) || len(h.list(t, alice)) != crashFiles {
			t.Errorf("again: %d unchanged, want %d; %d in the list, want %d", unchanged, len(there), len(h.list(t, alice)), crashFiles)
		}
	}
}

// killAfter runs the child and kills it while it works on the file after the
// n-th; it gives what was acknowledged till then.
func killAfter(t *testing.T, dir string, n int) (acknowledged []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var c string
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %s", &c); err != nil {
			continue
		}
		if acknowledged = append(acknowledged, c); len(acknowledged) == n {
			cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); len(acknowledged) < n { // it may have been faster than the kill
		t.Fatalf("the child died by itself: %d acknowledged, %v", len(acknowledged), err)
	}
	return acknowledged
}
