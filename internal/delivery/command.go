package delivery

import (
	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// bring is the command that brings something to the device.
func bring(i plan.Item, f plan.Facts, parcel string) mdm.Command {
	switch {
	case i.Kind != plan.Outlook:
		return mdm.InstallProfile(f.Device.ID, parcel)
	case f.App.State == plan.Managed:
		return configure(f.Device.ID, i.Config)
	}
	// Spec: Apple MDM, InstallApplication. One that the user installed is taken
	// over, or it would take no configuration.
	return mdm.NewCommand(f.Device.ID, "InstallApplication", map[string]any{
		"iTunesStoreID": int64(appconfig.OutlookStore), "ManagementFlags": int64(1),
		"ChangeManagementState": plan.Managed, "Configuration": i.Config,
	})
}

// configure sets an app's configuration, nil removes it.
//
// Spec: Apple MDM, Settings, ApplicationConfiguration
func configure(d subject.DeviceID, config map[string]any) mdm.Command {
	item := map[string]any{"Item": "ApplicationConfiguration", "Identifier": appconfig.OutlookBundle}
	if config != nil {
		item["Configuration"] = config
	}
	return mdm.NewCommand(d, "Settings", map[string]any{"Settings": []any{item}})
}

// takeAway is the command that removes it again. The app itself stays: it may
// hold the user's own accounts.
func takeAway(p plan.Parcel, d subject.DeviceID) mdm.Command {
	if p.Kind == plan.Outlook {
		return configure(d, nil)
	}
	return mdm.RemoveProfile(d, p.Identifier)
}
