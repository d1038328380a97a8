package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// importUsers is among how many people the imported files are divided.
const importUsers = 100

// BenchmarkImportRun is a whole run of signet pfx import, server and durable
// writes of SQLite included, at two sizes: the memory of who imports must not
// grow with the number of files. Deriving keys takes the files next to nothing,
// so the time is the overhead. SIGNET_BENCH_FILES sets the larger size.
func BenchmarkImportRun(b *testing.B) {
	most := 100_000
	if n, err := strconv.Atoi(os.Getenv("SIGNET_BENCH_FILES")); err == nil {
		most = n
	}
	s := install(b)
	s.start()
	password := filepath.Join(b.TempDir(), "password")
	if err := os.WriteFile(password, []byte("p"), 0o600); err != nil {
		b.Fatal(err)
	}
	for n := range importUsers {
		s.signet("user", "add", importUser(n))
	}
	for b.Loop() {
		for _, n := range []int{most / 10, most} {
			s.importRun(password, pfxFolder(b, n), n)
		}
	}
	b.ReportMetric(peak(b, s.run.Process.Pid), "server-peak-MB")
	b.ReportMetric(0, "ns/op")
}

func importUser(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// importRun imports a folder of n files and reports how it went.
func (s *server) importRun(password, folder string, n int) {
	s.b.Helper()
	before, begin := cpu(s.b, s.run.Process.Pid), time.Now()
	c := s.command("pfx", "import", "--password-file", password, folder)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d identities imported, 0 unchanged, 0 refused", n)) {
		s.b.Fatalf("importing: %v\n%.2000s", err, out)
	}
	took, used := time.Since(begin), c.ProcessState.SysUsage().(*syscall.Rusage)
	own := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }
	s.b.Logf("%d files: %v, %.0f a second; processor per file: importer %.2f ms, server %.2f ms; importer's peak %d MB",
		n, took.Round(time.Second), float64(n)/took.Seconds(), each(own), each(cpu(s.b, s.run.Process.Pid)-before), used.Maxrss/1000)
	s.b.ReportMetric(float64(used.Maxrss)/1000, fmt.Sprintf("peak-MB-at-%d", n))
	s.b.ReportMetric(each(took), fmt.Sprintf("ms/file-at-%d", n))
}

// pfxFolder writes n files, each with a certificate of its own, for a few keys.
func pfxFolder(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		der, err := certificateFor(i, key)
		if err != nil {
			b.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		file, err := pkcs12.Modern.WithIterations(1).Encode(key, c, nil, "p")
		if err != nil {
			b.Fatal(err)
		}
		name := filepath.Join(dir, strconv.Itoa(i/1000), strconv.Itoa(i)+".p12")
		if i%1000 == 0 {
			err = os.Mkdir(filepath.Dir(name), 0o700)
		}
		if err == nil {
			err = os.WriteFile(name, file, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func certificateFor(i int, key *ecdsa.PrivateKey) ([]byte, error) {
	begin := time.Now().Add(-time.Duration(i) * time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "User"},
		NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{importUser(i % importUsers)}}
	return x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
}

// peak is the most memory a process has ever used, in MB.
func peak(b *testing.B, pid int) float64 {
	b.Helper()
	for line := range strings.Lines(procFile(b, pid, "status")) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1000
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
