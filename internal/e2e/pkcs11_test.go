package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/judge"
)

// TestScriptsPKCS11 plays what needs a binary that was built for tokens, against
// SoftHSM. The ordinary one is there as signet-plain.
func TestScriptsPKCS11(t *testing.T) {
	judge.Need(t, "gcc", "softhsm2-util")
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-tags", "pkcs11", "-o", dir, "github.com/signet-mdm/signet/cmd/signet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	if err := os.Symlink(filepath.Join(build(t), "signet"), filepath.Join(dir, "signet-plain")); err != nil {
		t.Fatal(err)
	}
	playOn(t, dir, "pkcs11", "sqlite", useSoftHSM)
}

// useSoftHSM gives a script a token that nobody initialised yet.
func useSoftHSM(env *testscript.Env) error {
	conf := filepath.Join(env.WorkDir, "softhsm2.conf")
	env.Setenv("SOFTHSM2_CONF", conf)
	env.Setenv("MODULE", "/usr/lib/softhsm/libsofthsm2.so")
	if err := os.Mkdir(filepath.Join(env.WorkDir, "tokens"), 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(env.WorkDir, "tokens"))
	return os.WriteFile(conf, []byte(text), 0o600)
}
