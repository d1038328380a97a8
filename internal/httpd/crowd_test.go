package httpd_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
)

// at is a connection of a peer.
type at struct {
	net.Conn
	addr net.Addr
}

func (a at) RemoteAddr() net.Addr { return a.addr }

// crowded hands out connections one by one, each from the address sent.
type crowded struct{ from chan string }

func (c crowded) Accept() (net.Conn, error) {
	addr, ok := <-c.from
	if !ok {
		return nil, net.ErrClosed
	}
	_, ours := net.Pipe()
	return at{ours, &net.TCPAddr{IP: net.ParseIP(addr)}}, nil
}
func (crowded) Close() error   { return nil }
func (crowded) Addr() net.Addr { return &net.TCPAddr{} }

// Connections over the limit of one address, or of all, never reach the
// server; a place is given back once, however often its connection is closed.
func TestConnectionLimits(t *testing.T) {
	from := make(chan string, 16)
	l := httpd.Crowded(crowded{from}, 3, 2)
	accept := func(want string) net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().(*net.TCPAddr).IP.String() != want {
			t.Fatalf("got %v, %v; want a connection of %s", c, err, want)
		}
		return c
	}
	from <- "192.0.2.1"
	first := accept("192.0.2.1")
	from <- "192.0.2.1"
	accept("192.0.2.1")
	from <- "192.0.2.1" // over the share of its address
	from <- "2001:db8::1"
	other := accept("2001:db8::1")
	first.Close()
	first.Close() // gives back one place, not two: only one more gets in
	from <- "198.51.100.1"
	accept("198.51.100.1")
	from <- "203.0.113.1" // over the total
	close(from)
	if c, err := l.Accept(); err == nil {
		t.Errorf("got a connection of %s over the total", c.RemoteAddr())
	}
	if n := l.TurnedAway(); n != 2 {
		t.Errorf("%d turned away, want 2", n)
	}
	other.Close()
}

// What is too much is closed at once, so that its peer need not wait.
func TestExcessConnectionsAreClosed(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	l := httpd.Crowded(tcp, 8, 1)
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := dial()
	defer first.Close()
	kept := <-accepted
	second := dial()
	defer second.Close()
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the second connection: got %d bytes, %v; want its end", n, err)
	}
	kept.Close()
	if _, err := io.ReadAll(first); err != nil {
		t.Error(err)
	}
	third := dial()
	defer third.Close()
	(<-accepted).Close()
}

// The listeners of the server have these limits.
func TestListenHasLimits(t *testing.T) {
	addr, _ := start(t, http.NotFoundHandler())
	for n := range httpd.ConnsEach + 1 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		defer c.Close()
		if n < httpd.ConnsEach {
			continue
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) // under that of the server
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many: got %v, want its end", err)
		}
	}
}

// A TLS client with a key that makes verification dear does not get to sign.
func TestLargeClientKeys(t *testing.T) {
	pair := httptest.NewTLSServer(nil)
	pair.Close()
	config := httpd.TLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair.TLS.Certificates[0], nil }, true)
	for bits, ok := range map[int]bool{2048: true, 4104: false} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		go func() {
			client.Handshake()
			io.Copy(io.Discard, client)
		}()
		if err := tls.Server(theirs, config).Handshake(); (err == nil) != ok {
			t.Errorf("%d bits: got %v", bits, err)
		}
		ours.Close()
		theirs.Close()
	}
}

// A connection of HTTP/2 is told how many requests it may have open.
//
// Spec: RFC 9113 section 6.5
func TestStreamsOfAConnection(t *testing.T) {
	pair := httptest.NewTLSServer(nil)
	pair.Close()
	own := &pair.TLS.Certificates[0]
	l, err := httpd.Listen("--listen", "127.0.0.1:0",
		httpd.TLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }, false), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- httpd.Serve(ctx, discard(), l) }()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil || head[3] != 4 {
		t.Fatalf("got frame %x, %v; want SETTINGS", head, err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(c, settings); err != nil {
		t.Fatal(err)
	}
	got := uint32(0)
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 3 {
			got = binary.BigEndian.Uint32(settings[2:])
		}
	}
	if got != httpd.Streams {
		t.Errorf("got %d streams, want %d", got, httpd.Streams)
	}
	c.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
