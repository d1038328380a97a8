package phone

import (
	"context"
	"crypto/x509"
	"fmt"
)

// command is one request type.
type command struct {
	rights   int64 // access rights it needs, all of them
	unlocked bool  // answers NotNow while the phone is locked
	run      func(*Phone, context.Context, dict) (dict, error)
}

// commands are the request types a phone knows. iOS knows more; what Signet
// has no use for is refused as unknown.
// Spec: Apple MDM, commands and queries
var commands map[string]command

func init() { // not a literal: the commands refer back to the table
	commands = map[string]command{
		"InstallProfile":                  {rightInstallProfiles, true, (*Phone).installProfile},
		"RemoveProfile":                   {0, false, (*Phone).removeProfile},
		"ProfileList":                     {rightInspectProfiles, false, (*Phone).profileList},
		"CertificateList":                 {rightInspectProfiles, false, (*Phone).certificateList},
		"DeviceInformation":               {rightInformation, false, (*Phone).deviceInformation},
		"SecurityInfo":                    {rightSecurity, true, (*Phone).securityInfo},
		"DeviceLock":                      {rightLock, false, (*Phone).deviceLock},
		"EraseDevice":                     {rightErase, false, (*Phone).eraseDevice},
		"InstallApplication":              {rightApps, true, (*Phone).installApplication},
		"RemoveApplication":               {rightApps, false, (*Phone).removeApplication},
		"ManagedApplicationList":          {rightApps, false, (*Phone).managedApplicationList},
		"InstalledApplicationList":        {rightInspectApps, false, (*Phone).installedApplicationList},
		"ManagedApplicationConfiguration": {rightApps, false, (*Phone).managedApplicationConfiguration},
		"Settings":                        {rightSettings, false, (*Phone).settings},
	}
}

// run carries out a command: an *Error is reported to the server, errNotNow
// and errFormat become their status.
func (p *Phone) run(ctx context.Context, c dict) (dict, error) {
	name := c.str("RequestType")
	if name == "" {
		return nil, errFormat
	}
	cmd, known := commands[name]
	if !known {
		return nil, mdmErr(12021, "%q is not a valid request type.", name)
	}
	if p.state().enrollment.AccessRights&cmd.rights != cmd.rights {
		return nil, errRights(name)
	}
	mood := p.feels()
	if cmd.unlocked && (mood.Locked || mood.FirstLocked) {
		return nil, errNotNow
	}
	return cmd.run(p, ctx, c)
}

func errRights(name string) error {
	return mdmErr(12007, "The MDM server is not authorised to send %q.", name)
}

// Spec: Apple MDM, InstallProfile
func (p *Phone) installProfile(ctx context.Context, c dict) (dict, error) {
	payload := c.data("Payload")
	if payload == nil {
		return nil, errFormat
	}
	if err := p.install(ctx, payload, byMDM); err != nil {
		return nil, err
	}
	if err := p.updateToken(ctx); err != nil { // after a renewal
		p.log(EventRefuse, "TokenUpdate", err.Error())
	}
	return nil, nil
}

// Spec: Apple MDM, RemoveProfile: the enrollment profile may be removed
// without the right to install profiles.
func (p *Phone) removeProfile(ctx context.Context, c dict) (dict, error) {
	id := c.str("Identifier")
	if id == "" {
		return nil, errFormat
	}
	e := p.state().enrollment
	if id == e.Profile {
		p.unenroll("the server removed it")
		p.sayGoodbye(ctx, e)
		return nil, nil
	}
	if e.AccessRights&rightInstallProfiles == 0 {
		return nil, errRights("RemoveProfile")
	}
	next := p.state().clone()
	switch prof := next.profile(id); {
	case prof == nil:
		return nil, installErr(4017, nil, "The profile %q could not be found.", id)
	case !prof.Managed:
		return nil, mdmErr(12013, "The profile %q is not managed.", id)
	}
	next.remove(id)
	p.commit(next)
	p.log(EventRemove, id, "")
	return nil, nil
}

// Spec: Apple MDM, ProfileList
func (p *Phone) profileList(_ context.Context, c dict) (dict, error) {
	list := []any{}
	for _, prof := range p.state().profiles {
		if prof.Managed || !c.flag("ManagedOnly") {
			list = append(list, prof.listed(p.os))
		}
	}
	return dict{"ProfileList": list}, nil
}

func (p *Profile) listed(os version) map[string]any {
	d := map[string]any{
		"PayloadIdentifier": p.Identifier, "PayloadUUID": p.UUID, "PayloadVersion": 1,
		"HasRemovalPasscode": false, "IsEncrypted": p.Encrypted, "IsManaged": p.Managed, "PayloadRemovalDisallowed": false,
	}
	for key, text := range map[string]string{
		"PayloadDisplayName": p.Name, "PayloadOrganization": p.Organization, "PayloadDescription": p.Description,
	} {
		if text != "" {
			d[key] = text
		}
	}
	var signers []any
	for _, c := range p.Signers {
		signers = append(signers, c.Raw)
	}
	if signers != nil {
		d["SignerCertificates"] = signers
	}
	if !p.Encrypted { // an encrypted profile does not show what is in it
		d["PayloadContent"] = p.listedPayloads(os)
	}
	return d
}

func (p *Profile) listedPayloads(os version) []any {
	list := []any{}
	for _, item := range p.Payloads {
		d := map[string]any{"PayloadType": item.Type, "PayloadVersion": 1, "PayloadIdentifier": item.Identifier}
		if item.Name != "" {
			d["PayloadDisplayName"] = item.Name
		}
		if os.atLeast(version{17, 0}) {
			d["PayloadUUID"] = item.UUID
		}
		list = append(list, d)
	}
	return list
}

// Spec: Apple MDM, CertificateList: NotNow before the first unlock from iOS
// 15.4; iOS 15.0 to 15.3 leave identities out instead.
func (p *Phone) certificateList(_ context.Context, c dict) (dict, error) {
	silent := false
	if p.feels().FirstLocked {
		if p.os.atLeast(version{15, 4}) {
			return nil, errNotNow
		}
		silent = p.os.atLeast(version{15, 0})
	}
	list := certificates{items: []any{}, seen: map[string]bool{}}
	for _, prof := range p.state().profiles {
		if !prof.Managed && c.flag("ManagedOnly") {
			continue
		}
		for _, item := range prof.Payloads {
			if item.Certificate != nil {
				list.add(item.Certificate, false)
			}
			if item.Identity != nil && !silent {
				list.add(item.Identity.Certificate, true)
			}
		}
	}
	return dict{"CertificateList": list.items}, nil
}

// certificates lists each item of the keychain once, however many profiles
// brought it.
type certificates struct {
	items []any
	seen  map[string]bool
}

func (l *certificates) add(c *x509.Certificate, identity bool) {
	if key := fmt.Sprint(identity) + string(c.Raw); !l.seen[key] {
		l.seen[key] = true
		l.items = append(l.items, map[string]any{"CommonName": c.Subject.CommonName, "IsIdentity": identity, "Data": c.Raw})
	}
}

// Spec: Apple MDM, DeviceLock
func (p *Phone) deviceLock(context.Context, dict) (dict, error) {
	p.mu.Lock()
	p.mood.Locked = true
	p.mu.Unlock()
	return nil, nil
}
