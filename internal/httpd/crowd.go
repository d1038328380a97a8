package httpd

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// How many connections a TCP listener holds. The total stays well below what
// files the process may have open, so that the database always gets its own.
const (
	maxConns     = 4096
	maxConnsEach = 256
)

// crowd is a listener that closes at once what comes on top of its limits.
type crowd struct {
	net.Listener
	total  *shares // under one key
	shares *shares
	turned *atomic.Int64 // connections that were closed at once
}

const everybody = "*"

func newCrowd(l net.Listener, total, each int64) crowd {
	return crowd{l, newShares(total), newShares(each), new(atomic.Int64)}
}

// connLimit is maxConns, or half of the files that may be open.
func connLimit() int64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur/2 > maxConns {
		return maxConns
	}
	return int64(l.Cur / 2)
}

// Accept implements [net.Listener].
func (c crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave := c.enter(sharer(hostOf(conn.RemoteAddr().String()))); leave != nil {
			return &counted{Conn: conn, leave: leave}, nil
		}
		c.turned.Add(1)
		conn.Close()
	}
}

// enter counts a connection; nil when it is one too many.
func (c crowd) enter(key string) (leave func()) {
	if !c.total.take(everybody, 1) {
		return nil
	}
	if !c.shares.take(key, 1) {
		c.total.give(everybody, 1)
		return nil
	}
	return func() {
		c.shares.give(key, 1)
		c.total.give(everybody, 1)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *counted) Close() error {
	defer c.once.Do(c.leave)
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer so that a client which still sends
// gets to read it.
func (c *counted) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
