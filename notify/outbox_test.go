package notify_test

import (
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

const link = "https://mdm.example.org/enroll/CANARYCANARYCANARYCANARY22"

// mailServer is one that answers what it is told to, one answer a mail;
// then it takes everything.
type mailServer struct {
	away    error // it cannot be reached
	answers []error
	killed  func() // the process, before the server answers
	got     []notify.Letter
	dialled int
	open    int
}

func (s *mailServer) Dial(context.Context) (notify.Session, error) {
	s.dialled++
	if s.away != nil {
		return nil, s.away
	}
	s.open++
	return session{s}, nil
}

type session struct{ s *mailServer }

func (c session) Send(_ context.Context, l notify.Letter) (string, error) {
	if c.s.killed != nil {
		c.s.killed()
		c.s.killed = nil
		return "", context.Canceled
	}
	if len(c.s.answers) > 0 {
		err := c.s.answers[0]
		c.s.answers = c.s.answers[1:]
		if err != nil {
			return "", err
		}
	}
	c.s.got = append(c.s.got, l)
	return "250 2.0.0 queued", nil
}

func (c session) Close() { c.s.open-- }

// postOffice is an outbox over a real database, with a clock of its own.
type postOffice struct {
	t      *testing.T
	db     *store.DB
	outbox *notify.Outbox
	server *mailServer
	alice  subject.User
	now    time.Time
}

var by = journal.Actor{Kind: journal.Admin, ID: "t-1"}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, err := seal.NewBox(seal.RandomRoot(), "mail")
	if err != nil {
		t.Fatal(err)
	}
	w := &postOffice{t: t, db: db, server: &mailServer{}, now: start}
	clock := func() time.Time { return w.now }
	w.outbox = notify.NewOutbox(notify.OutboxConfig{Store: db.Mail(box), Server: w.server, Host: "mdm.example.org",
		Organization: "Example", Help: "+49 30 1234", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: clock})
	w.alice, err = directory.New(db.Directory(), clock).Add(t.Context(), by, subject.User{Mail: "alice@example.com", Name: "Alice Example"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *postOffice) invite() {
	w.t.Helper()
	if err := w.outbox.Invite(w.t.Context(), by, w.alice, "d-1", seal.SecretString(link), true, w.now.Add(7*24*time.Hour)); err != nil {
		w.t.Fatal(err)
	}
}

// send runs the step until there is nothing to do now.
func (w *postOffice) send() {
	w.t.Helper()
	for range 10 {
		n, err := w.outbox.Send(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	w.t.Fatal("the step never ends")
}

func (w *postOffice) only() notify.Status {
	w.t.Helper()
	list, err := w.outbox.Mails(w.t.Context(), notify.MailQuery{User: w.alice.ID, Limit: 10})
	if err != nil || len(list) != 1 {
		w.t.Fatalf("%d mails, %v; want one", len(list), err)
	}
	return list[0]
}

func TestInvitation(t *testing.T) {
	w := newPostOffice(t)
	w.invite()
	w.send()
	if s := w.only(); s.State != notify.Sent || s.To != "alice@example.com" || s.Attempts != 1 || s.Reason != "" {
		t.Errorf("got %+v", s)
	}
	l := w.server.got[0]
	if l.To != "alice@example.com" || l.Name != "Alice Example" || l.ID != w.only().ID+"@mdm.example.org" || l.Date != start {
		t.Errorf("got %+v", l)
	}
	for what, text := range map[string]string{"text": l.Text, "HTML": l.HTML} {
		for _, want := range []string{link, "Alice Example", "Example invites you", "three minutes", "+49 30 1234", "mdm.example.org", "1 December 2026", "not in this mail"} {
			if !strings.Contains(html.UnescapeString(text), want) {
				t.Errorf("the %s lacks %q:\n%s", what, want, text)
			}
		}
	}
	if len(l.Pictures) != 1 || !strings.HasPrefix(string(l.Pictures[0].PNG), "\x89PNG") || !strings.Contains(l.HTML, `src="cid:`+l.Pictures[0].Name+`"`) {
		t.Errorf("the picture of the link is missing: %v", l.Pictures)
	}
	if w.server.open != 0 {
		t.Errorf("%d connections are left open", w.server.open)
	}
}

// The link to one's own page comes in the user's mail alone; the news of a
// device says where that page is.
func TestLinkToOwnPage(t *testing.T) {
	w := newPostOffice(t)
	w.outbox.Page = "https://mdm.example.org/me"
	own := "https://mdm.example.org/me/link/CANARYCANARYCANARYCANARY22"
	for range notify.PerDay {
		if err := w.outbox.Link(t.Context(), journal.Actor{Kind: journal.Person}, w.alice, seal.SecretString(own), start.Add(7*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.outbox.Link(t.Context(), journal.Actor{Kind: journal.Person}, w.alice, seal.SecretString(own), start); !errors.Is(err, notify.ErrLimit) {
		t.Errorf("a fourth one: got %v, want ErrLimit", err)
	}
	w.send()
	l := w.server.got[0]
	for what, text := range map[string]string{"text": l.Text, "HTML": l.HTML} {
		for _, want := range []string{own, "Alice Example", "1 December 2026", "works once", "+49 30 1234"} {
			if !strings.Contains(html.UnescapeString(text), want) {
				t.Errorf("the %s lacks %q:\n%s", what, want, text)
			}
		}
	}
	if len(l.Pictures) != 0 || l.Subject != "Your link to your secure mail page" {
		t.Errorf("got %q with %d pictures", l.Subject, len(l.Pictures))
	}
	news := w.write(w.alice, notify.NewMail(notify.Enrolled, w.alice.ID, "d-1", notify.Facts{At: start}, start))
	if !strings.Contains(news.Text, "\nhttps://mdm.example.org/me\n") || !strings.Contains(news.HTML, `href="https://mdm.example.org/me"`) {
		t.Errorf("the news lacks the page:\n%s", news.Text)
	}
}

// A camera reads the link in the picture.
func TestPicture(t *testing.T) {
	judge.Need(t, "zbarimg")
	w := newPostOffice(t)
	w.invite()
	w.send()
	file := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(file, w.server.got[0].Pictures[0].PNG, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(judge.Run(t, nil, "zbarimg", "-q", "--raw", file)); got != link+"\n" {
		t.Errorf("got %q", got)
	}
}

// What a mail waits for, try by try, and that it is the same mail each time.
func TestGreylisted(t *testing.T) {
	w := newPostOffice(t)
	w.server.answers = []error{&notify.Reply{Code: 450, Text: "4.2.0 greylisted"}, &notify.Reply{Code: 451, Text: "later"}, &notify.Reply{Code: 452, Text: "4.3.1 full"}}
	w.invite()
	for i, pause := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute} {
		w.send()
		s := w.only()
		if s.State != notify.Waiting || s.Attempts != i+1 || s.NextAt != w.now.Add(pause) || s.Code != 450+i {
			t.Fatalf("try %d: got %+v, want the next after %s", i+1, s, pause)
		}
		w.now = w.now.Add(pause - time.Second)
		w.send()
		if w.only().Attempts != i+1 {
			t.Fatalf("try %d: tried again too early", i+1)
		}
		w.now = w.now.Add(time.Second)
	}
	w.send()
	if s := w.only(); s.State != notify.Sent || s.Code != 0 {
		t.Errorf("at last: %+v", s)
	}
	if len(w.server.got) != 1 {
		t.Errorf("%d copies were taken", len(w.server.got))
	}
}

// A server that is away for two days: hourly, then no more, and the
// administrator sees why. One command sends it all the same.
func TestGivesUp(t *testing.T) {
	w := newPostOffice(t)
	w.server.away = &notify.Reply{Code: 554, Text: "no service here"}
	w.invite()
	tries := 0
	for s := w.only(); s.State == notify.Waiting; s = w.only() {
		if tries++; tries > 60 {
			t.Fatalf("still trying after %d tries", tries)
		}
		w.now = s.NextAt
		if tries == 1 {
			w.now = start
		}
		w.send()
		if s := w.only(); tries > 4 && s.State == notify.Waiting && s.NextAt.Sub(w.now) != time.Hour {
			t.Fatalf("try %d: the next after %s", tries, s.NextAt.Sub(w.now))
		}
	}
	s := w.only()
	if s.State != notify.Failed || !strings.Contains(s.Reason, "48 hours") || !strings.Contains(s.Reason, "554 no service here") || s.DoneAt.Sub(start) < 47*time.Hour {
		t.Errorf("got %+v", s)
	}
	w.server.away = nil
	if err := w.outbox.Retry(t.Context(), by, s.ID); err != nil {
		t.Fatal(err)
	}
	w.send()
	if s := w.only(); s.State != notify.Sent || len(w.server.got) != 1 || w.server.got[0].ID != s.ID+"@mdm.example.org" {
		t.Errorf("after all: %+v", s)
	}
	if err := w.outbox.Retry(t.Context(), by, s.ID); !errors.Is(err, notify.ErrMailDone) {
		t.Errorf("a sent one: got %v, want ErrMailDone", err)
	}
}

// What a server refuses for ever is kept with its words, without the link
// should it quote that, and nothing that acts on a terminal.
func TestRefused(t *testing.T) {
	w := newPostOffice(t)
	w.server.answers = []error{&notify.Reply{Code: 552, Text: "5.3.4 no \x1b[31m" + link + "\r\nno CANARYCANARYCANARYCANARY22 " + strings.Repeat("x ", 500)}}
	w.invite()
	w.send()
	s := w.only()
	if s.State != notify.Failed || s.Code != 552 || !strings.HasPrefix(s.Reason, "552 5.3.4 no") || len(s.Reason) > 400 {
		t.Errorf("got %+v", s)
	}
	if strings.Contains(s.Reason, "CANARY") || strings.ContainsAny(s.Reason, "\x1b\r\n") {
		t.Errorf("the reason holds what it must not: %q", s.Reason)
	}
	log, err := w.db.Journal().Lines(t.Context(), journal.Query{User: w.alice.ID, Limit: 10})
	if err != nil || log[0].Action != journal.MailFailed || log[0].Detail["code"] != "552" {
		t.Errorf("journal: %v, %v", log, err)
	}
	for _, e := range log {
		for _, v := range e.Detail {
			if strings.Contains(v, "CANARY") {
				t.Errorf("the journal has the link: %v", e)
			}
		}
	}
}

// One mail in three that is refused keeps nobody waiting; a connection that
// breaks is made again; a server that is away is asked once.
func TestBatch(t *testing.T) {
	for name, c := range map[string]struct {
		answers            []error
		away               error
		sent, dialled, due int
	}{
		"all taken":          {nil, nil, 3, 1, 0},
		"one refused":        {[]error{nil, &notify.Reply{Code: 550, Text: "no"}}, nil, 2, 1, 0},
		"shut down":          {[]error{&notify.Reply{Code: 421, Text: "bye"}}, nil, 2, 2, 1},
		"broken off":         {[]error{nil, io.ErrUnexpectedEOF}, nil, 2, 2, 1},
		"away":               {nil, io.EOF, 0, 1, 3},
		"login refused":      {nil, &notify.Reply{Code: 535, Text: "5.7.8 no"}, 0, 1, 3},
		"no TLS, no service": {nil, &notify.Reply{Code: 554, Text: "no"}, 0, 1, 3},
	} {
		w := newPostOffice(t)
		w.server.answers, w.server.away = c.answers, c.away
		for range 3 {
			w.invite()
		}
		if n, err := w.outbox.Send(t.Context()); n != 3 || err != nil {
			t.Errorf("%s: took %d, %v; want 3", name, n, err)
		}
		list, err := w.outbox.Mails(t.Context(), notify.MailQuery{Limit: 10})
		waiting := 0
		for _, m := range list {
			if m.State == notify.Waiting {
				waiting++
			}
		}
		if err != nil || len(w.server.got) != c.sent || w.server.dialled != c.dialled || waiting != c.due || w.server.open != 0 {
			t.Errorf("%s: %d sent, %d connections (%d open), %d waiting, %v; want %d, %d, %d", name, len(w.server.got), w.server.dialled, w.server.open, waiting, err, c.sent, c.dialled, c.due)
		}
	}
}

// What has become pointless is not sent.
func TestPointless(t *testing.T) {
	w := newPostOffice(t)
	w.invite()
	w.now = w.now.Add(7 * 24 * time.Hour)
	w.send()
	if s := w.only(); s.State != notify.Failed || !strings.Contains(s.Reason, "expired") || w.server.dialled != 0 {
		t.Errorf("an old link: %+v", s)
	}
	w = newPostOffice(t)
	w.invite()
	w.alice.Disabled = true
	if _, err := directory.New(w.db.Directory(), time.Now).Change(t.Context(), by, w.alice); err != nil {
		t.Fatal(err)
	}
	w.send()
	if s := w.only(); s.State != notify.Failed || !strings.Contains(s.Reason, "disabled") || w.server.dialled != 0 {
		t.Errorf("a disabled user: %+v", s)
	}
}

// A server killed while it sends: the mail goes out again, under the same
// Message-ID, when the lease is over.
func TestKilled(t *testing.T) {
	w := newPostOffice(t)
	w.invite()
	ctx, stop := context.WithCancel(t.Context())
	w.server.killed = stop
	if _, err := w.outbox.Send(ctx); err != nil {
		t.Error(err)
	}
	w.send()
	if s := w.only(); s.State != notify.Waiting || s.Attempts != 0 || len(w.server.got) != 0 {
		t.Fatalf("at once: %+v", s)
	}
	w.now = w.now.Add(11 * time.Minute)
	w.send()
	if s := w.only(); s.State != notify.Sent || w.server.got[0].Date != start {
		t.Errorf("afterwards: %+v", s)
	}
}

// Names are of people and devices we do not control: they show and do nothing.
func TestNamesAreInert(t *testing.T) {
	w := newPostOffice(t)
	for name, c := range map[string]struct {
		user, device string
		lacks        []string
	}{
		"markup":      {`Alice <b onload=x>`, `<script>alert(1)</script>`, []string{"<b onload", "<script"}},
		"a link":      {"https://evil.example/", "Mail full: go to https://evil.example/x or www.evil.example", []string{"evil.example", "://"}},
		"another one": {"www.evil.example", "evil.example", []string{"evil.example"}},
		"turned":      {"Al\u202eice", "iPh\u202eone\u2028", []string{"\u202e", "\u2028"}},
		"lines":       {"Alice\r\nBcc: b@example.com", "x\r\nSubject: y", []string{"\r", "Bcc:", "Subject:"}},
		"long":        {strings.Repeat("a", 5000), strings.Repeat("b", 5000), []string{strings.Repeat("a", 100), strings.Repeat("b", 100)}},
	} {
		w.server.got = nil
		u := w.alice
		u.Name = c.user
		l := w.write(u, notify.NewMail(notify.Enrolled, u.ID, "d-1", notify.Facts{Device: c.device, OS: "18.2\r\n<x>", At: start}, start))
		for _, bad := range c.lacks {
			for part, text := range map[string]string{"text": l.Text, "HTML": l.HTML, "name": l.Name, "subject": l.Subject} {
				if strings.Contains(text, bad) {
					t.Errorf("%s: the %s has %q:\n%s", name, part, bad, text)
				}
			}
		}
		if !strings.Contains(l.Text, "iOS 18.2") || !strings.Contains(l.Text, "24 November 2026 at 12:00") || !strings.Contains(l.HTML, "It was not you?") {
			t.Errorf("%s: the mail does not say what it should:\n%s", name, l.Text)
		}
	}
	emoji := w.alice
	emoji.Name = "Zoë 🦊 李"
	if l := w.write(emoji, notify.NewMail(notify.Ready, emoji.ID, "d-1", notify.Facts{History: 3, Signs: true}, start)); !strings.Contains(l.Text, "Hello Zoë 🦊 李,") ||
		!strings.Contains(l.Text, "3 certificates read") || !strings.Contains(l.Text, "can be signed") {
		t.Errorf("got %q\n%s", l.Name, l.Text)
	}
}

func (w *postOffice) write(u subject.User, m notify.Mail) notify.Letter {
	w.t.Helper()
	l, why := w.outbox.Letter(notify.Due{Mail: m, To: u})
	if why != "" {
		w.t.Fatal(why)
	}
	return l
}

func TestTestMessage(t *testing.T) {
	w := newPostOffice(t)
	said, err := w.outbox.Test(t.Context(), "Bob@Example.com")
	if err != nil || said != "250 2.0.0 queued" || w.server.got[0].To != "bob@example.com" || w.server.open != 0 {
		t.Errorf("got %q, %v", said, err)
	}
	if _, err := w.outbox.Test(t.Context(), "bob@example.com\r\nRCPT TO:<eve@example.com>"); !errors.Is(err, subject.ErrAddress) {
		t.Errorf("an address with a line end: %v", err)
	}
	w.server.answers = []error{&notify.Reply{Code: 550, Text: "no such user"}}
	if _, err := w.outbox.Test(t.Context(), "bob@example.com"); !errors.Is(err, notify.ErrTest) || !strings.Contains(err.Error(), "550 no such user") {
		t.Errorf("refused: %v", err)
	}
	w.server.away = &notify.Reply{Code: 535, Text: "wrong password"}
	if _, err := w.outbox.Test(t.Context(), "bob@example.com"); !errors.Is(err, notify.ErrTest) || !strings.Contains(err.Error(), "535 wrong password") {
		t.Errorf("no login: %v", err)
	}
	if list, err := w.outbox.Mails(t.Context(), notify.MailQuery{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("test messages were kept: %v, %v", list, err)
	}
}

// Whatever a mail server says: one short line that does nothing, and no link.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"4.2.0 greylisted", "no \x1b[31m" + link, "a\r\nb\tc", strings.Repeat("é", 400), "\xff\xfe", "see http://x.example/y", "\u202eevil", "CANARYCANARYCANARYCANARY22"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		got := notify.Clean(said)
		if len(got) > 310 || !utf8.ValidString(got) || strings.ContainsFunc(got, subject.Unshowable) || strings.Contains(got, "://") || strings.Contains(got, "/enroll/") {
			t.Errorf("%q became %q", said, got)
		}
		if quoted := notify.Clean(said + " " + link); strings.Contains(quoted, "CANARY") && !strings.Contains(said, "CANARY") {
			t.Errorf("%q and the link became %q", said, quoted)
		}
	})
}

// On a test server the link asks for no code, and the mail does not say so.
func TestInvitationWithoutCode(t *testing.T) {
	w := newPostOffice(t)
	if err := w.outbox.Invite(t.Context(), by, w.alice, "d-1", seal.SecretString(link), false, w.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.send()
	if l := w.server.got[0]; strings.Contains(l.Text+l.HTML, "code of ten letters") || !strings.Contains(l.Text, link) {
		t.Errorf("got\n%s", l.Text)
	}
}
