package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/logx"
)

// tlsCheck is how often the certificate file is looked at.
const tlsCheck = time.Minute

// tlsFiles is a certificate that its owner renews under our feet: the file is
// read anew when it changed, and the old one stays while the new is wrong.
type tlsFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the file that is current
	looked  time.Time
}

// get is tls.Config.GetCertificate.
func (f *tlsFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < tlsCheck {
		return f.current, nil
	}
	f.looked = time.Now()
	err := f.read()
	if err != nil && f.current == nil {
		return nil, err
	}
	if err != nil {
		f.log.Error("the new TLS certificate cannot be used, the old one stays", logx.Err, err)
	}
	return f.current, nil
}

// reread reads the files whether they seem to have changed or not.
func (f *tlsFiles) reread() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked, f.changed = time.Now(), time.Time{}
	return f.read()
}

func (f *tlsFiles) read() error {
	info, err := os.Stat(f.cert)
	if err != nil {
		return fmt.Errorf("reading tls.cert: %w", err)
	}
	if f.current != nil && info.ModTime().Equal(f.changed) {
		return nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("reading tls.cert and tls.key: %w", err)
	}
	f.current, f.changed = &c, info.ModTime()
	return nil
}
