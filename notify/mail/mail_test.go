package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
	ours "github.com/signet-mdm/signet/notify/mail"
	"github.com/signet-mdm/signet/notify/mail/mailtest"
)

var letter = notify.Letter{
	ID: "0199-a@mdm.example.org", To: "alice@example.com", Name: "Zoë \"Z\" 🦊", Subject: "Grüße: set up secure mail",
	Text: "Hello\n.\n.dot\nhttps://mdm.example.org/enroll/T\n", HTML: `<p>Hello <a href="https://mdm.example.org/enroll/T">T</a><img src="cid:qr.png"></p>`,
	Pictures: []notify.Picture{{Name: "qr.png", PNG: []byte("\x89PNG\r\n\x1a\n…")}}, Date: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
}

func listen(t *testing.T, b mailtest.Behaviour) *mailtest.Sink {
	t.Helper()
	s, err := mailtest.Listen(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client is of that server, which it knows by its certificate.
func client(t *testing.T, addr string, ca []byte, change func(*ours.Config)) *ours.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := ours.Config{Host: host, Port: port, Security: ours.StartTLS, Roots: roots, From: "Secure mail <signet@example.org>",
		ReplyTo: "desk@example.org", Hello: "mdm.example.org", Patience: 20 * time.Second}
	if change != nil {
		change(&c)
	}
	s, err := ours.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *ours.Server, letters ...notify.Letter) (said string, err error) {
	t.Helper()
	c, err := s.Dial(t.Context())
	if err != nil {
		return "", err
	}
	defer c.Close()
	for _, l := range letters {
		if said, err = c.Send(t.Context(), l); err != nil {
			return said, err
		}
	}
	return said, nil
}

// reply is what the error says as a reply: code and text.
func reply(err error) (int, string) {
	r, ok := errors.AsType[*notify.Reply](err)
	if !ok {
		return -1, ""
	}
	return r.Code, r.Text
}

func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		b      mailtest.Behaviour
		change func(*ours.Config)
		clear  bool
	}{
		"STARTTLS":       {},
		"TLS":            {b: mailtest.Behaviour{FromStart: true}, change: func(c *ours.Config) { c.Security = ours.TLS }},
		"login":          {b: mailtest.Behaviour{Password: "pw"}, change: func(c *ours.Config) { c.Username, c.Password = "signet", seal.SecretString("pw") }},
		"TLS with login": {b: mailtest.Behaviour{FromStart: true, Password: "pw"}, change: func(c *ours.Config) { c.Security, c.Username, c.Password = ours.TLS, "signet", seal.SecretString("pw") }},
		"this machine":   {b: mailtest.Behaviour{NoTLS: true}, change: func(c *ours.Config) { c.Security = ours.Clear }, clear: true},
	} {
		sink := listen(t, c.b)
		said, err := send(t, client(t, sink.Addr, sink.CA, c.change), letter, letter)
		got := sink.Messages()
		if err != nil || !strings.Contains(said, "OK") || len(got) != 2 || sink.Connections() != 1 {
			t.Errorf("%s: %q, %v, %d messages over %d connections", name, said, err, len(got), sink.Connections())
			continue
		}
		if got[0].From != "signet@example.org" || len(got[0].To) != 1 || got[0].To[0] != "alice@example.com" || got[0].TLS == c.clear {
			t.Errorf("%s: got %+v", name, got[0])
		}
	}
}

