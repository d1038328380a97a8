package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/rollover"
)

// Rollover is the facet of keys that follow each other.
type Rollover struct{ db *DB }

// Rollover gives the facet.
func (db *DB) Rollover() Rollover { return Rollover{db} }

var _ rollover.Store = Rollover{}

// Generations implements [rollover.Making].
func (s Rollover) Generations(ctx context.Context) ([]rollover.Generation, error) {
	list, err := all(ctx, s.db.read, scanGeneration, `SELECT line, number, name, above, state, since, chain
		FROM generation ORDER BY line, number`)
	if err != nil {
		return nil, fmt.Errorf("listing generations: %w", err)
	}
	return list, nil
}

// Mark changes whenever the state of a generation does.
func (s Rollover) Mark(ctx context.Context) (int64, error) {
	mark, err := column[int64](s.db.read.QueryRowContext(ctx, `SELECT COALESCE(SUM(since + number), 0) FROM generation`))
	if err != nil {
		return 0, fmt.Errorf("looking at generations: %w", err)
	}
	return mark, nil
}

func scanGeneration(row scanner) (g rollover.Generation, err error) {
	var since int64
	var chain []byte
	if err := row.Scan(&g.Line, &g.Number, &g.Name, &g.Above, &g.State, &since, &chain); err != nil {
		return g, err
	}
	g.Since = instant(since)
	if g.Certs, err = x509.ParseCertificates(chain); err != nil {
		return g, fmt.Errorf("reading certificates of %s: %w", g.Name, err)
	}
	return g, nil
}

// Retired names the keys that others have followed, or that were given up.
func (o Operations) Retired(ctx context.Context) ([]string, error) {
	names, err := all(ctx, o.db.read, column[string], `SELECT name FROM generation WHERE state IN (?, ?, ?) ORDER BY name`,
		rollover.Past, rollover.Over, rollover.Cancelled)
	if err != nil {
		return nil, fmt.Errorf("listing keys that were replaced: %w", err)
	}
	return names, nil
}

// chain is how certificates are stored: one after another.
func chain(certs []*x509.Certificate) []byte {
	der := []byte{}
	for _, c := range certs {
		der = append(der, c.Raw...)
	}
	return der
}

func insertGeneration(ctx context.Context, tx *sql.Tx, g rollover.Generation, end string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO generation (name, line, number, above, state, since, chain, lease_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0)`+end, g.Name, g.Line, g.Number, g.Above, g.State, micros(g.Since), chain(g.Certs))
	if err != nil {
		return fmt.Errorf("inserting generation %s: %w", g.Name, err)
	}
	return nil
}

// GenerationsAdopted stores those that are not there yet.
func (s Rollover) GenerationsAdopted(ctx context.Context, list []rollover.Generation) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, g := range list {
			if err := insertGeneration(ctx, tx, g, s.db.upsert("name", "name = VALUES(name)")); err != nil {
				return err
			}
		}
		return nil
	})
}

// GenerationsWanted implements [rollover.Making].
func (s Rollover) GenerationsWanted(ctx context.Context, list []rollover.Generation, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, g := range list {
			open := 0
			err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM generation WHERE line = ? AND (state IN (?, ?) OR number = ?)`,
				g.Line, rollover.Wanted, rollover.Next, g.Number).Scan(&open)
			if err != nil {
				return fmt.Errorf("looking for generations of %s: %w", g.Line, err)
			}
			if open > 0 {
				return rollover.ErrUnderWay
			}
			g.State = rollover.Wanted
			if err := insertGeneration(ctx, tx, g, ""); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
}

