package upstream_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"encoding/pem"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep/upstream"
)

// scepserver of micromdm, as Debian has it, is a server that we did not write.
func TestScepserver(t *testing.T) {
	judge.Need(t, "scepserver")
	dir := t.TempDir()
	judge.Run(t, nil, "scepserver", "ca", "-init", "-depot", dir, "-keySize", "2048", "-organization", "Example")
	port := freePort(t)
	serve(t, "http://127.0.0.1:"+port+"/scep?operation=GetCACaps", "scepserver", "-depot", dir, "-port", port, "-challenge", "CODE-1234", "-allowrenew", "0")
	c := upstream.Config{URL: "http://127.0.0.1:" + port + "/scep", CA: []*x509.Certificate{readPEM(t, filepath.Join(dir, "ca.pem"))}, Now: time.Now}
	if _, err := enroll(t.Context(), upstream.New(c), request(t, "CODE-1234")); !errors.Is(err, upstream.ErrAlgorithms) {
		t.Errorf("without legacy: got %v, want ErrAlgorithms: it replies in DES", err)
	}
	c.Legacy = true
	got, err := enroll(t.Context(), upstream.New(c), request(t, "CODE-1234"))
	if err != nil || got.Subject.CommonName != "Alice Example" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := enroll(t.Context(), upstream.New(c), request(t, "CODE-5678")); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("wrong challenge: got %v, want ErrRefused", err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// serve runs a program until the test ends, and waits until url answers.
func serve(t *testing.T, url, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", program, said)
		}
	})
	for range 200 {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", program)
}

func readPEM(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
