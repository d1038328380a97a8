package notify

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrTest is returned when a test message cannot be sent.
var ErrTest = fault.New(fault.Unavailable, "mail_test_failed",
	"The test message was not sent.", "Check [mail] in signet.toml and start the server again; docs/mail.md says what each setting needs.")

// Reply is what a mail server said, or what became of the connection to it.
//
// Spec: RFC 5321 section 4.2
type Reply struct {
	Code int    // of three digits; 0: it said nothing
	Text string // its words, or ours; foreign
}

func (r *Reply) Error() string {
	if r.Code == 0 {
		return r.Text
	}
	return fmt.Sprintf("%d %s", r.Code, r.Text)
}

// ended tells whether the connection is over with this reply.
func (r *Reply) ended() bool { return r.Code == 0 || r.Code == 421 }

// permanent tells whether asking again is in vain.
func (r *Reply) permanent() bool { return r.Code >= 500 && r.Code < 600 }

// replyOf finds the reply in err; an error without one is a connection that
// broke.
func replyOf(err error) *Reply {
	if r, ok := errors.AsType[*Reply](err); ok {
		return r
	}
	return &Reply{Text: err.Error()}
}

// How much of a mail server's words is looked at, and is kept, in bytes.
const (
	maxHeard = 4096
	maxSaid  = 300
)

// telling are words in which a server may quote the mail: addresses of pages
// and what is long enough to be a link's token.
var telling = regexp.MustCompile(`\S*(://|/enroll/)\S*|[A-Za-z0-9_-]{24,}`)

// clean makes a mail server's words fit to be stored and shown: one line, not
// long, nothing that acts, and no link, should it quote the mail.
func clean(said string) string {
	whole := len(said) <= maxHeard
	words := strings.FieldsFunc(strings.ToValidUTF8(said[:min(len(said), maxHeard)], "?"),
		func(r rune) bool { return r == ' ' || subject.Unshowable(r) })
	if !whole && len(words) > 0 {
		words = words[:len(words)-1] // which may be half a link
	}
	said = strings.Join(words, " ")
	said = telling.ReplaceAllString(said, "[…]")
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + "…"
	}
	return said
}

// tidy is clean for what an error says.
func tidy(err error) string { return clean(replyOf(err).Error()) }

// How long a mail is tried: after these pauses, then every hour until the end.
//
// Spec: RFC 5321 section 4.5.4.1
var (
	pauses  = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute}
	hourly  = time.Hour
	giveUp  = 48 * time.Hour
	keepFor = 7 * 24 * time.Hour  // what is in a mail that failed
	listFor = 90 * 24 * time.Hour // that there was a mail
)

// pause is how long to wait after that many attempts.
func pause(attempts int) time.Duration {
	if attempts <= len(pauses) {
		return pauses[attempts-1]
	}
	return hourly
}
