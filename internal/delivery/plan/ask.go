package plan

import (
	"slices"
	"time"
)

// How often things are asked again.
const (
	inventoryLife = 7 * 24 * time.Hour // what a device told about itself
	askAgain      = time.Hour          // after an answer that did not help
)

// asked gives the latest question of that kind.
func (v *view) asked(q Question) Asked {
	i := slices.IndexFunc(v.Asked, func(a Asked) bool { return a.Question == q })
	if i < 0 {
		return Asked{}
	}
	return v.Asked[i]
}

// asks works out what to ask the device. Only what it was asked and has
// answered can be asked again.
func (v *view) asks(steps []Step) (asks []Ask) {
	add := func(q Question, since time.Time, why string) {
		if v.may(q, since) {
			asks = append(asks, Ask{q, why})
		}
	}
	add(Information, v.InformedAt.Add(inventoryLife), "Its iOS version decides how keys are packed.")
	if since, why := v.showCertificates(steps); why != "" {
		add(Certificates, since, why)
	}
	if since, why := showProfiles(steps); why != "" {
		add(Profiles, since, why)
	}
	if since, why := v.showApps(steps); why != "" {
		add(Apps, since, why)
	}
	return asks
}

// may tells whether a question that came up at since is to be asked now.
func (v *view) may(q Question, since time.Time) bool {
	last := v.asked(q)
	switch {
	case last.Open:
		return false
	case !v.clock.passed(since):
		return false
	case last.DoneAt.After(since):
		return v.clock.passed(last.DoneAt.Add(askAgain))
	}
	return true
}

// showCertificates tells since when the list of certificates is needed.
func (v *view) showCertificates(steps []Step) (since time.Time, why string) {
	for _, s := range steps {
		p := s.Parcel
		switch {
		case p.Kind == Outlook || s.Do == Replace:
		case s.State == Arrived && p.Command.DoneAt.After(since):
			since, why = p.Command.DoneAt, "It proves what arrived."
		}
	}
	if why == "" && slices.ContainsFunc(steps, func(s Step) bool { return s.State == Installed && s.Parcel.Kind != Outlook }) {
		return v.HeldAt.Add(inventoryLife), "It is looked at once a week."
	}
	return since, why
}

// showProfiles tells since when the list of profiles is needed.
func showProfiles(steps []Step) (since time.Time, why string) {
	for _, s := range steps {
		if r := s.Parcel.Removal; s.Parcel.Kind != Outlook && s.State == Removing && !r.open() && r.DoneAt.After(since) {
			since, why = r.DoneAt, "It proves what was removed."
		}
	}
	return since, why
}

// showApps tells since when the state of Outlook is needed.
func (v *view) showApps(steps []Step) (since time.Time, why string) {
	for _, s := range steps {
		switch p := s.Parcel; {
		case p.Kind == Outlook && s.State == Removing && !p.Removal.open():
			return p.Removal.DoneAt, "It proves what was removed."
		case s.Item.Kind != Outlook:
		case p.ID == "" && s.Do == Wait:
			return v.AppsAt.Add(inventoryLife), "Only a managed Outlook takes settings."
		case s.State == Arrived && !v.AppsAt.After(p.Command.DoneAt):
			return p.Command.DoneAt, "It proves what arrived."
		case s.State == Arrived:
			return v.AppsAt.Add(lull(v.Now.Sub(p.Command.DoneAt))), "The user is asked to install it."
		case s.State == Installed:
			return v.AppsAt.Add(inventoryLife), "It is looked at once a week."
		}
	}
	return since, ""
}

// lull is how long to wait before asking again after something that takes the
// user's time, by how long it takes already.
func lull(waited time.Duration) time.Duration {
	switch {
	case waited < time.Minute:
		return 5 * time.Second
	case waited < 10*time.Minute:
		return time.Minute
	case waited < 24*time.Hour:
		return time.Hour
	}
	return 24 * time.Hour
}
