package appconfig

import (
	"context"
	"fmt"

	"github.com/signet-mdm/signet/internal/subject"
)

// Explanation says what holds for a user, and why.
type Explanation struct {
	User     string       `json:"user" doc:"Address"`
	Policies []string     `json:"policies" nullable:"false" doc:"That hold, strongest first"`
	Settings []Line       `json:"settings" nullable:"false" doc:"What is in effect"`
	Problems []Line       `json:"problems" nullable:"false" doc:"What is not in effect, and why"`
	Mail     []Capability `json:"mail" nullable:"false" doc:"What this means for each mail app"`
	Outlook  string       `json:"outlook" doc:"The property list that Outlook gets; empty for none"`
}

// Line is one setting with where it comes from.
type Line struct {
	Key    string `json:"key" doc:"Setting"`
	Value  string `json:"value" doc:"Its value"`
	Policy string `json:"policy" doc:"That it comes from; empty for the default"`
}

// Effective gives what holds for a user and device now.
func (s *Service) Effective(ctx context.Context, u subject.User, d subject.Device) (Effective, error) {
	list, err := s.store.Policies(ctx)
	if err != nil {
		return Effective{}, fmt.Errorf("reading policies: %w", err)
	}
	return Resolve(list, u, d), nil
}

// Explain says what holds for the user that key names, on a device that is not
// known yet, and which policy each part comes from.
func (s *Service) Explain(ctx context.Context, key string) (Explanation, error) {
	u, err := s.people.User(ctx, key)
	if err != nil {
		return Explanation{}, err
	}
	e, err := s.Effective(ctx, u, subject.Device{User: u.ID})
	if err != nil {
		return Explanation{}, err
	}
	return e.explain(u)
}

func (e Effective) explain(u subject.User) (Explanation, error) {
	x := Explanation{User: u.Mail, Policies: append([]string{}, e.Policies...), Settings: []Line{}, Problems: []Line{}, Mail: e.capabilities()}
	for _, key := range e.Settings.Keys() {
		x.Settings = append(x.Settings, Line{key, fmt.Sprint(e.Settings[key]), e.Origin[key]})
	}
	for _, p := range e.Problems {
		x.Problems = append(x.Problems, Line{p.Key, p.Why, p.Policy})
	}
	if e.outlook {
		text, err := e.OutlookPlist()
		if err != nil {
			return x, err
		}
		x.Outlook = string(text)
	}
	return x, nil
}

// capabilities gives the rows of the table that these settings are about.
func (e Effective) capabilities() []Capability {
	list := []Capability{}
	sources := map[string]string{"signing": e.Settings.Text(SigningSource), "encryption": e.Settings.Text(EncryptionSource)}
	for _, c := range Capabilities {
		if (c.App == AppleMail && e.apple || c.App == Outlook && e.outlook) && sources[c.Purpose] == c.Source {
			list = append(list, c)
		}
	}
	return list
}
