package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/phone"
)

// bombard sends a body of that many megabytes to a path and wants a status:
// `bombard PUT /mdm/checkin 300 413 declared`. Unless its size is declared, the
// server cannot know it beforehand. The server may end the connection before it
// has all, and must do so long before.
func bombard(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: bombard METHOD PATH MEGABYTES STATUS [declared] [HEADER=VALUE]")
	}
	mb, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	body := &zeros{left: mb << 20}
	req, err := http.NewRequest(args[0], address(ts, args[1]), body)
	ts.Check(err)
	for _, a := range args[4:] {
		if a == "declared" {
			req.ContentLength = mb << 20
		} else {
			key, value, _ := strings.Cut(a, "=")
			req.Header.Set(key, value)
		}
	}
	resp, err := insecure().Do(req)
	if sent := body.sent.Load(); sent > mb<<20/4 {
		ts.Fatalf("%s %s: the server took %d of %d MB", args[0], args[1], sent>>20, mb)
	}
	if cutOff(err) {
		return
	}
	ts.Check(err)
	resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[3] {
		ts.Fatalf("%s %s with %d MB: got %s, want %s", args[0], args[1], mb, got, args[3])
	}
}

// cutOff tells that the server ended the connection while it was sent to.
func cutOff(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// zeros is a body whose end the server cannot see.
type zeros struct {
	left int64
	sent atomic.Int64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(z.left, int64(len(p)))
	clear(p[:n])
	z.left -= n
	z.sent.Add(n)
	return int(n), nil
}

// hostile sends property lists that break parsers to both MDM addresses,
// signed by an enrolled phone and by nobody: `hostile a`. Each must be refused
// as a device's fault.
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	p := phoneNamed(ts, args[0])
	ctx, stop := context.WithTimeout(context.Background(), 2*patience)
	defer stop()
	for name, body := range plists() {
		for kind, path := range map[phone.Kind]string{phone.CheckIn: "/mdm/checkin", phone.Connect: "/mdm/connect"} {
			status, _, err := p.Send(ctx, kind, body)
			refused(ts, "signed "+name+" to "+path, len(body) > 1<<20, status, err)
			status, err = put(ctx, address(ts, path), body)
			refused(ts, "unsigned "+name+" to "+path, true, status, err) // nobody reads what strangers send
		}
	}
}

func refused(ts *testscript.TestScript, what string, mayCut bool, status int, err error) {
	if mayCut && cutOff(err) {
		return
	}
	if err != nil {
		ts.Fatalf("%s: %v", what, err)
	}
	if status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge {
		ts.Fatalf("%s: got %d, want 400 or 413", what, status)
	}
	ts.Logf("%d for %s", status, what)
}

func put(ctx context.Context, url string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := insecure().Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// plists are documents that have ended or exhausted property list parsers.
func plists() map[string][]byte {
	const head = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0">`
	xml := func(s string) []byte { return []byte(head + s + "</plist>") }
	nested := func(element string, n int) []byte {
		return xml(strings.Repeat("<"+element+">", n) + strings.Repeat("</"+element+">", n))
	}
	return map[string][]byte{
		"array in itself":            binaryPlist([]byte{0xa1, 0}),
		"dictionary in itself":       binaryPlist([]byte{0xd1, 1, 0}, []byte{0x51, 'k'}),
		"data of 2^40 bytes":         binaryPlist(binary.BigEndian.AppendUint64([]byte{0x4f, 0x13}, 1<<40)),
		"array of 2^31 members":      binaryPlist(binary.BigEndian.AppendUint32([]byte{0xaf, 0x12}, 1<<31)),
		"doubling of 24 levels":      binaryPlist(doubling(24)...),
		"60000 arrays in each other": nested("array", 60000),
		"600000 arrays":              nested("array", 600000),
		"30 MB of nesting":           nested("array", 2000000),
		"500000 members":             xml("<array>" + strings.Repeat("<true/>", 500000) + "</array>"),
		"string of 9 MB":             xml("<dict><key>UDID</key><string>" + strings.Repeat("A", 9<<20) + "</string></dict>"),
		"entities": []byte(`<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>` +
			`<plist><dict><key>MessageType</key><string>&b;</string></dict></plist>`),
		"a file as entity": []byte(`<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY f SYSTEM "file:///etc/passwd">]>` +
			`<plist><dict><key>UDID</key><string>&f;</string></dict></plist>`),
		"UTF-16":         utf16Text(`<?xml version="1.0" encoding="UTF-16"?><plist><dict/></plist>`),
		"unclosed":       []byte(head + "<dict><key>UDID</key>"),
		"no dictionary":  xml("<string>Authenticate</string>"),
		"no text at all": bytes.Repeat([]byte{0}, 4096),
		"nothing":        {},
	}
}

// binaryPlist writes a bplist00 document of the given objects, the first of
// which is the root.
func binaryPlist(objects ...[]byte) []byte {
	out := []byte("bplist00")
	var offsets []byte
	for _, o := range objects {
		offsets = binary.BigEndian.AppendUint16(offsets, uint16(len(out)))
		out = append(out, o...)
	}
	table := uint64(len(out))
	out = append(out, offsets...)
	out = append(out, 0, 0, 0, 0, 0, 0, 2, 1) // sizes of an offset and of a reference
	out = binary.BigEndian.AppendUint64(out, uint64(len(objects)))
	out = binary.BigEndian.AppendUint64(out, 0)
	return binary.BigEndian.AppendUint64(out, table)
}

// doubling gives arrays that hold the next one twice.
func doubling(levels int) (objects [][]byte) {
	for i := range levels {
		objects = append(objects, []byte{0xa2, byte(i + 1), byte(i + 1)})
	}
	return append(objects, []byte{0x09})
}

func utf16Text(s string) []byte {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

type connKey struct{}

// dangling is a connection on which half of a request was said. It gets how
// long the server bore that.
type dangling struct {
	what  string
	ended chan time.Duration
}

// slowest is when the server must have ended it: ten seconds, and what a busy
// machine adds. All its other timeouts are longer.
const slowest = 25 * time.Second

// halfSent opens connections that send half of a request header and stop, and
// later wants them closed by the server: `halfsent open`, `halfsent closed`
func halfSent(ts *testscript.TestScript, neg bool, args []string) {
	conns := ts.Value(connKey{}).(*[]dangling)
	if args[0] == "open" {
		for _, half := range []string{"", "PUT /mdm/checkin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-"} {
			*conns = append(*conns, dangle(ts, half))
		}
		return
	}
	for _, c := range *conns {
		took := <-c.ended
		if took >= slowest {
			ts.Fatalf("%s is still open after %s", c.what, took)
		}
		ts.Logf("%s: closed after %s", c.what, took)
	}
}

func dangle(ts *testscript.TestScript, half string) dangling {
	c, err := tls.Dial("tcp", "127.0.0.1:"+ts.Getenv("PORT"), &tls.Config{InsecureSkipVerify: true})
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	_, err = io.WriteString(c, half)
	ts.Check(err)
	d, since := dangling{fmt.Sprintf("a connection with %d bytes of a header", len(half)), make(chan time.Duration, 1)}, time.Now()
	ts.Check(c.SetReadDeadline(since.Add(slowest)))
	go func() {
		io.Copy(io.Discard, c) // how it ends is not the point
		d.ended <- time.Since(since)
	}()
	return d
}
