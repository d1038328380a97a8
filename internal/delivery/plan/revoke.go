package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// revoke gives the certificates of the device that are of no use any more.
func (v *view) revoke() []Revocation {
	return append(v.revokeSigning(), v.those(v.outgrown(), Superseded)...)
}

// outgrown gives the identities from before the one that the device uses, once
// what it had cached under them has come in. One that is younger may be on its
// way.
func (v *view) outgrown() []cert.Record {
	bound, known := v.identity()
	if !known {
		return nil
	}
	older := slices.DeleteFunc(v.identities(), func(r cert.Record) bool {
		return r.Revoked() || r.Fingerprint == bound.Fingerprint || !r.CreatedAt.Before(bound.CreatedAt)
	})
	if len(older) == 0 || !v.clock.passed(v.IdentityAt.Add(crossing)) {
		return nil
	}
	return older
}

// crossing is how long mdm still takes the identity before a renewal.
const crossing = 24 * time.Hour

// handedOut gives all other certificates that were issued to the device, by
// whatever profile.
func (v *view) handedOut() []cert.Record {
	return slices.DeleteFunc(slices.Clone(v.Records), func(r cert.Record) bool {
		return r.Source != cert.Issued || r.Use == cert.Identity || r.Holder.Device != v.Device.ID
	})
}

// identities gives all that were issued to the device.
func (v *view) identities() []cert.Record {
	return slices.DeleteFunc(slices.Clone(v.Records), func(r cert.Record) bool {
		return r.Use != cert.Identity || r.Holder.Device != v.Device.ID
	})
}

// revokeSigning gives the signing certificates that a newer one superseded, once
// the device shows the newer one, and all of them once nothing of ours signs
// there. Whoever is disabled signs nothing from now on, whatever is on his
// devices; his identities stay good, to take their profiles away.
func (v *view) revokeSigning() []Revocation {
	certs := v.signing()
	signs := slices.IndexFunc(v.Parcels, func(p Parcel) bool { return p.Signs })
	switch {
	case v.User.Disabled:
		return v.those(v.handedOut(), Leaving)
	case signs < 0 && v.settled():
		return v.those(certs, Cessation)
	case signs >= 0 && v.State(v.Parcels[signs]) == Installed && len(certs) > 0:
		return v.those(certs[1:], Superseded)
	}
	return nil
}

// settled tells that no signing key is wanted, nor on its way.
func (v *view) settled() bool {
	if slices.ContainsFunc(v.wanted, func(i Item) bool { return i.Signs || i.Kind == Mail && i.Hold }) {
		return false
	}
	return !slices.ContainsFunc(v.Parcels, func(p Parcel) bool { return p.Kind == Mail && v.State(p) != Installed })
}

// farewellLife is how long a removed device has to fetch its last command.
const farewellLife = 30 * 24 * time.Hour

// revokeAll is for a device that never comes back. Its identity stays good
// until it has fetched its last command.
func (v *view) revokeAll() []Revocation {
	reason := Cessation
	if v.Lost {
		reason = Compromise
	}
	list := v.those(v.handedOut(), reason)
	if v.Open > 0 && !v.clock.passed(v.Seen.Add(farewellLife)) {
		return list
	}
	return append(list, v.those(v.identities(), reason)...)
}

func (v *view) those(certs []cert.Record, reason string) (list []Revocation) {
	for _, r := range certs {
		if !r.Revoked() && v.Now.Before(r.NotAfter) {
			list = append(list, Revocation{r.Fingerprint, reason})
		}
	}
	return list
}
