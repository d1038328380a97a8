package landing

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/httpd"
)

// device is one device as its user sees it.
type device struct {
	ID, Name     string
	Called       string // the name within a sentence
	Word         string // iPhone, iPad or device
	OS           string
	Since        string // when it was enrolled
	New          bool   // that is not long ago
	Title        string // how it stands
	Mood         string // the same as a drawing and its colour: way, done or needs
	Count        string // the same in numbers
	Installed    int    // certificates
	Total        int
	Certificates []line
	Others       []line // settings, and what they need
	Advice       string
	Notes        []string
	Working      bool // something of it changes by itself
}

// line is one thing on a device, in words.
type line struct {
	What  string
	Dates string
	State string
	Mood  string // of the state: its drawing and its colour
	Why   string

	cert cert.Fingerprint
	from time.Time
}

// word says a state in the user's words.
type word struct{ text, mood string }

// words are those of states that say all.
var words = map[delivery.State]word{
	delivery.Queued:    {"waiting", "waiting"},
	delivery.Sealed:    {"on its way", "way"},
	delivery.Sent:      {"on its way", "way"},
	delivery.Installed: {"installed", "done"},
	delivery.Failed:    {"did not work", "failed"},
	delivery.Removing:  {"being removed", "way"},
	delivery.Removed:   {"removed", "waiting"},
}

// needsYou stands for states that go on only when the user does something.
var needsYou = word{"needs you", "needs"}

// newFor is how long a device is shown as new.
const newFor = 7 * 24 * time.Hour

func devicesOf(list []delivery.Progress, now time.Time) []device {
	devices := make([]device, len(list))
	for i, p := range list {
		devices[i] = deviceOf(p, now)
	}
	return devices
}

func deviceOf(p delivery.Progress, now time.Time) device {
	d := device{ID: string(p.Device.ID), Word: p.Device.Word(), OS: p.Device.OSVersion, Advice: p.Hint, Notes: p.Notes,
		Since: date(p.Enrolled), New: now.Sub(p.Enrolled) < newFor}
	d.Name, d.Called = cmp.Or(p.Device.Name, "Your "+d.Word), cmp.Or(p.Device.Name, "your "+d.Word)
	broken := false
	for _, l := range p.Lines {
		shown := lineOf(l)
		if l.Certificate {
			d.Certificates = append(d.Certificates, shown)
			d.Total++
			if l.State == delivery.Installed {
				d.Installed++
			}
		} else {
			d.Others = append(d.Others, shown)
		}
		d.Working = d.Working || working[l.State]
		broken = broken || l.State == delivery.Failed
	}
	d.Title, d.Mood = d.standing(p, broken)
	d.Count = d.counted(len(p.Lines))
	return d
}

// working are the states that change by themselves.
var working = map[delivery.State]bool{delivery.Queued: true, delivery.Sealed: true, delivery.Sent: true, delivery.Removing: true}

func lineOf(l delivery.Line) line {
	w := words[l.State]
	if l.Ask != "" {
		w = needsYou
	}
	shown := line{What: l.Words, State: w.text, Mood: w.mood, Why: l.Reason, cert: l.Cert, from: l.From}
	switch {
	case l.State != delivery.Failed:
	case l.Next.IsZero():
		shown.Why += " Ask for help."
	default:
		shown.Why += " It is tried again by itself."
	}
	if !l.From.IsZero() {
		shown.Dates = date(l.From) + " – " + date(l.Until)
	}
	return shown
}

func (d device) standing(p delivery.Progress, broken bool) (title, mood string) {
	switch {
	case len(p.Lines) == 0:
		return "Your " + d.Word + " is enrolled", "done"
	case p.Done():
		return "Your " + d.Word + " is ready", "done"
	case d.Advice != "":
		return "Your " + d.Word + " needs you", "needs"
	case broken && !d.Working:
		return "Your " + d.Word + " needs help", "needs"
	}
	return "Setting up your " + d.Word, "way"
}

func (d device) counted(lines int) string {
	switch {
	case lines == 0:
		return "Nothing is to come to this " + d.Word + " yet."
	case d.Total == 0:
		return "There is no certificate for this " + d.Word + " yet."
	case d.Installed < d.Total:
		return fmt.Sprintf("%d of %s on this %s.", d.Installed, are(d.Total), d.Word)
	case d.Total == 1:
		return "Your certificate is on this " + d.Word + "."
	}
	return fmt.Sprintf("All %s on this %s.", are(d.Total), d.Word)
}

func are(n int) string {
	if n == 1 {
		return "1 certificate is"
	}
	return fmt.Sprintf("%d certificates are", n)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006")
}

// home is the user's page.
type home struct {
	News         []device // that came lately, and are not where the page is read
	Devices      []device
	Certificates []certificate // newest first
	Help         httpd.Help
	Privacy      string
}

// certificate is one of the user's, with where it is.
type certificate struct {
	What, Dates string
	On          []string // names of devices
	from        time.Time
}

func homeOf(list []device, here string, house httpd.House) home {
	h := home{Devices: list, Help: house.Help, Privacy: privacyPath}
	at := map[cert.Fingerprint]int{}
	for _, d := range list {
		if d.New && d.ID != here {
			h.News = append(h.News, d)
		}
		for _, l := range d.Certificates {
			i, known := at[l.cert]
			if !known || l.cert.IsZero() {
				i = len(h.Certificates)
				at[l.cert] = i
				h.Certificates = append(h.Certificates, certificate{What: l.What, Dates: l.Dates, from: l.from})
			}
			if l.Mood == "done" {
				h.Certificates[i].On = append(h.Certificates[i].On, d.Name)
			}
		}
	}
	slices.SortStableFunc(h.Certificates, func(a, b certificate) int { return b.from.Compare(a.from) })
	return h
}

// version changes with anything that is shown.
func version(list []device) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic("landing: " + err.Error()) // only plain values come here
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}
