package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// link is the connection below a conversation, so that it can be bounded and
// cut.
type link struct {
	server *Server
	conn   net.Conn
}

// dial connects, and encrypts at once where that is the way.
func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	conn = &bounded{conn, mostSaid}
	if l.server.Security != TLS {
		return conn, nil
	}
	encrypted := tls.Client(conn, l.server.tls())
	if err := encrypted.HandshakeContext(ctx); err != nil {
		l.close()
		return nil, err
	}
	return encrypted, nil
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// cutWhen cuts the connection when ctx ends, until what it gives is called.
func (l *link) cutWhen(ctx context.Context) (stop func()) {
	cancel := context.AfterFunc(ctx, l.close)
	return func() { cancel() }
}

// mostSaid bounds what a server may say on one connection, in bytes.
const mostSaid = 1 << 20

var errTalkative = errors.New("the mail server says too much")

// bounded reads that many bytes and not more.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTalkative
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
