package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// AppConfig is the facet of the policies.
type AppConfig struct{ db *DB }

// AppConfig gives the facet.
func (db *DB) AppConfig() AppConfig { return AppConfig{db} }

var _ appconfig.Store = AppConfig{}

// Policies implements [appconfig.Store].
func (s AppConfig) Policies(ctx context.Context) ([]appconfig.Policy, error) {
	return all(ctx, s.db.read, scanPolicy, selectPolicies)
}

func scanPolicy(row scanner) (appconfig.Policy, error) {
	var p appconfig.Policy
	var assign, in, out, settings string
	if err := row.Scan(&p.Name, &p.Priority, &assign, &in, &out, &settings); err != nil {
		return p, err
	}
	for text, into := range map[*string]any{&assign: &p.Assign, &in: &p.In, &out: &p.Out} {
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			return p, fmt.Errorf("reading policy %s: %w", p.Name, err)
		}
	}
	var err error
	p.Settings, err = parseSettings(settings)
	return p, err
}

// parseSettings reads numbers as int64, as documents do.
func parseSettings(text string) (appconfig.Settings, error) {
	var s appconfig.Settings
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	for key, v := range s {
		n, is := v.(json.Number)
		if !is {
			continue
		}
		i, err := n.Int64()
		if err != nil {
			return nil, fmt.Errorf("reading setting %s: %w", key, err)
		}
		s[key] = i
	}
	return s, nil
}

// PoliciesApplied implements [appconfig.Store].
func (s AppConfig) PoliciesApplied(ctx context.Context, seen string, saved []appconfig.Policy, removed []string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		entry := e // f may run again
		if err := s.unchanged(ctx, tx, seen); err != nil {
			return err
		}
		for _, p := range saved {
			old, err := s.db.replacePolicy(ctx, tx, p)
			if err != nil {
				return err
			}
			entry.Due = entry.Due.Plus(old).Plus(p.In)
		}
		for _, name := range removed {
			old, err := s.db.deletePolicy(ctx, tx, name)
			if err != nil {
				return err
			}
			entry.Due = entry.Due.Plus(old)
		}
		return record(ctx, tx, entry)
	})
}

// unchanged locks the policies, and tells whether they have that revision.
func (s AppConfig) unchanged(ctx context.Context, tx *sql.Tx, seen string) error {
	if seen == "" {
		return nil
	}
	if _, err := s.db.hold(ctx, tx, `policy WHERE name >= ?`, ""); err != nil {
		return err
	}
	now, err := all(ctx, tx, scanPolicy, selectPolicies)
	if err != nil {
		return fmt.Errorf("reading policies: %w", err)
	}
	if appconfig.Revision(now) != seen {
		return appconfig.ErrChanged
	}
	return nil
}

const selectPolicies = `SELECT name, priority, assign, scope_in, scope_out, settings FROM policy ORDER BY name`

// replacePolicy gives whom the policy was for until now.
func (db *DB) replacePolicy(ctx context.Context, tx *sql.Tx, p appconfig.Policy) (subject.Scope, error) {
	old, err := db.deletePolicy(ctx, tx, p.Name)
	if err != nil {
		return old, err
	}
	var columns []any
	for _, v := range []any{p.Assign, p.In, p.Out, p.Settings} {
		text, err := json.Marshal(v)
		if err != nil {
			return old, fmt.Errorf("encoding policy %s: %w", p.Name, err)
		}
		columns = append(columns, string(text))
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO policy (name, priority, assign, scope_in, scope_out, settings) VALUES (?, ?, ?, ?, ?, ?)`,
		append([]any{p.Name, p.Priority}, columns...)...)
	if err != nil {
		return old, fmt.Errorf("inserting policy %s: %w", p.Name, err)
	}
	return old, nil
}

func (db *DB) deletePolicy(ctx context.Context, tx *sql.Tx, name string) (was subject.Scope, err error) {
	there, err := db.hold(ctx, tx, `policy WHERE name = ?`, name)
	if err != nil || !there {
		return was, err
	}
	var text string
	if err := tx.QueryRowContext(ctx, `SELECT scope_in FROM policy WHERE name = ?`, name).Scan(&text); err != nil {
		return was, fmt.Errorf("reading policy %s: %w", name, err)
	}
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return was, fmt.Errorf("reading policy %s: %w", name, err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM policy WHERE name = ?`, name); err != nil {
		return was, fmt.Errorf("deleting policy %s: %w", name, err)
	}
	return was, nil
}

// Groups implements [appconfig.Store].
func (s AppConfig) Groups(ctx context.Context) (map[string]appconfig.Members, error) {
	type row struct {
		name string
		id   subject.GroupID
		user sql.NullString
	}
	scan := func(r scanner) (v row, err error) { return v, r.Scan(&v.name, &v.id, &v.user) }
	list, err := all(ctx, s.db.read, scan, `SELECT g.name, g.id, m.user_id FROM groups_ g
		LEFT JOIN membership m ON m.group_id = g.id ORDER BY g.name, m.user_id`)
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	groups := map[string]appconfig.Members{}
	for _, r := range list {
		g := groups[r.name]
		if g.ID = r.id; r.user.Valid {
			g.Users = append(g.Users, subject.UserID(r.user.String))
		}
		groups[r.name] = g
	}
	return groups, nil
}
