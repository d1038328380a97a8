package escrow

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// quarantined begins what stands in the place of a user while nobody knows whose
// a key is. No user's id begins so, and a device identity names users only: a
// key that is bound to it opens for no device.
const quarantined = "q-"

// NewQuarantine makes a place in quarantine for one key, which is sealed to it as
// to a user.
func NewQuarantine() (subject.UserID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("making quarantine id: %w", err)
	}
	return subject.UserID(quarantined + id.String()), nil
}

// QuarantineUnder gives the place of a certificate's key that comes under a
// ticket.
func QuarantineUnder(ticket uuid.UUID, c cert.Fingerprint) subject.UserID {
	return subject.UserID(quarantined + RecordID(ticket, Binding{Cert: c}))
}

// InQuarantine tells a place in quarantine from a user.
func InQuarantine(id subject.UserID) bool {
	rest, ok := strings.CutPrefix(string(id), quarantined)
	return ok && subject.ValidID(rest)
}
