package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/notify/mail/mailtest"
)

type mailboxKey struct{}

// mailbox is other people's mail server, and all that it took.
type mailbox struct{ sink *mailtest.Sink }

// boxDoings are what a mailbox can be told: `mailbox DO …`
var boxDoings = map[string]func(ts *testscript.TestScript, b *mailbox, args []string) error{
	"open": openBox, "wait": waitBox, "has": hasBox, "link": linkBox, "refuse": refuseBox, "take": takeBox,
}

func mailboxVerb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || boxDoings[args[0]] == nil {
		ts.Fatalf("usage: mailbox open|wait|has|link|refuse|take …")
	}
	b := ts.Value(mailboxKey{}).(*mailbox)
	if args[0] != "open" && b.sink == nil {
		ts.Fatalf("there is no mailbox")
	}
	ts.Check(boxDoings[args[0]](ts, b, args[1:]))
}

// openBox starts the server: $MAIL is its address, mail-ca.pem its CA. With
// "clear" it offers no STARTTLS: `mailbox open [clear]`
func openBox(ts *testscript.TestScript, b *mailbox, args []string) (err error) {
	if b.sink, err = mailtest.Listen(mailtest.Behaviour{NoTLS: len(args) > 0}); err != nil {
		return err
	}
	ts.Defer(b.sink.Close)
	ts.Setenv("MAIL", b.sink.Addr)
	if err := os.Mkdir(ts.MkAbs("mail"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs("mail-ca.pem"), b.sink.CA, 0o600)
}

// waitBox waits until that many mails have come, and leaves each as it came in
// mail/N.eml and its text in mail/N.txt: `mailbox wait 2`
func waitBox(ts *testscript.TestScript, b *mailbox, args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for until := time.Now().Add(patience); len(b.sink.Messages()) < want; time.Sleep(pause) {
		if time.Now().After(until) {
			return fmt.Errorf("%d mails came, want %d", len(b.sink.Messages()), want)
		}
	}
	for i, m := range b.sink.Messages() {
		name := filepath.Join(ts.MkAbs("mail"), strconv.Itoa(i+1))
		text, err := plainText(m.Data)
		if err != nil {
			return fmt.Errorf("mail %d: %w", i+1, err)
		}
		head := fmt.Sprintf("from %s to %s, TLS %v\n", m.From, strings.Join(m.To, " "), m.TLS)
		if err := errors.Join(os.WriteFile(name+".eml", m.Data, 0o600), os.WriteFile(name+".txt", []byte(head+text), 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// hasBox wants exactly that many mails: `mailbox has 2`
func hasBox(_ *testscript.TestScript, b *mailbox, args []string) error {
	if got := strconv.Itoa(len(b.sink.Messages())); got != args[0] {
		return fmt.Errorf("%s mails came, want %s", got, args[0])
	}
	return nil
}

var enrollLink = regexp.MustCompile(`https://\S+/(enroll|me/link)/[A-Z2-7]+`)

// linkBox sets a variable to the link in that mail: `mailbox link LINK 2`
func linkBox(ts *testscript.TestScript, _ *mailbox, args []string) error {
	link := enrollLink.FindString(ts.ReadFile("mail/" + args[1] + ".txt"))
	if link == "" {
		return errors.New("there is no link in it")
	}
	ts.Setenv(args[0], link)
	return nil
}

// refuseBox refuses every recipient with that code and those words, from now
// on: `mailbox refuse 451 'try later'`
func refuseBox(_ *testscript.TestScript, b *mailbox, args []string) error {
	code, err := strconv.Atoi(args[0])
	b.sink.Behave(func(stage string, _ int) *smtp.SMTPError {
		if stage != "rcpt" {
			return nil
		}
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: args[1]}
	})
	return err
}

// takeBox takes everything again.
func takeBox(_ *testscript.TestScript, b *mailbox, _ []string) error {
	b.sink.Behave(nil)
	return nil
}

// plainText gives the subject and the text of a mail.
func plainText(data []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return "", err
	}
	text, err := textPart(m.Header.Get("Content-Type"), m.Body)
	return subject + "\n\n" + text, err
}

// textPart finds the first text/plain.
func textPart(contentType string, body io.Reader) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if kind == "text/plain" {
		text, err := io.ReadAll(body)
		return strings.ReplaceAll(string(text), "\r\n", "\n"), err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return "", fmt.Errorf("a mail that begins with %s", kind)
	}
	part, err := multipart.NewReader(body, params["boundary"]).NextPart()
	if err != nil {
		return "", err
	}
	return textPart(part.Header.Get("Content-Type"), part)
}
