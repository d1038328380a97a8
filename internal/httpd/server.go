package httpd

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/logx"
)

// Limits of every connection.
const (
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second
	writeTimeout   = 60 * time.Second // streams move it by http.ResponseController
	idleTimeout    = 120 * time.Second
	drainTimeout   = 10 * time.Second
	maxHeaderBytes = 64 << 10
	maxStreams     = 32   // of HTTP/2 at a time
	maxClientBits  = 4096 // of the RSA key of a TLS client
)

// ErrListen is returned when an address cannot be had.
var ErrListen = fault.New(fault.Unavailable, "listen_failed",
	"The server cannot listen on its address.", "Stop what else uses it, or choose another address.")

// Listener is an address that is ours, with what answers there.
type Listener struct {
	name string
	net.Listener
	handler http.Handler
	turned  *atomic.Int64 // nil: it has no limits
}

// Name is the setting that chose its address.
func (l *Listener) Name() string { return l.name }

// TurnedAway tells how many connections were over the limits.
func (l *Listener) TurnedAway() int64 {
	if l.turned == nil {
		return 0
	}
	return l.turned.Load()
}

// Listen takes a TCP address. Name is the setting that chose it, such as
// "--listen", so that a failure names it. With config nil it is plain HTTP.
// Connections over the limits, in all or of one address, are closed at once.
func Listen(name, addr string, config *tls.Config, h http.Handler) (*Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, ErrListen.Saying(fmt.Sprintf("Cannot listen on %s (%s).", addr, name)).With(err)
	}
	crowd := newCrowd(l, connLimit(), maxConnsEach)
	l = crowd
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, config)
	}
	return &Listener{name, l, h, crowd.turned}, nil
}

// ListenUnix takes a socket that only the server's own user can reach. A
// leftover of a server that died is removed; a living server's is not.
func ListenUnix(name, path string, h http.Handler) (*Listener, error) {
	return listenUnix(name, path, 0o600, h)
}

// ListenGroup is ListenUnix for a socket that the group of its folder can
// reach as well.
func ListenGroup(name, path string, h http.Handler) (*Listener, error) {
	return listenUnix(name, path, 0o660, h)
}

func listenUnix(name, path string, mode os.FileMode, h http.Handler) (*Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, ErrListen.Saying("Another server is running on this data directory.")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing old socket: %w", err)
	}
	l, err := listenPrivately(path, mode)
	if err != nil {
		return nil, ErrListen.Saying("Cannot make the socket " + path + ".").With(err)
	}
	return &Listener{name, l, h, nil}, nil
}

// TLS is the configuration of an HTTPS listener whose certificate may be
// exchanged while it runs. With clientCert it asks for one without demanding
// or trusting it: the handler judges. One whose key would make the handshake
// dear ends it.
func TLS(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), clientCert bool) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
	if clientCert {
		c.ClientAuth, c.VerifyPeerCertificate = tls.RequestClientCert, affordable
	}
	return c
}

// affordable refuses a client whose RSA key is larger than any we certify,
// before what it signed is verified.
func affordable(chain [][]byte, _ [][]*x509.Certificate) error {
	if len(chain) == 0 {
		return nil // he has none, which is his right
	}
	c, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxClientBits {
		return fmt.Errorf("client has a key of %d bits", key.N.BitLen())
	}
	return nil
}

// Serve answers on all listeners until ctx ends, then finishes what is under
// way. It returns nil after a drained end, and the first error when a
// listener failed, in which case it stops the others too.
func Serve(ctx context.Context, log *slog.Logger, listeners ...*Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(listeners))
	servers := make([]*http.Server, len(listeners))
	for i, l := range listeners {
		servers[i] = newServer(log, l.handler)
		log.Info("listening", logx.Kind, l.name, logx.Addr, l.Addr().String())
		go func() {
			err := servers[i].Serve(l.Listener)
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			} else {
				stop()
				err = fmt.Errorf("listener %s: %w", l.name, err)
			}
			failed <- err
		}()
	}
	<-ctx.Done()
	log.Info("stopping")
	drain(servers)
	var errs []error
	for range listeners {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

func newServer(log *slog.Logger, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// drain lets running requests end, all servers at once, and cuts off what
// takes too long.
func drain(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	done := make(chan struct{})
	for _, s := range servers {
		go func() {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
			done <- struct{}{}
		}()
	}
	for range servers {
		<-done
	}
}
