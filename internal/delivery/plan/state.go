package plan

import (
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
)

// State is where a parcel stands. It is worked out from its row, its commands
// and what the device says it holds; nobody stores it.
type State string

// The states.
const (
	Queued    State = "queued"    // the keeper is to seal it
	Parked    State = "parked"    // its bytes grew too old; made anew when the device speaks
	Ready     State = "sealed"    // the device can fetch it
	Sent      State = "sent"      // the device has fetched it
	Arrived   State = "arrived"   // the device took it; not proven yet
	Installed State = "installed" // the device shows it
	Failed    State = "failed"
	Removing  State = "removing"
	Lingering State = "lingering" // it should be gone and is not
	Gone      State = "removed"
)

// Apple's words for apps, as far as they matter here.
const (
	Managed = "Managed"
)

// refusals are what an app ends in when it is not managed, in words for people.
var refusals = map[string]string{
	"UserRejected":          "You declined to install Outlook.",
	"UpdateRejected":        "You declined to update Outlook.",
	"ManagementRejected":    "You declined to have Outlook managed.",
	"UserInstalledApp":      "Outlook is installed, but not managed.",
	"ManagedButUninstalled": "Outlook was deleted from the device.",
	"Failed":                "Outlook could not be installed.",
	"":                      "The device does not manage Outlook.",
}

// State works out where p stands.
func (f Facts) State(p Parcel) State {
	switch {
	case p.Removal.UUID != "":
		return f.removal(p)
	case !p.FailedAt.IsZero(), p.Command.State == CommandFailed, p.Command.State == CommandCancelled:
		return Failed
	case p.Command.State == CommandAcknowledged:
		return f.proof(p)
	case p.WantsSeal:
		return Queued
	case p.Profile && !p.Sealed:
		return Parked
	case p.Command.State == CommandSent:
		return Sent
	}
	return Ready
}

// proof asks whether the device shows what it took: the only proof that a key
// arrived.
func (f Facts) proof(p Parcel) State {
	switch {
	case p.Kind == Outlook:
		return f.appProof(p)
	case p.Kind == Enrollment && !f.IdentityAt.After(p.CreatedAt):
		return Failed
	case len(p.Certs) == 0 && !p.Signs:
		return Installed
	case !f.HeldAt.After(p.Command.DoneAt):
		return Arrived
	case f.lacks(p):
		return Failed
	}
	return Installed
}

func (f Facts) lacks(p Parcel) bool {
	key := p.Kind != Roots
	if slices.ContainsFunc(p.Certs, func(c cert.Fingerprint) bool { return !f.holds(c, key) }) {
		return true
	}
	if !p.Signs {
		return false
	}
	list := f.signing() // one from before this parcel is not what it brought
	return len(list) == 0 || list[0].CreatedAt.Before(p.CreatedAt) || !f.holds(list[0].Fingerprint, true)
}

func (f Facts) appProof(p Parcel) State {
	if !f.AppsAt.After(p.Command.DoneAt) {
		return Arrived
	}
	if f.App.State == Managed && f.App.Configured {
		return Installed
	}
	if _, refused := refusals[f.App.State]; refused || f.App.State == Managed {
		return Failed
	}
	return Arrived // on its way, or waiting for the user
}

// removal asks whether something is off the device. What counts is what the
// device shows, not how it answered: it refuses to remove what it does not have.
func (f Facts) removal(p Parcel) State {
	switch {
	case p.Removal.open():
		return Removing
	case p.Kind == Outlook:
		return f.appRemoval(p)
	case !f.ProfilesAt.After(p.Removal.DoneAt):
		return Removing
	case slices.Contains(f.Profiles, p.Identifier):
		return Lingering
	}
	return Gone
}

func (f Facts) appRemoval(p Parcel) State {
	switch {
	case p.Removal.State == CommandAcknowledged:
		return Gone
	case !f.AppsAt.After(p.Removal.DoneAt):
		return Removing
	case f.App.State == Managed && f.App.Configured:
		return Lingering
	}
	return Gone
}

// Reason says in a sentence why p failed, "" when it did not.
func (f Facts) Reason(p Parcel) string {
	switch {
	case f.State(p) != Failed:
		return ""
	case !p.FailedAt.IsZero():
		return p.Failure
	case p.Command.State == CommandFailed:
		return "The device refused it: " + p.Command.Error
	case p.Command.State == CommandCancelled:
		return "It was called off."
	case p.Kind == Enrollment:
		return "The device took it but did not renew its identity."
	case p.Kind != Outlook:
		return "The device took it but does not list the certificate that it should have with it."
	case f.App.State == Managed:
		return "Outlook has no settings from this server."
	}
	return refusals[f.App.State]
}
