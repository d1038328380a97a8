package phone

import (
	"context"
	"maps"
	"slices"
)

// App is an app on the phone, or one the server has asked for.
type App struct {
	BundleID      string
	State         string         // as ManagedApplicationList has it
	Configuration map[string]any // com.apple.configuration.managed

	flags   int64
	managed bool // by MDM: only then it takes a configuration
	present bool // it is on the phone
	silent  bool // its end state was reported, which happens once
}

// States of an app.
const (
	appPrompting  = "Prompting"
	appTakeover   = "PromptingForManagement"
	appManaged    = "Managed"
	appRejected   = "UserRejected"
	appNoTakeover = "ManagementRejected"
	appUser       = "UserInstalledApp"
)

// AppConfig returns what an app reads under com.apple.configuration.managed,
// nil when the app is not managed or has no configuration.
func (p *Phone) AppConfig(bundleID string) map[string]any {
	return p.state().apps[bundleID].Configuration
}

// App returns an app the phone knows of.
func (p *Phone) App(bundleID string) (App, bool) {
	a, ok := p.state().apps[bundleID]
	return a, ok
}

// Download makes the user install an app from the App Store.
func (p *Phone) Download(bundleID string) {
	p.op.Lock()
	defer p.op.Unlock()
	p.setApp(App{BundleID: bundleID, State: appUser, present: true, silent: true})
}

func (p *Phone) setApp(a App) {
	next := p.state().clone()
	if next.apps == nil {
		next.apps = map[string]App{}
	}
	next.apps[a.BundleID] = a
	p.commit(next)
	p.log(EventApp, a.BundleID, a.State)
}

// Spec: Apple MDM, InstallApplication, on a phone that is not supervised: the
// user is asked after the series.
func (p *Phone) installApplication(_ context.Context, c dict) (dict, error) {
	id, err := p.wantedApp(c)
	if err != nil {
		return nil, err
	}
	if p.feels().Full {
		return nil, errFull
	}
	if m := c.str("ChangeManagementState"); m != "" && m != appManaged {
		return nil, errFormat
	}
	a := p.state().apps[id]
	a.BundleID = id
	switch {
	case a.managed:
	case a.present && c.str("ChangeManagementState") == "":
		return dict{"Identifier": id, "RejectionReason": "AppAlreadyInstalled"}, mdmErr(12025, "The app %q is already installed.", id)
	case a.present:
		a.State = appTakeover
	case a.State == appPrompting:
		return dict{"Identifier": id, "RejectionReason": "AppAlreadyQueued"}, mdmErr(12026, "The app %q is already in the queue.", id)
	default:
		a.State = appPrompting
	}
	a.Configuration, a.flags, a.silent = c.dict("Configuration"), c.integer("ManagementFlags"), false
	p.setApp(a)
	return dict{"Identifier": id, "State": a.State}, nil
}

// wantedApp gives the bundle identifier of the app a command names.
func (p *Phone) wantedApp(c dict) (string, error) {
	switch {
	case c.has("iTunesStoreID"):
		if id, known := p.cfg.Store[c.integer("iTunesStoreID")]; known {
			return id, nil
		}
	case c.has("Identifier"):
		for _, id := range p.cfg.Store {
			if id == c.str("Identifier") {
				return id, nil
			}
		}
	default:
		return "", errFormat
	}
	return "", &Error{domainMDM, 12023, "The App Store id of the app could not be validated.", nil}
}

// answerPrompts lets the user answer what apps ask. A locked phone shows no
// question.
func (p *Phone) answerPrompts() {
	mood := p.feels()
	if mood.Locked || mood.FirstLocked {
		return
	}
	apps := p.state().apps
	for _, id := range slices.Sorted(maps.Keys(apps)) {
		a := apps[id]
		takeover := a.State == appTakeover
		if a.State != appPrompting && !takeover {
			continue
		}
		switch {
		case !mood.RefusesApps:
			a.State, a.managed, a.present = appManaged, true, true
		case takeover:
			a.State, a.Configuration = appNoTakeover, nil
		default:
			a.State, a.Configuration = appRejected, nil
		}
		p.setApp(a)
	}
}

// Spec: Apple MDM, RemoveApplication
func (p *Phone) removeApplication(_ context.Context, c dict) (dict, error) {
	a, err := p.managedApp(c)
	if err != nil {
		return nil, err
	}
	next := p.state().clone()
	delete(next.apps, a.BundleID)
	p.commit(next)
	p.log(EventApp, a.BundleID, "removed")
	return nil, nil
}

func (p *Phone) managedApp(c dict) (App, error) {
	id := c.str("Identifier")
	if id == "" {
		return App{}, errFormat
	}
	a := p.state().apps[id]
	if !a.managed {
		return App{}, mdmErr(12029, "The app %q is not managed.", id)
	}
	return a, nil
}

// Spec: Apple MDM, ManagedApplicationList: what the user refused is reported
// once.
func (p *Phone) managedApplicationList(_ context.Context, c dict) (dict, error) {
	list := map[string]any{}
	next := p.state().clone()
	for id, a := range next.apps {
		if a.silent || !wanted(c, id) {
			continue
		}
		list[id] = map[string]any{
			"Status": a.State, "ManagementFlags": a.flags,
			"HasConfiguration": a.Configuration != nil, "HasFeedback": false, "IsValidated": true,
		}
		if a.State == appRejected || a.State == appNoTakeover {
			a.silent = true
			next.apps[id] = a
		}
	}
	p.commit(next)
	return dict{"ManagedApplicationList": list}, nil
}

// wanted reports whether a query with an optional list of identifiers asks
// for this one.
func wanted(c dict, id string) bool {
	return !c.has("Identifiers") || slices.Contains(c.strings("Identifiers"), id)
}

// Spec: Apple MDM, InstalledApplicationList
func (p *Phone) installedApplicationList(_ context.Context, c dict) (dict, error) {
	list := []any{}
	apps := p.state().apps
	for _, id := range slices.Sorted(maps.Keys(apps)) {
		a := apps[id]
		if !a.present || !wanted(c, id) || c.flag("ManagedAppsOnly") && !a.managed {
			continue
		}
		all := map[string]any{
			"Identifier": id, "Name": id, "Version": "1", "ShortVersion": "1.0",
			"Installing": false, "IsValidated": true, "AppStoreVendable": true, "HasUpdateAvailable": false,
		}
		if items := c.strings("Items"); len(items) > 0 {
			maps.DeleteFunc(all, func(k string, _ any) bool { return !slices.Contains(items, k) })
		}
		list = append(list, all)
	}
	return dict{"InstalledApplicationList": list}, nil
}

// Spec: Apple MDM, ManagedApplicationConfiguration
func (p *Phone) managedApplicationConfiguration(_ context.Context, c dict) (dict, error) {
	if !c.has("Identifiers") {
		return nil, errFormat
	}
	list := []any{}
	for _, id := range c.strings("Identifiers") {
		if a := p.state().apps[id]; a.managed && a.Configuration != nil {
			list = append(list, map[string]any{"Identifier": id, "Configuration": a.Configuration})
		}
	}
	return dict{"ApplicationConfigurations": list}, nil
}

// appsWithoutMDM is what stays when management ends: apps flagged for it go,
// the others become the user's own and lose their configuration.
func appsWithoutMDM(apps map[string]App) map[string]App {
	const removeWithMDM = 1
	out := map[string]App{}
	for id, a := range apps {
		if !a.present || a.managed && a.flags&removeWithMDM != 0 {
			continue
		}
		out[id] = App{BundleID: id, State: appUser, present: true, silent: true}
	}
	return out
}
