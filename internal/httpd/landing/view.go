package landing

import (
	"cmp"
	"fmt"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/subject"
)

// device is one device as its user sees it.
type device struct {
	Name    string
	Summary string
	Advice  string
	Done    int
	Total   int
	Lines   []line
	Notes   []string
}

// line is one thing on a device, in words.
type line struct {
	What, State, Class, Why string
}

// words says each state in the user's words, with the class of its colour.
var words = map[delivery.State]struct{ text, class string }{
	delivery.Queued:    {"waiting", ""},
	delivery.Sealed:    {"on its way", "working"},
	delivery.Sent:      {"being installed", "working"},
	delivery.Installed: {"installed", "done"},
	delivery.Failed:    {"did not work", "failed"},
	delivery.Removing:  {"being removed", "working"},
	delivery.Removed:   {"removed", ""},
}

// devicesOf puts progress into words.
func devicesOf(list []delivery.Progress) []device {
	devices := make([]device, len(list))
	for i, p := range list {
		devices[i] = deviceOf(p)
	}
	return devices
}

func deviceOf(p delivery.Progress) device {
	d := device{Name: nameOf(p.Device), Advice: p.Hint, Done: p.Installed, Total: len(p.Lines), Notes: p.Notes}
	for _, l := range p.Lines {
		w := words[l.State]
		d.Lines = append(d.Lines, line{What: l.Words, State: w.text, Class: w.class, Why: l.Reason})
	}
	d.Summary = summary(p)
	return d
}

func summary(p delivery.Progress) string {
	switch {
	case len(p.Lines) == 0:
		return "Nothing is to come to this device yet."
	case p.Done():
		return "Everything is on this device."
	case failed(p) && !working(p):
		return fmt.Sprintf("%d of %d are on this device. The rest needs help: show this page to your help desk.", p.Installed, len(p.Lines))
	}
	return fmt.Sprintf("%d of %d are on this device.", p.Installed, len(p.Lines))
}

// nameOf is what the user calls the device, as far as we know.
func nameOf(d subject.Device) string { return cmp.Or(d.Name, d.Model, "Your device") }

// working tells whether something of it changes by itself.
func working(p delivery.Progress) bool {
	for _, l := range p.Lines {
		switch l.State {
		case delivery.Queued, delivery.Sealed, delivery.Sent, delivery.Removing:
			return true
		}
	}
	return false
}

func failed(p delivery.Progress) bool {
	for _, l := range p.Lines {
		if l.State == delivery.Failed {
			return true
		}
	}
	return false
}

// unfinished tells whether the page will soon be another.
func unfinished(list []delivery.Progress) bool {
	for _, p := range list {
		if working(p) {
			return true
		}
	}
	return false
}
