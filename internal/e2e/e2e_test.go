// Package e2e plays the user stories in testdata/e2e against the real binary:
// real TLS on loopback, real files, the simulated iPhone, and other people's
// programs as judges. One script per story and per closed hole.
//
// A script is testscript with verbs of ours. `phone` is in phone_test.go, what
// attacks the server in hostile_test.go, what looks for secrets in
// leaks_test.go, the small ones in verbs_test.go.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/testdata"
)

// TestMain lets more scripts run at a time than there are cores: they wait for
// servers and phones more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	status := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

// The same stories on both databases, but for those that are about clients,
// mail, pages, files and listeners: see [condition].
func TestScripts(t *testing.T)        { play(t, "e2e", "sqlite", nil) }
func TestScriptsMariaDB(t *testing.T) { play(t, "e2e", "mariadb", useMariaDB) }

// What only happens when the database is another machine.
func TestScriptsOwnMariaDB(t *testing.T) { play(t, "mariadb", "mariadb", useOwnMariaDB) }

// play plays the scripts of a folder on that kind of database.
func play(t *testing.T, folder, kind string, prepare func(*testscript.Env) error) {
	playOn(t, build(t), folder, kind, prepare)
}

// playOn plays them with the binary in that folder.
func playOn(t *testing.T, bin, folder, kind string, prepare func(*testscript.Env) error) {
	judge.Need(t, "openssl")
	shop := &workshop{bin: bin, dir: t.TempDir()}
	if kind == "mariadb" {
		shop.dsn = mariadbtest.Database(t)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", folder),
		RequireExplicitExec: true,
		Condition:           func(name string) (bool, error) { return condition(name, kind) },
		Setup: func(env *testscript.Env) error {
			if prepare != nil {
				if err := prepare(env); err != nil {
					return err
				}
			}
			return setup(env, bin)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"phone":    phoneVerb,
			"apple":    appleVerb,
			"intune":   intuneVerb,
			"issuer":   issuerVerb,
			"bao":      baoVerb,
			"otherca":  otherCAVerb,
			"minute":   minute,
			"browser":  browserVerb,
			"history":  shop.history,
			"ready":    ready,
			"need":     need,
			"fails":    fails,
			"jsonenv":  jsonEnv,
			"pem":      pemCerts,
			"request":  request,
			"sql":      sqlVerb,
			"lapse":    lapse,
			"mariadb":  mariadbVerb,
			"revoked":  revoked,
			"rows":     rows,
			"leaks":    leaks,
			"memory":   memory,
			"mailbox":  mailboxVerb,
			"bombard":  bombard,
			"hostile":  hostile,
			"halfsent": halfSent,
			"rss":      rss,
			"volume":   volume,
		},
	})
}

// condition knows [race], since the race detector makes everything larger and
// slower, the databases, [sqlite] and [mariadb], and [again]: this is the second
// database of a story about what lies above it. SIGNET_TEST_SOAK=1 plays those
// there too.
func condition(name, kind string) (bool, error) {
	switch name {
	case "race":
		return raceEnabled, nil
	case "sqlite", "mariadb":
		return name == kind, nil
	case "again":
		return kind == "mariadb" && os.Getenv("SIGNET_TEST_SOAK") != "1", nil
	}
	return false, fmt.Errorf("no such condition: %s", name)
}

// raceEnabled asks for a binary with the race detector. It is off by default:
// key derivations take ten times as long with it, and the rooms' own tests run
// under it anyway.
var raceEnabled = os.Getenv("SIGNET_E2E_RACE") == "1"

// built is the folder of the binary, which the first test that needs it makes.
var built struct {
	sync.Once
	dir string
	err error
}

func build(t *testing.T) string {
	t.Helper()
	built.Do(func() { built.dir, built.err = compile() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func compile() (string, error) {
	dir, err := os.MkdirTemp("", "signet-e2e-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", dir, "github.com/signet-mdm/signet/cmd/signet"}
	if raceEnabled {
		args = append(args[:1:1], append([]string{"-race"}, args[1:]...)...)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building: %w\n%s", err, out)
	}
	return dir, nil
}

// setup gives each script the binary, three free ports and Alice's history.
func setup(env *testscript.Env, bin string) error {
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SIGNET_DATA", filepath.Join(env.WorkDir, "data"))
	for _, name := range []string{"PORT", "HTTP_PORT", "OPS_PORT"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv(name, port)
	}
	env.Setenv("URL", "https://127.0.0.1:"+env.Getenv("PORT"))
	env.Setenv("HTTP", "http://127.0.0.1:"+env.Getenv("HTTP_PORT"))
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each run of the binary takes a second longer
	env.Values[phonesKey{}] = phones{}
	env.Values[appleKey{}] = &appleHome{}
	env.Values[intuneKey{}] = &tenant{}
	env.Values[issuerKey{}] = &provider{}
	env.Values[baoKey{}] = &vault{}
	env.Values[otherCAKey{}] = &otherCA{}
	env.Values[connKey{}] = &[]dangling{}
	env.Values[mailboxKey{}] = &mailbox{}
	env.Values[testKey{}] = env.T()
	env.Values[windowsKey{}] = &windows{}
	return fixtures(env.WorkDir)
}

func fixtures(dir string) error {
	files := map[string][]byte{"old-mail.eml": testdata.OldMail(), "old-mail.txt": []byte(testdata.OldMailText())}
	for _, f := range testdata.History() {
		files["history/"+f.Name] = f.Data
		files["history/"+f.Name+".password"] = []byte(f.Password + "\n")
	}
	if err := os.Mkdir(filepath.Join(dir, "history"), 0o700); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// portsGiven are the ports that were given out: a script opens its own later.
var portsGiven sync.Map

// freePort gives a port that nothing listens on. It lies below those that
// systems give to whoever asks for any, so that no other test gets it meanwhile.
func freePort() (string, error) {
	for range 1000 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := portsGiven.LoadOrStore(port, true); !taken {
			return port, nil
		}
	}
	return "", errors.New("no free port")
}

// ready waits until the server answers on its socket: it does when every
// address is taken.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	socket := filepath.Join(ts.Getenv("SIGNET_DATA"), "signet.sock")
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://signet/", nil)
		ts.Check(err)
		resp, err := t.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
			return
		}
		if ctx.Err() != nil {
			ts.Fatalf("nobody answers on %s: %v", socket, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type testKey struct{}

// need skips the script when a program is missing, as judge.Need does.
func need(ts *testscript.TestScript, neg bool, args []string) {
	judge.Need(ts.Value(testKey{}).(testing.TB), args...)
}
