package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/notify/mail"
)

// wireMail makes the outbox when a mail server is configured. What mails hold
// is boxed under a key of its own.
func (s *server) wireMail() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), "mail")
	if err != nil {
		return err
	}
	s.mails = s.db.Mail(box)
	if s.cfg.Mail.Server == "" {
		s.log.Warn("no mail is configured: who invites sees link and code together, and nobody is told of new devices")
		return nil
	}
	server, err := s.mailServer()
	if err != nil {
		return err
	}
	s.outbox = notify.NewOutbox(notify.OutboxConfig{
		Store: s.mails, Server: countedMail{server, s.metrics}, Host: s.cfg.Host(), Organization: s.cfg.Organization,
		Help: helpLine(s.cfg.Help), Page: s.cfg.Base() + landing.Path, Log: s.log, Now: time.Now,
	})
	return nil
}

// helpLine is whom people turn to, in one line.
func helpLine(h config.Help) string {
	parts := []string{}
	for _, p := range []string{h.Name, h.Phone, h.Mail, h.URL} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

func (s *server) mailServer() (*mail.Server, error) {
	m := s.cfg.Mail
	c := mail.Config{Security: mail.Security(m.TLS), Username: m.Username, From: m.From, ReplyTo: m.ReplyTo,
		Hello: cmp.Or(m.Hello, greetingName(s.cfg.Host()))}
	c.Host, c.Port = s.cfg.MailServer()
	if c.Security == mail.Clear {
		s.log.Warn("mails go to the mail server on this machine without TLS")
	}
	var err error
	if c.Roots, err = roots(m.CA); err != nil {
		return nil, fmt.Errorf("reading mail.ca: %w", err)
	}
	if m.PasswordFile != "" {
		b, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading mail.password_file: %w", err)
		}
		c.Password = seal.SecretString(strings.TrimRight(string(b), "\r\n"))
	}
	if m.SignCert != "" {
		signer, err := tls.LoadX509KeyPair(m.SignCert, m.SignKey)
		if err != nil {
			return nil, fmt.Errorf("reading mail.sign_cert and mail.sign_key: %w", err)
		}
		if left := time.Until(signer.Leaf.NotAfter); left < 30*24*time.Hour {
			s.log.Warn("the certificate that signs mails expires soon", logx.Duration, left)
		}
		c.Signer = &signer
	}
	return mail.New(c)
}

// greetingName is how a host greets a mail server.
//
// Spec: RFC 5321 section 4.1.3
func greetingName(host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return host
	case ip.To4() == nil:
		return "[IPv6:" + host + "]"
	}
	return "[" + host + "]"
}

// mailSteps is the background work on mails; none without a mail server.
func (s *server) mailSteps() []step {
	if s.outbox == nil {
		return nil
	}
	list := []step{
		{"mail", time.Second, s.outbox.Send},
		{"mail clock", time.Hour, s.outbox.Forget},
		{"openings", time.Minute, func(ctx context.Context) (int, error) { return s.outbox.TellOpenings(ctx, s.mails) }},
	}
	if to := s.cfg.Mail.Alarms; to != "" {
		alarms := &notify.Alarmer{Book: s.db.Journal(), Outbox: s.outbox, To: to}
		list = append(list, step{"alarms", time.Minute, alarms.Step})
	}
	return list
}