// GenerationLeased implements [rollover.Making].
func (s Rollover) GenerationLeased(ctx context.Context, name string, now, until time.Time) (ours bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE generation SET lease_until = ? WHERE name = ? AND state = ? AND lease_until <= ?`,
			micros(until), name, rollover.Wanted, micros(now))
		ours = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("leasing generation %s: %w", name, err)
	}
	return ours, nil
}

// GenerationMade implements [rollover.Making].
func (s Rollover) GenerationMade(ctx context.Context, g rollover.Generation, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if g.State == rollover.Current {
			if err := retire(ctx, tx, g.Line, e.At); err != nil {
				return err
			}
		}
		n, err := changed(ctx, tx, `UPDATE generation SET state = ?, since = ?, chain = ?, lease_until = 0 WHERE name = ? AND state = ?`,
			g.State, micros(e.At), chain(g.Certs), g.Name, rollover.Wanted)
		return settled(ctx, tx, n, err, e)
	})
}

// retire makes what is in use of a line past.
func retire(ctx context.Context, tx *sql.Tx, line string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE generation SET state = ?, since = ? WHERE line = ? AND state = ?`,
		rollover.Past, micros(at), line, rollover.Current)
	if err != nil {
		return fmt.Errorf("retiring a generation of %s: %w", line, err)
	}
	return nil
}

// settled ends a transaction that was to change a generation.
func settled(ctx context.Context, tx *sql.Tx, n int64, err error, e journal.Entry) error {
	if err != nil {
		return fmt.Errorf("changing a generation: %w", err)
	}
	if n == 0 {
		return rollover.ErrNotNext
	}
	return record(ctx, tx, e)
}

// GenerationActivated implements [rollover.Succession].
func (s Rollover) GenerationActivated(ctx context.Context, line, name string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := retire(ctx, tx, line, e.At); err != nil {
			return err
		}
		n, err := changed(ctx, tx, `UPDATE generation SET state = ?, since = ? WHERE name = ? AND line = ? AND state = ?`,
			rollover.Current, micros(e.At), name, line, rollover.Next)
		return settled(ctx, tx, n, err, e)
	})
}

// GenerationCancelled implements [rollover.Succession].
func (s Rollover) GenerationCancelled(ctx context.Context, name string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE generation SET state = ?, since = ? WHERE name = ? AND state IN (?, ?)`,
			rollover.Cancelled, micros(e.At), name, rollover.Wanted, rollover.Next)
		if err == nil && n > 0 {
			_, err = tx.ExecContext(ctx, `UPDATE generation SET state = ?, since = ? WHERE above = ?`, rollover.Cancelled, micros(e.At), name)
		}
		return settled(ctx, tx, n, err, e)
	})
}

// GenerationCertified replaces the certificates of one that has some.
func (s Rollover) GenerationCertified(ctx context.Context, g rollover.Generation) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE generation SET chain = ? WHERE name = ? AND chain <> ?`, chain(g.Certs), g.Name, []byte{})
		if err != nil {
			return fmt.Errorf("storing certificates of %s: %w", g.Name, err)
		}
		return nil
	})
}

// GenerationsOver implements [rollover.Succession].
func (s Rollover) GenerationsOver(ctx context.Context, names []string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, name := range names {
			n, err := changed(ctx, tx, `UPDATE generation SET state = ?, since = ? WHERE name = ? AND state = ?`,
				rollover.Over, micros(e.At), name, rollover.Past)
			if err == nil && n > 0 {
				_, err = tx.ExecContext(ctx, `UPDATE generation SET state = ?, since = ? WHERE above = ?`, rollover.Over, micros(e.At), name)
			}
			if err != nil {
				return fmt.Errorf("ending generation %s: %w", name, err)
			}
		}
		return record(ctx, tx, e)
	})
}

// LastEnd implements [rollover.Dependents].
func (s Rollover) LastEnd(ctx context.Context, issuer string) (time.Time, error) {
	end, err := column[int64](s.db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(not_after), 0) FROM issuance WHERE issuer = ?`, issuer))
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for the last certificate of %s: %w", issuer, err)
	}
	return instant(end), nil
}

// DevicesWithout implements [rollover.Dependents].
func (s Rollover) DevicesWithout(ctx context.Context, root cert.Fingerprint) (int, error) {
	n, err := column[int](s.db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM device d WHERE d.state = 'enrolled'
		AND NOT EXISTS (SELECT 1 FROM device_certificate h WHERE h.device_id = d.id AND h.fingerprint = ?)`, fingerprint(root)))
	if err != nil {
		return 0, fmt.Errorf("counting devices without a root: %w", err)
	}
	return n, nil
}
