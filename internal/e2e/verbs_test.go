package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

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

// bombard sends a body of that many megabytes to a path, without end in sight
// for the server, and wants a status: `bombard PUT /mdm/checkin 300 413`
func bombard(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: bombard METHOD PATH MEGABYTES STATUS")
	}
	mb, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the size is on trial here, not the certificate
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], io.LimitReader(zeros{}, mb<<20))
	ts.Check(err)
	req.Header.Set("Mdm-Signature", "AAAA")
	resp, err := client.Do(req)
	if err != nil {
		// The server may close the connection as soon as it has answered.
		if strings.Contains(err.Error(), "broken pipe") || strings.Contains(err.Error(), "reset") {
			return
		}
		ts.Fatalf("%v", err)
	}
	resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[3] {
		ts.Fatalf("%s %s with %s MB: got %s, want %s", args[0], args[1], args[2], got, args[3])
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// rss fails when the process whose number is in the file uses more memory
// than that many megabytes: `rss FILE 200`
func rss(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := strconv.Atoi(args[1])
	ts.Check(err)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", strings.TrimSpace(ts.ReadFile(args[0]))))
	ts.Check(err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			ts.Check(err)
			if kb>>10 > limit {
				ts.Fatalf("peak memory: %d MB, want at most %d", kb>>10, limit)
			}
			return
		}
	}
	ts.Fatalf("no VmHWM line")
}
