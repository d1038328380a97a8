package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Directory is the facet of users and groups.
type Directory struct{ db *DB }

// Directory gives the facet.
func (db *DB) Directory() Directory { return Directory{db} }

var _ directory.Store = Directory{}

// UserSaved implements [directory.Store].
func (s Directory) UserSaved(ctx context.Context, u subject.User, e journal.Entry) error {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.saveAlone(ctx, tx, u); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if s.db.dia.unique(err) {
		return directory.ErrUserExists.With(err)
	}
	return err
}

// saveAlone saves a user none of whose addresses is another's, of whatever kind:
// each address finds one person.
func (s Directory) saveAlone(ctx context.Context, tx *sql.Tx, u subject.User) error {
	if err := saveUser(ctx, tx, u); err != nil {
		return err
	}
	for _, a := range append([]string{u.Mail, u.UPN}, u.Aliases...) {
		if err := s.refuseTaken(ctx, tx, a, u.ID); err != nil {
			return err
		}
	}
	return nil
}

// refuseTaken makes sure that nobody else has an address of any kind. It looks
// after the own ones were written and locks what it finds: of two that take the
// same address at once, one waits for the other.
func (s Directory) refuseTaken(ctx context.Context, tx *sql.Tx, address string, id subject.UserID) error {
	for _, q := range []string{
		`SELECT id FROM users WHERE mail = ?`, `SELECT id FROM users WHERE upn = ?`, `SELECT user_id FROM user_alias WHERE address = ?`,
	} {
		var owner subject.UserID
		err := tx.QueryRowContext(ctx, q+s.db.dia.locking, address).Scan(&owner)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("looking for the address: %w", err)
		}
		if err == nil && owner != id {
			return directory.ErrUserExists
		}
	}
	return nil
}

// UserChanged implements [directory.Store].
func (s Directory) UserChanged(ctx context.Context, was, u subject.User, e journal.Entry) error {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := s.db.hold(ctx, tx, `users WHERE id = ?`, was.ID); err != nil {
			return err
		}
		now, err := userNow(ctx, tx, was.ID)
		if err != nil {
			return err
		}
		if !sameUser(now, was) {
			return directory.ErrUserChanged
		}
		if err := mailFree(ctx, tx, now, u); err != nil {
			return err
		}
		if err := s.saveAlone(ctx, tx, u); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if s.db.dia.unique(err) {
		return directory.ErrUserExists.With(err)
	}
	return err
}

// mailFree keeps the primary address of a user with keys, for invitations go
// there, and of an approver, whose links do.
func mailFree(ctx context.Context, tx *sql.Tx, now, u subject.User) error {
	if now.Mail == u.Mail {
		return nil
	}
	var keys int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM escrow_key WHERE user_id = ?) +
		(SELECT COUNT(*) FROM approver WHERE user_id = ? AND removed_at = 0)`, now.ID, now.ID).Scan(&keys)
	if err != nil {
		return fmt.Errorf("counting keys and offices of %s: %w", now.ID, err)
	}
	if keys > 0 {
		return directory.ErrMailBound
	}
	return nil
}

// userNow reads a user, without groups, as the transaction sees him.
func userNow(ctx context.Context, tx *sql.Tx, id subject.UserID) (subject.User, error) {
	u, err := scanUser(tx.QueryRowContext(ctx, selectUser+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return u, directory.ErrUserUnknown
	}
	if err != nil {
		return u, fmt.Errorf("reading user: %w", err)
	}
	u.Aliases, err = all(ctx, tx, column[string], `SELECT address FROM user_alias WHERE user_id = ? ORDER BY address`, id)
	if err != nil {
		return u, fmt.Errorf("reading aliases: %w", err)
	}
	return u, nil
}

func sameUser(a, b subject.User) bool {
	same := a.ID == b.ID && a.UPN == b.UPN && a.Mail == b.Mail && a.Name == b.Name && a.GivenName == b.GivenName && a.Surname == b.Surname
	return same && a.OnPremises == b.OnPremises && a.Disabled == b.Disabled && slices.Equal(slices.Sorted(slices.Values(a.Aliases)), slices.Sorted(slices.Values(b.Aliases)))
}

func saveUser(ctx context.Context, tx *sql.Tx, u subject.User) error {
	n, err := changed(ctx, tx, `UPDATE users SET upn = ?, mail = ?, name = ?, given_name = ?, surname = ?, disabled = ?,
		department = ?, sam_account = ?, on_premises_upn = ?, distinguished_name = ?, sid = ? WHERE id = ?`,
		append(userValues(u), u.ID)...)
	if err != nil {
		return fmt.Errorf("updating user: %w", err)
	}
	if n == 0 {
		_, err = tx.ExecContext(ctx, `INSERT INTO users (upn, mail, name, given_name, surname, disabled,
			department, sam_account, on_premises_upn, distinguished_name, sid, id, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			append(userValues(u), u.ID, micros(u.CreatedAt))...)
		if err != nil {
			return fmt.Errorf("inserting user: %w", err)
		}
	}
	return saveAliases(ctx, tx, u)
}