// The message as a mail program reads it.
func TestMessage(t *testing.T) {
	sink := listen(t, mailtest.Behaviour{})
	if _, err := send(t, client(t, sink.Addr, sink.CA, nil), letter); err != nil {
		t.Fatal(err)
	}
	data := sink.Messages()[0].Data
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"From": "Secure mail <signet@example.org>", "To": "Zoë \"Z\" 🦊 <alice@example.com>", "Reply-To": "<desk@example.org>",
		"Subject": "Grüße: set up secure mail", "Message-Id": "<0199-a@mdm.example.org>", "Date": "Tue, 24 Nov 2026 12:00:00 +0000",
		"Auto-Submitted": "auto-generated", "Mime-Version": "1.0", "User-Agent": "", "X-Mailer": "", "Bcc": ""} {
		got := m.Header.Get(key)
		if list, err := m.Header.AddressList(key); key == "From" || key == "To" {
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %v, %v", key, list, err)
			}
			got = list[0].Name + " <" + list[0].Address + ">"
		} else if got, err = new(mime.WordDecoder).DecodeHeader(got); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if got != want && "<"+got+">" != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if len(line) > 78 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' || r < ' ' }) {
			t.Errorf("header line %q", line)
		}
	}
	parts := partsOf(t, m.Header.Get("Content-Type"), m.Body)
	kinds := []string{}
	for _, p := range parts {
		kinds = append(kinds, p.kind)
	}
	if got := strings.Join(kinds, " "); got != "text/plain text/html image/png" {
		t.Fatalf("parts: %s", got)
	}
	if got := strings.ReplaceAll(parts[0].body, "\r\n", "\n"); got != letter.Text {
		t.Errorf("text: %q", got)
	}
	if parts[1].body != letter.HTML || parts[2].id != "<qr.png>" {
		t.Errorf("HTML: %q, picture %q", parts[1].body, parts[2].id)
	}
}

type part struct{ kind, id, body string }

func partsOf(t *testing.T, contentType string, body io.Reader) (list []part) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		t.Fatalf("%s: %v", contentType, err)
	}
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextPart() // undoes quoted-printable
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		inner := p.Header.Get("Content-Type")
		if strings.HasPrefix(inner, "multipart/") {
			list = append(list, partsOf(t, inner, p)...)
			continue
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(inner)
		list = append(list, part{kind, p.Header.Get("Content-ID"), string(text)})
	}
}

// What a server refuses, with its code, and whether the connection lives on.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		stage string
		code  int
	}{
		"shutting down": {"mail", 421}, "sender": {"mail", 553}, "greylisted": {"rcpt", 450}, "greylisted otherwise": {"rcpt", 451}, "full": {"rcpt", 452},
		"no such user": {"rcpt", 550}, "not now": {"data", 451}, "too large": {"end", 552}, "spam": {"end", 554}, "later": {"end", 451},
	} {
		sink := listen(t, mailtest.Behaviour{Answer: func(stage string, n int) *smtp.SMTPError {
			if stage != c.stage || n > 1 {
				return nil
			}
			return &smtp.SMTPError{Code: c.code, EnhancedCode: smtp.EnhancedCode{c.code / 100, 1, 1}, Message: "words of the server"}
		}})
		session, err := client(t, sink.Addr, sink.CA, nil).Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = session.Send(t.Context(), letter)
		if code, text := reply(err); code != c.code || !strings.HasSuffix(text, "words of the server") {
			t.Errorf("%s: got %d %q (%v), want %d", name, code, text, err, c.code)
		}
		if _, err := session.Send(t.Context(), letter); err != nil && c.code != 421 {
			t.Errorf("%s: the next mail: %v", name, err)
		}
		session.Close()
	}
}

// Without a verified certificate nothing is said that matters.
func TestCertificate(t *testing.T) {
	other := listen(t, mailtest.Behaviour{})
	for name, c := range map[string]struct {
		b      mailtest.Behaviour
		ca     []byte
		change func(*ours.Config)
		want   string
	}{
		"unknown CA":         {mailtest.Behaviour{}, other.CA, nil, "a CA that is not trusted"},
		"unknown CA, TLS":    {mailtest.Behaviour{FromStart: true}, other.CA, func(c *ours.Config) { c.Security = ours.TLS }, "a CA that is not trusted"},
		"another name":       {mailtest.Behaviour{Name: "evil.example.org"}, nil, nil, "for another name"},
		"expired":            {mailtest.Behaviour{Expired: true}, nil, nil, "not valid"},
		"no STARTTLS":        {mailtest.Behaviour{NoTLS: true}, nil, nil, "does not support STARTTLS"},
		"no TLS at all":      {mailtest.Behaviour{NoTLS: true}, nil, func(c *ours.Config) { c.Security = ours.TLS }, "failed"},
		"wrong password":     {mailtest.Behaviour{Password: "pw"}, nil, func(c *ours.Config) { c.Username, c.Password = "a", seal.SecretString("wrong-canary") }, "Authentication failed"},
		"login without AUTH": {mailtest.Behaviour{}, nil, func(c *ours.Config) { c.Username, c.Password = "a", seal.SecretString("wrong-canary") }, "does not support SMTP AUTH"},
	} {
		sink := listen(t, c.b)
		ca := c.ca
		if ca == nil {
			ca = sink.CA
		}
		_, err := send(t, client(t, sink.Addr, ca, c.change), letter)
		if _, text := reply(err); !strings.Contains(text, c.want) || strings.Contains(text, "wrong-canary") {
			t.Errorf("%s: got %q (%v), want %q", name, text, err, c.want)
		}
		if len(sink.Messages()) != 0 {
			t.Errorf("%s: the mail was sent", name)
		}
	}
}

