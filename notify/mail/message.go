package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// errText is returned for a text that could end a header line.
var errText = errors.New("mail: a header holds a control character")

// message writes a letter as a MIME message: the text, the same as HTML, its
// pictures beside it.
//
// Spec: RFC 5322 section 3.6; RFC 2047; RFC 2046 section 5.1.4; RFC 2387
func (s *Server) message(l notify.Letter) (*gomail.Msg, error) {
	for _, text := range []string{l.ID, l.To, l.Name, l.Subject} {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return nil, errText
		}
	}
	to, err := subject.NormalizeMail(l.To)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	if err := errors.Join(m.From(s.from.String()), m.To((&mail.Address{Name: l.Name, Address: to}).String())); err != nil {
		return nil, fmt.Errorf("addressing: %w", err)
	}
	if s.replyTo != nil {
		if err := m.ReplyTo(s.replyTo.String()); err != nil {
			return nil, fmt.Errorf("address for answers: %w", err)
		}
	}
	m.SetMessageIDWithValue(l.ID)
	m.SetDateWithValue(l.Date)
	m.Subject(l.Subject)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // Spec: RFC 3834 section 5
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	for _, p := range l.Pictures {
		err := m.EmbedReader(p.Name, bytes.NewReader(p.PNG), gomail.WithFileContentID("<"+p.Name+">"), gomail.WithFileContentType("image/png"))
		if err != nil {
			return nil, fmt.Errorf("adding %s: %w", p.Name, err)
		}
	}
	if s.Signer != nil { // Spec: RFC 8551 section 3.5.3
		if err := m.SignWithKeypair(s.Signer.PrivateKey, s.chain[0], s.chain[1]); err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
	}
	return m, nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
