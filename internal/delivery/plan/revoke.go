package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// revoke gives the signing certificates of the device that are of no use any
// more: those that a newer one superseded, once the device shows the newer one,
// and all of them once nothing of ours signs there.
func (v *view) revoke() (list []Revocation) {
	certs := v.signing()
	signs := slices.IndexFunc(v.Parcels, func(p Parcel) bool { return p.Signs })
	switch {
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
	list := v.those(v.signing(), Cessation)
	if v.Open > 0 && !v.clock.passed(v.Seen.Add(farewellLife)) {
		return list
	}
	identities := slices.DeleteFunc(slices.Clone(v.Records), func(r cert.Record) bool {
		return r.Use != cert.Identity || r.Holder.Device != v.Device.ID
	})
	return append(list, v.those(identities, Cessation)...)
}

func (v *view) those(certs []cert.Record, reason string) (list []Revocation) {
	for _, r := range certs {
		if !r.Revoked() && v.Now.Before(r.NotAfter) {
			list = append(list, Revocation{r.Fingerprint, reason})
		}
	}
	return list
}
