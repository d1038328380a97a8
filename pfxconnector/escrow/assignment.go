package escrow

import (
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Assignment says whose a key in quarantine is. Whoever decided on it marks it
// with a key that the database does not hold, so that one which somebody wrote
// into it counts for nothing.
type Assignment struct {
	From  subject.UserID // its place
	To    subject.UserID
	By    journal.Actor
	Fresh bool      // only as long as To has no device, and the primary address that the certificate names
	At    time.Time // microseconds
	Mark  []byte
}

func (a Assignment) aad() string {
	return fmt.Sprintf("assignment %q %q %q %q %q %t %d", a.From, a.To, a.By.Kind, a.By.ID, a.By.Remote, a.Fresh, a.At.UnixMicro())
}

// Marked is the assignment with its mark.
func (a Assignment) Marked(box *seal.Box) Assignment {
	a.Mark = box.Close(seal.Secret{}, a.aad())
	return a
}

// Genuine tells whether the mark was made for exactly this.
func (a Assignment) Genuine(box *seal.Box) bool {
	_, err := box.Open(a.Mark, a.aad())
	return err == nil
}
