// Package bench measures the binary as it is installed, beside its peers where
// there are any. Everything is a benchmark that prints figures and ratios;
// nothing here fails for being slow. `make bench` runs it.
package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = time.Minute

// built is the folder with the binary, "" until somebody wants it.
var built string

// binary builds signet once.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if built, err = os.MkdirTemp("", "signet-bench"); err != nil {
		return "", err
	}
	path := filepath.Join(built, "signet")
	out, err := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/signet-mdm/signet/cmd/signet").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// TestMain takes the binary away again.
func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

// server is one installation of signet and its process, while it runs.
type server struct {
	b    *testing.B
	bin  string
	data string
	addr string
	env  []string
	run  *exec.Cmd
}

// install initialises a data directory; settings are NAME=value for signet.
func install(b *testing.B, settings ...string) *server {
	b.Helper()
	bin, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	s := &server{b: b, bin: bin, data: filepath.Join(b.TempDir(), "data"), addr: freeAddress(b), env: append(os.Environ(), settings...)}
	s.signet("init", "--url", s.url(), "--listen", s.addr, "--organization", "Example")
	return s
}

func (s *server) url() string { return "https://" + s.addr }

// signet runs a command on the data directory and gives what it prints.
func (s *server) signet(args ...string) []byte {
	s.b.Helper()
	var stderr bytes.Buffer
	c := s.command(args...)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		s.b.Fatalf("signet %s: %v\n%s", args[0], err, stderr.String())
	}
	return out
}

// field runs a command with -o json and gives a field of the answer.
func (s *server) field(name string, args ...string) string {
	s.b.Helper()
	var v map[string]any
	if err := json.Unmarshal(s.signet(append(args, "-o", "json")...), &v); err != nil {
		s.b.Fatal(err)
	}
	text, _ := v[name].(string)
	return text
}

func (s *server) command(args ...string) *exec.Cmd {
	c := exec.Command(s.bin, append(args, "--data", s.data)...)
	c.Env = s.env
	return c
}

// start runs the server until stop, and returns how long it took until a TLS
// handshake succeeded.
func (s *server) start() time.Duration {
	s.b.Helper()
	s.run = s.command("serve")
	s.run.Stderr = &bytes.Buffer{}
	begin := time.Now()
	if err := s.run.Start(); err != nil {
		s.b.Fatal(err)
	}
	s.b.Cleanup(s.stop)
	return awaitTLS(s.b, s.addr, begin)
}

func awaitTLS(b *testing.B, addr string, begin time.Time) time.Duration {
	b.Helper()
	for time.Since(begin) < patience {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
			return time.Since(begin)
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatalf("%s is not ready after %v", addr, patience)
	return 0
}

// stop ends the server as an administrator would. Twice does no harm.
func (s *server) stop() {
	if s.run == nil {
		return
	}
	end(s.b, s.run)
	s.run = nil
}

// end asks a process to go, and makes it go when it does not.
func end(b *testing.B, c *exec.Cmd) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kill := context.AfterFunc(ctx, func() { c.Process.Kill() })
	defer kill()
	c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil && ctx.Err() != nil {
		b.Errorf("process %d had to be killed: %v", c.Process.Pid, err)
	}
}

// cpu is the processor time a process has used so far.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat := procFile(b, pid, "stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const utime, stime = 11, 12 // counted behind the name
	ticks := 0
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// cpuOfSelf is the processor time this process has used so far.
func cpuOfSelf(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is the memory a process has in use, in MB.
func rss(b *testing.B, pid int) float64 {
	b.Helper()
	for line := range strings.Lines(procFile(b, pid, "status")) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1000
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

func procFile(b *testing.B, pid int, name string) string {
	b.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
