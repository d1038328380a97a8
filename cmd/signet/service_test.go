package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager that listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) manager {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", addr.Name)
	return manager{t, conn}
}

// hears waits until it is told something.
func (m manager) hears(want string) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 256)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", want, err)
		}
		if strings.Contains(string(b[:n]), want) {
			return
		}
	}
}

func TestServiceManager(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, stop := context.WithCancel(t.Context())
	reloaded := make(chan struct{}, 1)
	service{log: slog.New(slog.DiscardHandler), pulse: &pulse{}, reload: func() error {
		reloaded <- struct{}{}
		return errors.New("no")
	}}.ready(ctx)
	m.hears("READY=1")
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-reloaded
	stop()
	m.hears("STOPPING=1")
}

// A step that hangs is a server that does not live.
func TestWatchdogOfAHangingStep(t *testing.T) {
	m := newManager(t)
	var p pulse
	p.expect(step{name: "seal"}, time.Now().Add(-time.Hour))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	v := service{log: slog.New(slog.DiscardHandler), pulse: &p}
	go func() { v.watchdog(ctx, time.Millisecond); close(done) }()
	time.Sleep(20 * time.Millisecond)
	stop()
	<-done
	v.tell("STATUS=end")
	b := make([]byte, 256)
	n, err := m.conn.Read(b)
	if err != nil || string(b[:n]) != "STATUS=end" {
		t.Errorf("the manager was told %q, %v", b[:n], err)
	}
}
