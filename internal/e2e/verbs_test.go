package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fails runs a program that must end with that exit status:
// `fails 3 signet pfx import FILE`
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: fails STATUS PROGRAM [ARGUMENT…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		ts.Fatalf("%s: %v, want exit status %s", args[1], err, args[0])
	}
	if got := strconv.Itoa(exit.ExitCode()); got != args[0] {
		ts.Fatalf("%s: got exit status %s, want %s", args[1], got, args[0])
	}
}

// jsonEnv sets a variable from a JSON file: `jsonenv LINK stdout link`. The
// path may go into objects and arrays: devices.0.id
func jsonEnv(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: jsonenv VARIABLE FILE PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for part := range strings.SplitSeq(args[2], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(at) {
				ts.Fatalf("jsonenv: no element %s", part)
			}
			v = at[i]
		default:
			ts.Fatalf("jsonenv: nothing at %s", part)
		}
	}
	s, ok := v.(string)
	if !ok {
		ts.Fatalf("jsonenv: %s is %T, not a string", args[2], v)
	}
	ts.Setenv(args[0], s)
}

// pemCerts turns DER certificates into a PEM file: `pem OUT IN…`
func pemCerts(ts *testscript.TestScript, neg bool, args []string) {
	var out bytes.Buffer
	for _, f := range args[1:] {
		ts.Check(pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: []byte(ts.ReadFile(f))}))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}

// insecure is for what does not prove the server: its size, its refusals.
func insecure() *http.Client {
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// address completes a path: `$URL` goes in front unless it is an address.
func address(ts *testscript.TestScript, path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return ts.Getenv("URL") + path
}

// request sends one request, wants a status, and prints the answer or leaves
// it in a file: `request GET /api/v1/users 200 token=FILE body=FILE out=FILE`
func request(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: request METHOD PATH STATUS [body=FILE] [token=FILE] [out=FILE] [HEADER=VALUE]")
	}
	var body io.Reader
	out := ""
	header := http.Header{}
	for _, a := range args[3:] {
		switch key, value, _ := strings.Cut(a, "="); key {
		case "body":
			body = strings.NewReader(ts.ReadFile(value))
		case "token":
			header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(value)))
		case "out":
			out = value
		default:
			header.Set(key, value)
		}
	}
	req, err := http.NewRequest(args[0], address(ts, args[1]), body)
	ts.Check(err)
	req.Header = header
	if h := header.Get("Host"); h != "" {
		req.Host = h
	}
	resp, err := insecure().Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	ts.Check(err)
	if out != "" {
		ts.Check(os.WriteFile(ts.MkAbs(out), answer, 0o600))
	} else {
		fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	}
	if got := strconv.Itoa(resp.StatusCode); got != args[2] {
		ts.Fatalf("%s %s: got %s, want %s\n%s", args[0], args[1], got, args[2], answer)
	}
}

// revoked waits until a certificate is on the list that its issuer publishes:
// `revoked FILE smime`
func revoked(ts *testscript.TestScript, neg bool, args []string) {
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s is no certificate", args[0])
	}
	c, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(pause) {
		resp, err := insecure().Get(address(ts, "/pki/"+args[1]+".crl"))
		ts.Check(err)
		der, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		list, err := x509.ParseRevocationList(der)
		ts.Check(err)
		for _, e := range list.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return
			}
		}
	}
	ts.Fatalf("%s is not on the list of %s", args[0], args[1])
}

// rss fails when the process whose number is in the file has ever used more
// memory than that many megabytes: `rss FILE 200`
func rss(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.Atoi(args[1])
	ts.Check(err)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", strings.TrimSpace(ts.ReadFile(args[0]))))
	ts.Check(err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			ts.Check(err)
			ts.Logf("peak memory: %d MB", kb>>10)
			if kb>>10 > limit {
				ts.Fatalf("peak memory: %d MB, want at most %d", kb>>10, limit)
			}
			return
		}
	}
	ts.Fatalf("no VmHWM line")
}

// pause is between two looks at something that is awaited.
const pause = 50 * time.Millisecond
