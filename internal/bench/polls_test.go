package bench

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// What one round of polls is: DESIGN compares 2000.
const (
	devices = 20
	polls   = 2000
	lines   = 4 // connections at a time
	rounds  = 5
)

// BenchmarkPolls compares polls that find nothing, each with its signature
// checked, with nanomdm's file store: the same messages of the same phones, in
// alternating rounds. NANOMDM names nanomdm's binary; without it there is no
// ratio. signet speaks TLS meanwhile, nanomdm plain HTTP.
func BenchmarkPolls(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkPolls(b) })
	b.Run("MariaDB", func(b *testing.B) {
		dsn := filepath.Join(b.TempDir(), "dsn")
		server := mariadbtest.New(b) // with every commit on disk
		if err := os.WriteFile(dsn, []byte(server.Database(b)), 0o600); err != nil {
			b.Fatal(err)
		}
		benchmarkPolls(b, "SIGNET_DATABASE_DSN_FILE="+dsn)
	})
}

func benchmarkPolls(b *testing.B, settings ...string) {
	s := install(b, append(settings, "SIGNET_ENROLL_AUTH=lab")...)
	s.start()
	phones := s.enroll(devices)
	signet := &target{name: "signet", url: s.url() + "/mdm/connect", pid: s.run.Process.Pid}
	targets := []*target{signet}
	nano := startNanoMDM(b, s, phones)
	if nano != nil {
		targets = append(targets, nano)
	}
	for b.Loop() {
		for range rounds {
			for _, t := range targets {
				t.round(b, phones)
			}
		}
	}
	for _, t := range targets {
		b.ReportMetric(float64(median(t.wall).Milliseconds()), t.name+"-ms/2000")
		b.ReportMetric(float64(median(t.cpu).Milliseconds()), t.name+"-cpu-ms/2000")
	}
	if nano != nil {
		b.ReportMetric(float64(median(signet.wall))/float64(median(nano.wall)), "ratio(bar:0.51)")
	}
	b.ReportMetric(0, "ns/op")
}

// target is a server that is polled.
type target struct {
	name string
	url  string
	pid  int
	wall []time.Duration
	cpu  []time.Duration
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// round polls once through.
func (t *target) round(b *testing.B, phones []enrolled) {
	before, begin := cpu(b, t.pid), time.Now()
	var group sync.WaitGroup
	for line := range lines {
		group.Go(func() {
			transport := insecure()
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: patience}
			for i := line; i < polls; i += lines {
				send(b, c, t.url, phones[i%len(phones)].idle)
			}
		})
	}
	group.Wait()
	t.wall = append(t.wall, time.Since(begin))
	t.cpu = append(t.cpu, cpu(b, t.pid)-before)
}

// startNanoMDM runs nanomdm with the same phones enrolled; nil without a binary.
func startNanoMDM(b *testing.B, s *server, phones []enrolled) *target {
	bin := os.Getenv("NANOMDM")
	if bin == "" {
		return nil
	}
	dir, addr := b.TempDir(), freeAddress(b)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, slices.Concat(s.signet("ca", "export", "root"), s.signet("ca", "export", "device")), 0o600); err != nil {
		b.Fatal(err)
	}
	c := exec.Command(bin, "-ca", ca, "-api", "bench", "-listen", addr, "-storage", "file", "-storage-dsn", filepath.Join(dir, "db"), "-storage-options", "enable_deprecated=1")
	c.Stderr = &bytes.Buffer{}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { end(b, c) })
	awaitTCP(b, addr)
	t := &target{name: "nanomdm", url: "http://" + addr + "/mdm", pid: c.Process.Pid}
	for _, p := range phones {
		send(b, http.DefaultClient, t.url, p.authenticate)
		send(b, http.DefaultClient, t.url, p.token)
	}
	return t
}

func awaitTCP(b *testing.B, addr string) {
	b.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
	}
	b.Fatalf("%s does not listen", addr)
}

// BenchmarkReady is how long it takes from the start of the process until the
// server answers.
func BenchmarkReady(b *testing.B) {
	s := install(b)
	var took []time.Duration
	for b.Loop() {
		for range 9 {
			took = append(took, s.start())
			s.stop()
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median(bar:200)")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-slowest")
	b.ReportMetric(0, "ns/op")
}
