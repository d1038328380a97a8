// Package mail gives mails to a mail server: it writes messages and speaks
// SMTP.
//
// It promises that nothing is sent over a connection that is not encrypted to
// a server whose certificate was verified, unless the server is this machine
// itself and that was asked for; that no text of others becomes a header or a
// command; and that a server which hangs, breaks off or says too much costs a
// bounded time and memory. Start at [Server.Dial].
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
)

// Security is how a connection is encrypted.
type Security string

// The ways. There is none that encrypts when it happens to work.
const (
	StartTLS Security = "starttls"
	TLS      Security = "tls"  // from the first byte
	Clear    Security = "none" // to this machine itself only
)

// Config says which server, and who we are.
type Config struct {
	Host, Port string
	Security   Security
	Roots      *x509.CertPool // nil: the system's
	Username   string         // empty: no login
	Password   seal.Secret
	From       string           // address, with or without a name
	ReplyTo    string           // the same; empty: none
	Hello      string           // our name to the server
	Signer     *tls.Certificate // for S/MIME, with its chain; nil: mails are not signed
	Patience   time.Duration    // for one mail, and for the connection; 0: a minute
}

const patience = time.Minute

// Server is a mail server. It implements [notify.Server].
type Server struct {
	Config
	from, replyTo *mail.Address
	chain         [2]*x509.Certificate // of Signer
}

// New makes the server; it connects to nothing yet.
func New(c Config) (*Server, error) {
	s := &Server{Config: c}
	if c.Patience == 0 {
		s.Patience = patience
	}
	if c.Security == Clear && !loopback(c.Host) {
		return nil, errors.New("mail: without TLS to another machine")
	}
	var err error
	if s.from, err = mail.ParseAddress(c.From); err != nil {
		return nil, fmt.Errorf("sender of mails: %w", err)
	}
	if c.ReplyTo != "" {
		if s.replyTo, err = mail.ParseAddress(c.ReplyTo); err != nil {
			return nil, fmt.Errorf("address for answers to mails: %w", err)
		}
	}
	if c.Signer == nil {
		return s, nil
	}
	s.chain, err = signers(c.Signer, s.from.Address)
	return s, err
}

// signers gives the certificate that signs and the one above it, which may be
// nil. A signature of another sender would be worse than none.
//
// Spec: RFC 8550 section 3
func signers(c *tls.Certificate, from string) (chain [2]*x509.Certificate, err error) {
	for i, der := range c.Certificate[:min(len(c.Certificate), len(chain))] {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return chain, fmt.Errorf("certificate that signs mails: %w", err)
		}
	}
	same := func(address string) bool { return strings.EqualFold(address, from) }
	if chain[0] == nil || !slices.ContainsFunc(chain[0].EmailAddresses, same) {
		return chain, fmt.Errorf("the certificate that signs mails is not for %s", from)
	}
	return chain, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var _ notify.Server = (*Server)(nil)

// Dial implements [notify.Server].
//
// Spec: RFC 3207; RFC 8314 section 3.3
func (s *Server) Dial(ctx context.Context) (notify.Session, error) {
	link := &link{server: s}
	client, err := gomail.NewClient(s.Host, s.options(link)...)
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to the mail server: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil { // Quirk: go-mail leaves the connection open then
		link.close()
		return nil, answer(err)
	}
	return &conversation{server: s, link: link, client: client, smtp: session}, nil
}

func (s *Server) options(l *link) []gomail.Option {
	port, err := strconv.Atoi(s.Port)
	if err != nil {
		port = 0 // which is refused
	}
	o := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(s.Patience), gomail.WithHELO(s.Hello),
		gomail.WithDialContextFunc(l.dial), gomail.WithoutSMTPUTF8(), gomail.WithTLSPolicy(gomail.NoTLS)}
	if s.Security == StartTLS {
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(s.tls()))
	}
	if s.Username != "" {
		o = append(o, gomail.WithUsername(s.Username), gomail.WithPassword(s.Password.RevealString()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return o
}

func (s *Server) tls() *tls.Config {
	return &tls.Config{ServerName: s.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// conversation is a connection on which mails are sent.
type conversation struct {
	server *Server
	link   *link
	client *gomail.Client
	smtp   *smtp.Client
}

// Send implements [notify.Session].
func (c *conversation) Send(ctx context.Context, l notify.Letter) (said string, err error) {
	m, err := c.server.message(l)
	if err != nil {
		return "", &notify.Reply{Code: unwritable, Text: err.Error()}
	}
	foreign := !ascii(l.To)
	if able, _ := c.smtp.Extension("SMTPUTF8"); foreign && !able {
		return "", &notify.Reply{Code: unwritable, Text: "the mail server takes no address with such letters"}
	}
	c.smtp.SkipSMTPUTF8(!foreign)
	defer c.link.cutWhen(ctx)()
	err = c.client.SendWithSMTPClient(c.smtp, m)
	if err == nil || m.IsDelivered() { // what fails after the server took it is the next mail's trouble
		return m.ServerResponse(), nil
	}
	return "", answer(err)
}

// unwritable stands for what no server would take.
//
// Spec: RFC 6531 section 3.2
const unwritable = 553

// Close implements [notify.Session].
func (c *conversation) Close() {
	c.link.conn.SetDeadline(time.Now().Add(time.Second))
	c.client.CloseWithSMTPClient(c.smtp) // a server that does not say goodbye is none of our business
	c.link.close()
}
