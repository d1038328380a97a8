package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
)

var _ scep.ProfileStore = SCEP{}

const selectProfile = `SELECT document FROM certificate_profile ORDER BY name`

// CertificateProfiles implements [scep.ProfileStore].
func (s SCEP) CertificateProfiles(ctx context.Context) ([]scep.Profile, error) {
	return all(ctx, s.db.read, scanProfile, selectProfile)
}

func scanProfile(row scanner) (p scep.Profile, err error) {
	var document string
	if err := row.Scan(&document); err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(document), &p); err != nil {
		return p, fmt.Errorf("reading a certificate profile: %w", err)
	}
	return p, nil
}

// CertificateProfilesApplied implements [scep.ProfileStore].
func (s SCEP) CertificateProfilesApplied(ctx context.Context, seen string, saved []scep.Profile, removed []string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO turnstile (name) VALUES (?)`+s.db.upsert("name", "name = VALUES(name)"), journal.ProfilesApplied); err != nil {
			return fmt.Errorf("waiting for others: %w", err)
		}
		now, err := all(ctx, tx, scanProfile, selectProfile)
		if err != nil {
			return fmt.Errorf("reading certificate profiles: %w", err)
		}
		if scep.ProfileRevision(now) != seen {
			return scep.ErrProfilesChanged
		}
		if err := unnamed(ctx, tx, removed); err != nil {
			return err
		}
		for _, p := range saved {
			removed = append(removed[:len(removed):len(removed)], p.Name)
		}
		for _, name := range removed {
			if _, err := tx.ExecContext(ctx, `DELETE FROM certificate_profile WHERE name = ?`, name); err != nil {
				return fmt.Errorf("deleting certificate profile: %w", err)
			}
		}
		for _, p := range saved {
			document, err := json.Marshal(p)
			if err != nil {
				return fmt.Errorf("encoding certificate profile %s: %w", p.Name, err)
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO certificate_profile (name, document, changed_at) VALUES (?, ?, ?)`,
				p.Name, string(document), micros(e.At))
			if err != nil {
				return fmt.Errorf("inserting certificate profile %s: %w", p.Name, err)
			}
		}
		return record(ctx, tx, e)
	})
}

// unnamed sees that no policy names any of those.
func unnamed(ctx context.Context, tx *sql.Tx, profiles []string) error {
	if len(profiles) == 0 {
		return nil
	}
	policies, err := all(ctx, tx, scanPolicy, selectPolicies)
	if err != nil {
		return fmt.Errorf("reading policies: %w", err)
	}
	for _, p := range policies {
		if slices.ContainsFunc(profiles, p.Names) {
			return appconfig.ErrNamed
		}
	}
	return nil
}
