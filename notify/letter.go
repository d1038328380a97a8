package notify

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"strings"
	text "text/template"
	"time"
	"unicode"

	"rsc.io/qr"

	"github.com/signet-mdm/signet/internal/subject"
)

//go:embed letters
var letters embed.FS

var (
	plainLetters = text.Must(text.New("").ParseFS(letters, "letters/*.txt"))
	htmlLetters  = map[Topic]*template.Template{}
)

func init() {
	for topic := range subjects {
		htmlLetters[topic] = template.Must(template.New("").ParseFS(letters, "letters/layout.html", "letters/"+string(topic)+".html"))
	}
}

// test is the topic of test messages, which are not queued.
const test Topic = "test"

// alarmTopic is that of mails to those who run the server; they are not queued.
const alarmTopic Topic = "alarm"

var subjects = map[Topic]string{
	Invitation:      "Set up secure mail on your iPhone",
	Enrolled:        "A new device was enrolled in your name",
	Ready:           "Your mail certificates are ready",
	KeysOpened:      "Your mail keys were sent to your devices",
	Exported:        "Keys to your encrypted mail were handed out",
	ApproverLink:    "You are an approver",
	ApproverAdded:   "There is another approver",
	ApproverRemoved: "There is one approver less",
	OwnPage:         "Your link to your secure mail page",
	Handed:          "A device got your mail certificates",
	test:            "Test message",
	alarmTopic:      "Alarm: keys were not opened",
}

// Letter is a mail as it is sent: a text, the same as HTML, and the pictures
// of the latter.
type Letter struct {
	ID       string // of the message, without brackets; the same each time
	To       string // address
	Name     string // of the recipient; may be empty
	Subject  string
	Text     string
	HTML     string
	Pictures []Picture
	Date     time.Time
}

// Picture is shown in the HTML where its name is.
type Picture struct {
	Name string // cid:NAME
	PNG  []byte
}

// page is what templates know.
type page struct {
	Facts
	Topic                         Topic
	Subject, Name, Link           string
	Organization, Help, Host, For string
	Page                          string // the address of people's own page; may be empty
	Alarms                        []alarm
	More                          bool // there are others
}

// letter writes a mail, or says why it is not to be sent any more.
func (o *Outbox) letter(d Due) (l Letter, why string) {
	switch {
	case d.Damaged:
		return l, "What is in it cannot be read any more."
	case d.To.Disabled:
		return l, "The user is disabled."
	case !d.Facts.Expires.IsZero() && !o.Now().Before(d.Facts.Expires):
		return l, "The link in it expired before it could be sent."
	}
	p := page{Facts: d.Facts, Topic: d.Topic, Name: greeting(d.To), Link: d.Link.RevealString()}
	p.Device, p.OS = inert(p.Device), version(p.OS)
	for i := range p.Opened {
		p.Opened[i].Device = inert(p.Opened[i].Device)
	}
	p.Asker, p.People, p.Reason = inert(p.Asker), inert(p.People), inert(p.Reason)
	l, err := o.write(p, d.To.Mail, d.ID, d.CreatedAt)
	if err != nil {
		return l, "It could not be written: " + clean(err.Error())
	}
	return l, ""
}

// test writes a test message.
func (o *Outbox) test(address string) (Letter, error) {
	to, err := subject.NormalizeMail(address)
	if err != nil {
		return Letter{}, err
	}
	now := o.Now()
	return o.write(page{Topic: test, Facts: Facts{At: now}}, to, NewMail(test, "", "", Facts{}, now).ID, now)
}

func (o *Outbox) write(p page, to, id string, date time.Time) (Letter, error) {
	p.Subject, p.Host, p.Help, p.For = subjects[p.Topic], o.Host, o.Help, to
	p.Organization, p.Page = cmp.Or(o.Organization, o.Host), o.Page
	l := Letter{ID: id + "@" + o.Host, To: to, Name: p.Name, Subject: p.Subject, Date: date}
	var plain, html bytes.Buffer
	if err := plainLetters.ExecuteTemplate(&plain, string(p.Topic)+".txt", p); err != nil {
		return l, fmt.Errorf("writing %s: %w", p.Topic, err)
	}
	if err := htmlLetters[p.Topic].ExecuteTemplate(&html, "layout.html", p); err != nil {
		return l, fmt.Errorf("writing %s: %w", p.Topic, err)
	}
	l.Text, l.HTML = plain.String(), html.String()
	if p.Topic == Invitation {
		code, err := qr.Encode(p.Link, qr.M)
		if err != nil {
			return l, fmt.Errorf("drawing the link: %w", err)
		}
		code.Scale = 5
		l.Pictures = []Picture{{"qr.png", code.PNG()}}
	}
	return l, nil
}

// greeting is the user's name where it is one: what a mail program would turn
// into a link of its own is left out.
func greeting(u subject.User) string {
	if strings.ContainsAny(u.Name, "@/:<>") || strings.Contains(strings.ToLower(u.Name), "www.") {
		return ""
	}
	return short(strings.Map(func(r rune) rune {
		if subject.Unshowable(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, u.Name))
}

// inert keeps of what a device told only what no mail program makes a link of.
func inert(s string) string {
	return short(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ,'’-()", r):
			return r
		case r == '.':
			return ' '
		}
		return -1
	}, s))
}

// version keeps digits and dots.
func version(s string) string {
	return short(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return -1
	}, s))
}

// short bounds a name.
func short(s string) string {
	if r := []rune(strings.TrimSpace(s)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return strings.TrimSpace(s)
}
