package plan

// Line explains one thing about a device.
type Line struct {
	Thing string `json:"thing"` // an identifier, a question, a certificate
	Label string `json:"label"` // for people
	State State  `json:"state"`
	Do    Do     `json:"do"`
	Why   string `json:"why"`
}

// Explain tells what the plan for a device is, and why.
func Explain(f Facts) []Line {
	p, list := Make(f), []Line{}
	for _, s := range p.Steps {
		l := Line{Thing: s.Item.Identifier, Label: s.Item.Label, State: s.State, Do: s.Do, Why: s.Why}
		if s.Item.Kind == "" {
			l.Thing, l.Label = s.Parcel.Identifier, s.Parcel.Label
		}
		if why := f.Reason(s.Parcel); why != "" {
			l.Why += " " + why
		}
		list = append(list, l)
	}
	for _, a := range p.Asks {
		list = append(list, Line{Thing: string(a.Question), Label: "Question to the device", Do: "ask", Why: a.Why})
	}
	for _, r := range p.Revoke {
		list = append(list, Line{Thing: r.Cert.String(), Label: "Signing certificate", Do: "revoke", Why: r.Reason})
	}
	for _, problem := range f.Policy.Problems {
		list = append(list, Line{Thing: problem.Key, Label: "Policy " + problem.Policy, Do: Wait, Why: problem.Why})
	}
	return list
}