// script is a server that says these lines, one after each it hears.
type script struct {
	addr  string
	mu    sync.Mutex
	heard []string
}

func play(t *testing.T, lines ...string) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &script{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go s.talk(c, lines)
		}
	}()
	return s
}

// talk closes after "close", and says nothing more after "hang".
func (s *script) talk(c net.Conn, lines []string) {
	in := bufio.NewReader(c)
	for i, line := range lines {
		switch line {
		case "close":
			c.Close()
			return
		case "hang":
			io.Copy(io.Discard, in)
			return
		}
		io.WriteString(c, line)
		if i+1 < len(lines) && lines[i+1] == "close" {
			continue
		}
		heard, err := in.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		s.heard = append(s.heard, heard)
		s.mu.Unlock()
	}
	c.Close()
}

func (s *script) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.heard, "")
}

// A server, or who stands between, that misbehaves before anything is
// encrypted hears no mail, no address and no password.
func TestNothingInClear(t *testing.T) {
	const hello = "220 mail ESMTP\r\n"
	for name, c := range map[string]struct {
		lines []string
		code  int
	}{
		"STARTTLS stripped":         {[]string{hello, "250-mail\r\n250 AUTH PLAIN LOGIN\r\n", "221 bye\r\n"}, 0},
		"STARTTLS refused":          {[]string{hello, "250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "454 4.7.0 not now\r\n", "221 bye\r\n"}, 454},
		"STARTTLS, then clear text": {[]string{hello, "250-mail\r\n250 STARTTLS\r\n", "220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n", "close"}, 0},
		"no EHLO":                   {[]string{hello, "502 no\r\n", "250 mail\r\n", "221 bye\r\n"}, 0},
		"no service":                {[]string{"554 go away\r\n"}, 554},
		"shutting down":             {[]string{"421 4.3.2 later\r\n"}, 421},
		"no mail server":            {[]string{"SSH-2.0-OpenSSH_9\r\n", "close"}, 0},
		"closes":                    {[]string{"close"}, 0},
		"closes after hello":        {[]string{hello, "close"}, 0},
		"says too much":             {[]string{hello, strings.Repeat("250-"+strings.Repeat("x", 60)+"\r\n", 20_000) + "250 STARTTLS\r\n", "close"}, 0},
	} {
		s := play(t, c.lines...)
		_, err := send(t, client(t, s.addr, nil, func(o *ours.Config) { o.Username, o.Password = "signet", seal.SecretString("canary") }), letter)
		if code, _ := reply(err); code != c.code {
			t.Errorf("%s: got %d (%v), want %d", name, code, err, c.code)
		}
		for _, bad := range []string{"MAIL", "AUTH", "RCPT", "DATA", "canary", "alice"} {
			if strings.Contains(s.said(), bad) {
				t.Errorf("%s: it heard %q", name, s.said())
			}
		}
	}
}

// A server that says nothing is left after a while.
func TestHangs(t *testing.T) {
	impatient := func(c *ours.Config) { c.Patience = 200 * time.Millisecond }
	for name, addr := range map[string]string{
		"silent from the start": play(t, "hang").addr,
		"silent after hello":    play(t, "220 mail\r\n", "hang").addr,
		"silent in STARTTLS":    play(t, "220 mail\r\n", "250-mail\r\n250 STARTTLS\r\n", "220 go\r\n", "hang").addr,
	} {
		if _, err := send(t, client(t, addr, nil, impatient), letter); err == nil {
			t.Errorf("%s: no error", name)
		} else if code, text := reply(err); code != 0 || !strings.Contains(text, "not answer in time") {
			t.Errorf("%s: got %d %q", name, code, text)
		}
	}
	sink := listen(t, mailtest.Behaviour{Hang: true})
	if _, err := send(t, client(t, sink.Addr, sink.CA, impatient), letter); err == nil {
		t.Error("after the mail: no error")
	} else if code, _ := reply(err); code != 0 {
		t.Errorf("after the mail: got %v", err)
	}
}

// A server that takes a mail and goes before it says so gets it again, under
// the same Message-ID: at least once, and recognisable.
func TestDropped(t *testing.T) {
	sink := listen(t, mailtest.Behaviour{Drop: true})
	s := client(t, sink.Addr, sink.CA, nil)
	for range 2 {
		if _, err := send(t, s, letter); err == nil {
			t.Fatal("no error")
		} else if code, _ := reply(err); code != 0 {
			t.Errorf("got %v, want no code", err)
		}
	}
	got := sink.Messages()
	if len(got) != 2 || !bytes.Contains(got[0].Data, []byte("Message-ID: <0199-a@mdm.example.org>")) || !bytes.Contains(got[1].Data, []byte("Message-ID: <0199-a@mdm.example.org>")) {
		t.Errorf("got %d messages", len(got))
	}
}

// The end of the process ends a mail that hangs, at once.
func TestEnds(t *testing.T) {
	sink := listen(t, mailtest.Behaviour{Hang: true})
	session, err := client(t, sink.Addr, sink.CA, nil).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := session.Send(ctx, letter); err == nil {
		t.Error("no error")
	}
}

// No text of others becomes a header or a command.
func TestInjection(t *testing.T) {
	sink := listen(t, mailtest.Behaviour{})
	s := client(t, sink.Addr, sink.CA, nil)
	for name, change := range map[string]func(*notify.Letter){
		"address, line":    func(l *notify.Letter) { l.To = "a@example.com>\r\nRCPT TO:<eve@example.com" },
		"address, bare LF": func(l *notify.Letter) { l.To = "a@example.com\nBcc: eve@example.com" },
		"two addresses":    func(l *notify.Letter) { l.To = "a@example.com, eve@example.com" },
		"address, NUL":     func(l *notify.Letter) { l.To = "a@example.com\x00" },
		"name":             func(l *notify.Letter) { l.Name = "Alice\r\nBcc: eve@example.com" },
		"name, NUL":        func(l *notify.Letter) { l.Name = "Alice\x00" },
		"subject":          func(l *notify.Letter) { l.Subject = "x\r\n\r\n<script>" },
		"message id":       func(l *notify.Letter) { l.ID = "x>\r\nBcc: eve@example.com" },
		"not ASCII":        func(l *notify.Letter) { l.To = "jörg@example.com" }, // this server takes none
	} {
		l := letter
		change(&l)
		if name == "not ASCII" {
			l.Subject = "x"
		}
		_, err := send(t, s, l)
		if code, _ := reply(err); code != 553 {
			t.Errorf("%s: got %v, want 553", name, err)
		}
	}
	quoted := letter
	quoted.Name = `Alice" <eve@example.com>, "x`
	if _, err := send(t, s, quoted); err != nil {
		t.Fatal(err)
	}
	got := sink.Messages()
	if len(got) != 1 || len(got[0].To) != 1 || got[0].To[0] != "alice@example.com" {
		t.Fatalf("got %+v", got)
	}
	m, err := mail.ReadMessage(bytes.NewReader(got[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "alice@example.com" || to[0].Name != quoted.Name {
		t.Errorf("to %v, %v", to, err)
	}
}

func TestNew(t *testing.T) {
	for name, c := range map[string]ours.Config{
		"clear text to another machine": {Host: "smtp.example.org", Port: "25", Security: ours.Clear, From: "a@example.org"},
		"no sender":                     {Host: "smtp.example.org", Port: "25", Security: ours.StartTLS},
		"odd answers":                   {Host: "smtp.example.org", Port: "25", Security: ours.StartTLS, From: "a@example.org", ReplyTo: "x\r\ny"},
	} {
		if _, err := ours.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
