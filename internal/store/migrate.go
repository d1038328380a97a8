package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"

	"github.com/signet-mdm/signet/internal/fault"
)

//go:embed schema
var schema embed.FS

// ErrSchemaNewer is returned for a database that a later version has changed.
var ErrSchemaNewer = fault.New(fault.Conflict, "schema_newer",
	"The database was made by a newer version of Signet.", "Run that version, or restore a backup of this one.")

// migrate brings the schema up to date.
func (db *DB) migrate(ctx context.Context, pool *sql.DB, options ...goose.ProviderOption) error {
	p, err := db.dia.migrations(pool, options...)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return ErrSchemaNewer
	}
	behind, err := p.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("reading schema version: %w", err)
	}
	if !behind {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// migrated tells whether all migrations were applied, by looking only.
func (d dialect) migrated(ctx context.Context, pool *sql.DB) (bool, error) {
	have, err := all(ctx, pool, column[int64], `SELECT version_id FROM goose_db_version WHERE is_applied = 1 ORDER BY version_id`)
	if mysqlNumber(err) == errNoTable {
		return false, nil
	}
	want, failed := d.numbers()
	if err = errors.Join(err, failed); err != nil {
		return false, fmt.Errorf("reading schema version: %w", err)
	}
	if n := len(have); n > 0 && have[n-1] > want[len(want)-1] {
		return false, ErrSchemaNewer
	}
	for _, n := range want {
		if _, there := slices.BinarySearch(have, n); !there {
			return false, nil
		}
	}
	return true, nil
}

// migrations gives those of the dialect.
func (d dialect) migrations(pool *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(schema, "schema/"+d.schema)
	if err != nil {
		return nil, fmt.Errorf("reading schema files: %w", err)
	}
	// A migration that was merged after a later number is applied all the same:
	// none relies on one that has not its own number below.
	options = append(options, goose.WithAllowOutofOrder(true))
	p, err := goose.NewProvider(goose.Dialect(d.name), pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing migrations: %w", err)
	}
	return p, nil
}
