package pfxconnector

import (
	"context"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Publication is what the world may know of a user's imported certificates.
type Publication struct {
	User    subject.User
	Current *cert.Record       // others are to encrypt to it; nil: none
	Valid   []cert.Record      // all that are in force, the current one among them
	Past    []cert.Fingerprint // those that nobody is to encrypt to any more
}

// inBatch is how many users' certificates are read at a time.
const inBatch = 500

// Publications tells, for each of the users, what may be published.
func (s *Service) Publications(ctx context.Context, users []subject.User) ([]Publication, error) {
	return ofEach(ctx, s.Store, users, s.publication)
}

// ofEach makes something of each user's imported certificates.
func ofEach[T any](ctx context.Context, store Store, users []subject.User, of func(subject.User, []cert.Record) T) ([]T, error) {
	list := make([]T, 0, len(users))
	for batch := range slices.Chunk(users, inBatch) {
		ids := make([]subject.UserID, len(batch))
		for i, u := range batch {
			ids[i] = u.ID
		}
		records, err := store.ImportedOf(ctx, ids)
		if err != nil {
			return nil, fmt.Errorf("reading imported certificates: %w", err)
		}
		for _, u := range batch {
			list = append(list, of(u, records[u.ID]))
		}
	}
	return list, nil
}

func (s *Service) publication(u subject.User, records []cert.Record) Publication {
	now := s.Now()
	p := Publication{User: u, Current: cert.Choose(records, u.Mail, now).Current}
	for _, r := range records {
		valid, current := r.ValidAt(now) && !r.Revoked(), p.Current != nil && r.Fingerprint == p.Current.Fingerprint
		if valid {
			p.Valid = append(p.Valid, r)
		}
		switch {
		case current || !r.Use.Has(cert.Encryption):
		case valid && !slices.Contains(r.Addresses, u.Mail): // in use for another address
		case r.NotBefore.After(now) && !r.Revoked(): // to come
		default:
			p.Past = append(p.Past, r.Fingerprint)
		}
	}
	return p
}