func saveAliases(ctx context.Context, tx *sql.Tx, u subject.User) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM user_alias WHERE user_id = ?`, u.ID); err != nil {
		return fmt.Errorf("clearing aliases: %w", err)
	}
	for _, a := range u.Aliases {
		if _, err := tx.ExecContext(ctx, `INSERT INTO user_alias (address, user_id) VALUES (?, ?)`, a, u.ID); err != nil {
			return fmt.Errorf("inserting alias: %w", err)
		}
	}
	return nil
}

// userColumns is what is said of a user u, in the order of userFields and
// userValues.
const userColumns = `u.upn, u.mail, u.name, u.given_name, u.surname, u.disabled,
	u.department, u.sam_account, u.on_premises_upn, u.distinguished_name, u.sid`

// userFields gives where userColumns are read into.
func userFields(u *subject.User) []any {
	return []any{&u.UPN, &u.Mail, &u.Name, &u.GivenName, &u.Surname, &u.Disabled,
		&u.Department, &u.SAMAccountName, &u.OnPremisesUPN, &u.DistinguishedName, &u.SID}
}

func userValues(u subject.User) []any {
	return []any{u.UPN, u.Mail, u.Name, u.GivenName, u.Surname, u.Disabled,
		u.Department, u.SAMAccountName, u.OnPremisesUPN, u.DistinguishedName, u.SID}
}

const selectUser = `SELECT u.id, u.created_at, ` + userColumns + ` FROM users u`

func scanUser(row scanner) (subject.User, error) {
	u := subject.User{Aliases: []string{}, Groups: []subject.GroupID{}}
	var created int64
	err := row.Scan(append([]any{&u.ID, &created}, userFields(&u)...)...)
	u.CreatedAt = instant(created)
	return u, err
}

// User implements [directory.Store].
func (s Directory) User(ctx context.Context, key string) (subject.User, error) {
	row := s.db.read.QueryRowContext(ctx, selectUser+` WHERE id = ? OR mail = ? OR upn = ?
		OR id = (SELECT user_id FROM user_alias WHERE address = ?)`, key, key, key, key)
	u, err := scanUser(row)
	if errors.Is(err, sql.ErrNoRows) {
		return u, directory.ErrUserUnknown
	}
	if err != nil {
		return u, fmt.Errorf("reading user: %w", err)
	}
	list := []subject.User{u}
	err = s.complete(ctx, list, ` WHERE user_id = ?`, u.ID)
	return list[0], err
}

const userPage = selectUser + ` WHERE mail > ? ORDER BY mail LIMIT ?`

// Users implements [directory.Store].
func (s Directory) Users(ctx context.Context, after string, limit int) ([]subject.User, error) {
	return s.listed(ctx, userPage, after, limit)
}

// userSearch looks at every user: people search, programs do not.
//
// Quirk: SQLite's LOWER leaves all but ASCII alone, so the text is also looked
// for as it is.
const userSearch = selectUser + ` WHERE mail > ?
	AND (LOWER(name) LIKE ? ESCAPE '!' OR name LIKE ? ESCAPE '!' OR mail LIKE ? ESCAPE '!' OR LOWER(upn) LIKE ? ESCAPE '!') ORDER BY mail LIMIT ?`

// Search implements [directory.Store].
func (s Directory) Search(ctx context.Context, text, after string, limit int) ([]subject.User, error) {
	as := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
	lower := strings.ToLower(as)
	return s.listed(ctx, userSearch, after, lower, as, lower, lower, limit)
}

// listed gives the users of a query, whole.
func (s Directory) listed(ctx context.Context, query string, values ...any) ([]subject.User, error) {
	list, err := all(ctx, s.db.read, scanUser, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	if len(list) == 0 {
		return list, nil
	}
	ids := make([]subject.UserID, len(list))
	for i, u := range list {
		ids[i] = u.ID
	}
	return list, s.complete(ctx, list, ` WHERE user_id IN (`+marks(len(ids))+`)`, args(ids)...)
}

// complete fills in aliases and groups, in two statements however many users.
func (s Directory) complete(ctx context.Context, list []subject.User, where string, args ...any) error {
	type pair struct {
		id    subject.UserID
		value string
	}
	scan := func(row scanner) (p pair, err error) {
		err = row.Scan(&p.id, &p.value)
		return p, err
	}
	aliases, err := all(ctx, s.db.read, scan, `SELECT user_id, address FROM user_alias`+where+` ORDER BY address`, args...)
	if err != nil {
		return fmt.Errorf("reading aliases: %w", err)
	}
	groups, err := all(ctx, s.db.read, scan, `SELECT user_id, group_id FROM membership`+where+` ORDER BY group_id`, args...)
	if err != nil {
		return fmt.Errorf("reading memberships: %w", err)
	}
	at := make(map[subject.UserID]*subject.User, len(list))
	for i := range list {
		at[list[i].ID] = &list[i]
	}
	for _, a := range aliases {
		if u := at[a.id]; u != nil {
			u.Aliases = append(u.Aliases, a.value)
		}
	}
	for _, g := range groups {
		if u := at[g.id]; u != nil {
			u.Groups = append(u.Groups, subject.GroupID(g.value))
		}
	}
	return nil
}

// GroupSaved implements [directory.Store].
func (s Directory) GroupSaved(ctx context.Context, name string, members []subject.UserID, e journal.Entry) (subject.GroupID, error) {
	var id subject.GroupID
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		there, err := s.db.hold(ctx, tx, `groups_ WHERE name = ?`, name)
		if err == nil && there {
			err = tx.QueryRowContext(ctx, `SELECT id FROM groups_ WHERE name = ?`, name).Scan(&id)
		} else if err == nil {
			id = subject.NewGroupID()
			_, err = tx.ExecContext(ctx, `INSERT INTO groups_ (id, name) VALUES (?, ?)`, id, name)
		}
		if err != nil {
			return fmt.Errorf("saving group: %w", err)
		}
		entry := e // f may run again
		entry.Due = entry.Due.Plus(subject.Scope{Groups: []subject.GroupID{id}})
		if err := record(ctx, tx, entry); err != nil { // before the old members go
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM membership WHERE group_id = ?`, id); err != nil {
			return fmt.Errorf("clearing group: %w", err)
		}
		for _, m := range members {
			if _, err := tx.ExecContext(ctx, `INSERT INTO membership (group_id, user_id) VALUES (?, ?)`, id, m); err != nil {
				return fmt.Errorf("adding member: %w", err)
			}
		}
		return nil
	})
	return id, err
}

