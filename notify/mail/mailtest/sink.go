// Package mailtest has a mail server for tests: it takes mails over STARTTLS
// or TLS, keeps them, and can be told to misbehave.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Behaviour is what the server does that is not taking mails.
type Behaviour struct {
	NoTLS     bool                                      // it offers no STARTTLS
	FromStart bool                                      // TLS from the first byte
	Name      string                                    // in its certificate; "": 127.0.0.1
	Expired   bool                                      // its certificate
	Password  string                                    // that it wants, of any user; "": no login
	Answer    func(stage string, n int) *smtp.SMTPError // at mail, rcpt, data and end, of the nth mail (from 1); nil: yes
	Hang      bool                                      // it never answers after the end of a mail
	Drop      bool                                      // it takes a mail and closes the connection instead of saying so
}

// Message is a mail that was taken.
type Message struct {
	From string
	To   []string
	Data []byte
	TLS  bool
}

// Sink is the server.
type Sink struct {
	Behaviour
	Addr string // host:port
	CA   []byte // PEM, of its certificate

	server *smtp.Server
	ended  chan struct{}

	mu    sync.Mutex
	mails int // that were begun
	taken []Message
	conns int
}

// Listen starts a server on loopback.
func Listen(b Behaviour) (*Sink, error) {
	s := &Sink{Behaviour: b, ended: make(chan struct{})}
	pair, err := s.certificate()
	if err != nil {
		return nil, fmt.Errorf("making the mail server's certificate: %w", err)
	}
	s.server = smtp.NewServer(smtp.BackendFunc(s.session))
	s.server.Domain, s.server.MaxMessageBytes, s.server.MaxRecipients = "mail.example.org", 10<<20, 10
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if !b.NoTLS {
		s.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for mails: %w", err)
	}
	s.Addr = l.Addr().String()
	l = &counting{l, s}
	if b.FromStart {
		l = tls.NewListener(l, s.server.TLSConfig)
	}
	go s.server.Serve(l) // ends with Close
	return s, nil
}

// Close ends the server with all its connections.
func (s *Sink) Close() {
	close(s.ended)
	s.server.Close()
}

// Messages gives what was taken so far.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message{}, s.taken...)
}

// Connections tells how many there were.
func (s *Sink) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Behave changes what the server answers from now on.
func (s *Sink) Behave(answer func(stage string, n int) *smtp.SMTPError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Answer = answer
}

func (s *Sink) certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	until := time.Now().Add(time.Hour)
	if s.Expired {
		until = time.Now().Add(-time.Minute)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test mail server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if s.Name != "" {
		c.DNSNames = []string{s.Name}
	} else {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (s *Sink) session(c *smtp.Conn) (smtp.Session, error) {
	return &session{sink: s, conn: c}, nil
}

// counting counts connections.
type counting struct {
	net.Listener
	sink *Sink
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	l.sink.conns++
	return c, nil
}

// session is one connection.
type session struct {
	sink    *Sink
	conn    *smtp.Conn
	known   bool // it logged in
	message Message
	n       int
}

func (c *session) answer(stage string) error {
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	if c.sink.Answer == nil {
		return nil
	}
	if e := c.sink.Answer(stage, c.n); e != nil {
		return e
	}
	return nil
}

// AuthMechanisms implements [smtp.AuthSession].
func (c *session) AuthMechanisms() []string {
	if c.sink.Password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements [smtp.AuthSession].
func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, password string) error {
		if c.known = password == c.sink.Password; !c.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// Mail implements [smtp.Session].
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	c.sink.mu.Lock()
	c.sink.mails++
	c.n = c.sink.mails
	c.sink.mu.Unlock()
	if c.sink.Password != "" && !c.known {
		return smtp.ErrAuthRequired
	}
	_, secure := c.conn.TLSConnectionState()
	c.message = Message{From: from, TLS: secure}
	return c.answer("mail")
}

// Rcpt implements [smtp.Session].
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := c.answer("rcpt"); err != nil {
		return err
	}
	c.message.To = append(c.message.To, to)
	return nil
}

// Data implements [smtp.Session].
func (c *session) Data(r io.Reader) error {
	if err := c.answer("data"); err != nil {
		return err
	}
	var data bytes.Buffer
	if _, err := io.Copy(&data, r); err != nil {
		return err
	}
	if err := c.answer("end"); err != nil {
		return err
	}
	if c.sink.Hang {
		<-c.sink.ended
		return errors.New("ended")
	}
	c.message.Data = data.Bytes()
	c.sink.mu.Lock()
	c.sink.taken = append(c.sink.taken, c.message)
	c.sink.mu.Unlock()
	if c.sink.Drop {
		c.conn.Close()
	}
	return nil
}

// Reset implements [smtp.Session].
func (c *session) Reset() { c.message = Message{} }

// Logout implements [smtp.Session].
func (*session) Logout() error { return nil }
