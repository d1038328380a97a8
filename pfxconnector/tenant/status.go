package tenant

import (
	"context"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// Status is how it stands.
type Status struct {
	Tenant string
	Key    Registration // if Why is nil
	Why    error        // why nothing is handed over, as far as the key goes
	Counts
}

// Status tells how it stands.
func (s *Service) Status(ctx context.Context) (Status, error) {
	out := Status{Tenant: s.ID}
	var err error
	if out.Key, out.Why = s.Recipient(ctx); out.Why != nil && fault.Of(out.Why) == nil {
		return out, out.Why
	}
	out.Counts, err = s.Store.CopyCounts(ctx)
	return out, err
}

// Copies lists at most limit, of a user or of all, that follow after (user id and
// fingerprint); never nil.
func (s *Service) Copies(ctx context.Context, user subject.UserID, after string, limit int) ([]Copy, error) {
	return s.Store.Copies(ctx, user, after, limit)
}

// Propose reads a recipient key for the tenant that is configured. ErrOff, and
// those of [NewRecipient].
func (s *Service) Propose(provider, name, padding string, file []byte) (Recipient, error) {
	if s.ID == "" {
		return Recipient{}, ErrOff
	}
	return NewRecipient(s.ID, provider, name, padding, file)
}