const selectGroup = `SELECT g.id, g.name, (SELECT COUNT(*) FROM membership m WHERE m.group_id = g.id) FROM groups_ g`

const groupPage = selectGroup + ` WHERE g.name > ? ORDER BY g.name LIMIT ?`

func scanGroup(row scanner) (g directory.Group, err error) {
	err = row.Scan(&g.ID, &g.Name, &g.Members)
	return g, err
}

// Groups implements [directory.Store].
func (s Directory) Groups(ctx context.Context, after string, limit int) ([]directory.Group, error) {
	list, err := all(ctx, s.db.read, scanGroup, groupPage, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	return list, nil
}

// Group implements [directory.Store].
func (s Directory) Group(ctx context.Context, key string) (directory.Group, error) {
	g, err := scanGroup(s.db.read.QueryRowContext(ctx, selectGroup+` WHERE g.name = ? OR g.id = ?`, key, key))
	if errors.Is(err, sql.ErrNoRows) {
		return g, directory.ErrGroupUnknown
	}
	if err != nil {
		return g, fmt.Errorf("reading group: %w", err)
	}
	return g, nil
}

// GroupNames implements [directory.Store].
func (s Directory) GroupNames(ctx context.Context, ids []subject.GroupID) (map[subject.GroupID]string, error) {
	names := map[subject.GroupID]string{}
	for chunk := range slices.Chunk(ids, inChunk) {
		list, err := all(ctx, s.db.read, scanGroup, selectGroup+` WHERE g.id IN (`+marks(len(chunk))+`)`, args(chunk)...)
		if err != nil {
			return nil, fmt.Errorf("reading the names of groups: %w", err)
		}
		for _, g := range list {
			names[g.ID] = g.Name
		}
	}
	return names, nil
}
