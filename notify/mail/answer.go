package mail

import (
	"crypto/x509"
	"errors"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/signet-mdm/signet/notify"
)

// answer makes a reply of what go-mail returns.
func answer(err error) error {
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		return sendFailure(e)
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return &notify.Reply{Code: e.Code, Text: e.Msg}
	}
	return &notify.Reply{Text: plainly(err)}
}

// plainly says in our words what often goes wrong with connections.
func plainly(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "The mail server's certificate is of a CA that is not trusted; mail.ca names one."
	case errors.As(err, &other):
		return "The mail server's certificate is for another name than mail.server says."
	case errors.As(err, &invalid):
		return "The mail server's certificate is not valid: " + err.Error()
	case errors.Is(err, errTalkative):
		return "The mail server said too much."
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "The mail server did not answer in time."
	}
	return "The connection to the mail server failed: " + err.Error()
}

// sendFailure makes a reply of go-mail's error about one mail. A code of its
// own counts only when the server said one.
func sendFailure(e *gomail.SendError) error {
	text := strings.TrimPrefix(e.Error(), e.Reason.String()+": ")
	text, _, _ = strings.Cut(text, ", affected ")
	code := e.ErrorCode()
	if code == 0 {
		return &notify.Reply{Text: "The connection to the mail server broke: " + text}
	}
	text = strings.TrimSpace(text[min(3, len(text)):])
	if plain, err := strconv.Unquote(text); err == nil { // as textproto shows it
		text = plain
	}
	return &notify.Reply{Code: code, Text: text}
}
