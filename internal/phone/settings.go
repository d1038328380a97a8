package phone

import (
	"context"
)

// settings answers one result an item, so that some can fail.
// Spec: Apple MDM, Settings
func (p *Phone) settings(_ context.Context, c dict) (dict, error) {
	items := c.array("Settings")
	if len(items) == 0 {
		return nil, errFormat
	}
	results := []any{}
	for _, v := range items {
		item, ok := v.(map[string]any)
		if !ok {
			return nil, errFormat
		}
		results = append(results, settingResult(item, p.set(item)))
	}
	return dict{"Settings": results}, nil
}

func settingResult(item dict, err error) map[string]any {
	r := map[string]any{"Item": item.str("Item"), "Status": "Acknowledged"}
	if id := item.str("Identifier"); id != "" {
		r["Identifier"] = id
	}
	if err == errFormat {
		r["Status"] = "CommandFormatError"
	} else if err != nil {
		r["Status"], r["ErrorChain"] = "Error", errorChain(err)
	}
	return r
}

// set applies one setting. Without Configuration the app's is removed.
func (p *Phone) set(item dict) error {
	if item.str("Item") != "ApplicationConfiguration" {
		return mdmErr(12021, "%q is not a valid setting.", item.str("Item"))
	}
	if p.state().enrollment.AccessRights&rightApps == 0 {
		return errRights("ApplicationConfiguration")
	}
	a, err := p.managedApp(item)
	if err != nil {
		return err
	}
	if _, isDict := item["Configuration"].(map[string]any); item.has("Configuration") && !isDict {
		return errFormat
	}
	a.Configuration = item.dict("Configuration")
	p.setApp(a)
	return nil
}
