package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

func testSnapshot(t *testing.T, open Open) {
	t.Run("what is loaded is what was there", func(t *testing.T) {
		db := open(t)
		Fill(t, db)
		dump := TakeDump(t, db)
		again := loaded(t, dump)
		if diff := cmp.Diff(dump.Texts(), TakeDump(t, again).Texts()); diff != "" {
			t.Error(diff)
		}
		users, err := again.Directory().Users(t.Context(), "", 100)
		want, _ := db.Directory().Users(t.Context(), "", 100)
		if diff := cmp.Diff(want, users); err != nil || diff != "" || len(users) == 0 {
			t.Errorf("Users: %v\n%s", err, diff)
		}
	})

	t.Run("it is of one moment", func(t *testing.T) {
		db := open(t)
		addUser(t, db, "before@example.com")
		s, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		addUser(t, db, "after@example.com") // does not wait for the snapshot
		d := Dump{Schema: s.Schema, Columns: map[string][]string{}, Rows: map[string][][]any{}}
		if err := s.Write(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		if len(d.Rows["users"]) != 1 || len(d.Rows["journal"]) != 1 {
			t.Errorf("got %d users and %d entries, want one of each", len(d.Rows["users"]), len(d.Rows["journal"]))
		}
	})

	t.Run("sealed profiles are left out and made anew", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.post(parcelOf("d1"))
		d.seal(d.leaseParcel(at), true)
		dump := TakeDump(t, d.db)
		if dump.holds([]byte("sealed")) {
			t.Error("a sealed profile is in the backup")
		}
		list, err := loaded(t, dump).Delivery().ParcelsLeased(t.Context(), at, at.Add(time.Minute), 10)
		if err != nil || len(list) != 1 || list[0].ID != p.ID {
			t.Errorf("to be sealed: got %v, %v; want %s", list, err, p.ID)
		}
	})

	t.Run("nothing is good once more", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		used, unused := s.challenge(s.holder("a@example.com"), "p"), s.challenge(s.holder("b@example.com"), "p")
		s.issue(s.by(used))
		waiting, approved := s.request(s.challenge(s.holder("d@example.com"), "p")), s.request(s.challenge(s.holder("e@example.com"), "p"))
		s.decided(approved, scep.RequestApproved, "")
		link, session, other := seal.Random(), seal.Random(), seal.Random()
		for _, l := range []seal.Secret{link, other} {
			s.must(db.Access().LinkMade(t.Context(), access.Link{User: "u-1", Expires: at.Add(time.Hour)}, l.Hash()))
		}
		s.must(openLink(t, db.Access(), link, session, at))
		inv := facet(t, db).invite("c@example.com")

		again := scepFacetOf(t, loaded(t, TakeDump(t, db)))
		again.serial = s.serial
		again.refused(again.by(unused), scep.ErrChallengeUsed)
		again.refused(again.by(used), scep.ErrChallengeUsed)
		again.undecided(waiting, scep.RequestApproved)
		again.refused(again.approved(approved), scep.ErrChallengeUsed)
		if _, err := again.db.Access().Session(t.Context(), session.Hash()); !errors.Is(err, access.ErrSession) {
			t.Errorf("a session: got %v, want ErrSession", err)
		}
		if err := openLink(t, again.db.Access(), other, seal.Random(), at); !errors.Is(err, access.ErrSession) {
			t.Errorf("a link: got %v, want ErrSession", err)
		}
		try := mdm.Try{Token: inv.Token, Code: inv.Code, MaxTries: 5, At: at.Add(time.Second),
			Accepted: entry(journal.InvitationRedeemed), Failed: entry(journal.InvitationRefused)}
		if redeemed, err := facet(t, again.db).CodeTried(t.Context(), try); err != nil || redeemed {
			t.Errorf("an open invitation: got %v, %v; want false", redeemed, err)
		}
	})

	t.Run("what does not fit is refused", func(t *testing.T) {
		db := open(t)
		Fill(t, db)
		dump := TakeDump(t, db)
		path := filepath.Join(t.TempDir(), "signet.db")
		if _, err := store.LoadSQLite(t.Context(), path, dump.Schema+1000); !errors.Is(err, store.ErrSchemaNewer) {
			t.Errorf("a newer schema: got %v", err)
		}
		l, err := store.LoadSQLite(t.Context(), path, dump.Schema)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for name, c := range map[string]struct {
			table   string
			columns []string
			row     []any
		}{
			"a table that is not ours": {"sqlite_master", []string{"name"}, []any{"x"}},
			"a statement for a table":  {"users; DROP TABLE users", dump.Columns["users"], dump.Rows["users"][0]},
			"other columns":            {"users", []string{"id"}, []any{"x"}},
			"text for a number":        {"groups_", []string{"id", "name"}, nil},
		} {
			rows := [][]any{c.row}
			if c.row == nil {
				c.table, c.columns = "users", dump.Columns["users"]
				row := slices.Clone(dump.Rows["users"][0])
				row[slices.Index(c.columns, "created_at")] = "yesterday"
				rows = [][]any{row}
			}
			if err := l.Rows(t.Context(), c.table, c.columns, rows); !errors.Is(err, store.ErrRows) {
				t.Errorf("%s: got %v, want ErrRows", name, err)
			}
		}
		orphan := [][]any{{"nobody@example.com", "no user"}}
		if err := l.Rows(t.Context(), "user_alias", []string{"address", "user_id"}, orphan); err != nil {
			t.Fatal(err)
		}
		if err := l.Finish(t.Context()); !errors.Is(err, store.ErrRows) {
			t.Errorf("a row that refers to none: got %v, want ErrRows", err)
		}
		if _, err := store.LoadSQLite(t.Context(), path, dump.Schema); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("a file that is there: got %v, want ErrNotEmpty", err)
		}
	})
}

// Dump is the rows of a backup. It implements [store.RowWriter].
type Dump struct {
	Schema  int64
	Columns map[string][]string
	Rows    map[string][][]any
	table   string
}

// Table implements [store.RowWriter].
func (d *Dump) Table(name string, columns []string) error {
	d.table, d.Columns[name], d.Rows[name] = name, columns, [][]any{}
	return nil
}

// Row implements [store.RowWriter].
func (d *Dump) Row(values []any) error {
	d.Rows[d.table] = append(d.Rows[d.table], values)
	return nil
}

func (d *Dump) holds(text []byte) bool {
	for _, rows := range d.Rows {
		for _, row := range rows {
			for _, v := range row {
				if b, ok := v.([]byte); ok && bytes.Contains(b, text) {
					return true
				}
			}
		}
	}
	return false
}

// TakeDump gives all rows.
func TakeDump(t *testing.T, db *store.DB) Dump {
	t.Helper()
	s, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := Dump{Schema: s.Schema, Columns: map[string][]string{}, Rows: map[string][][]any{}}
	if err := errors.Join(s.Write(t.Context(), &d), s.Close()); err != nil {
		t.Fatal(err)
	}
	return d
}

// Texts gives the values as text, in which the databases agree.
func (d Dump) Texts() map[string][]string {
	out := map[string][]string{}
	for table, rows := range d.Rows {
		for _, row := range rows {
			line := ""
			for _, v := range row {
				switch v := v.(type) {
				case nil:
					line += "NULL "
				case int64:
					line += fmt.Sprintf("%d ", v)
				default:
					line += fmt.Sprintf("%q ", v)
				}
			}
			out[table] = append(out[table], line)
		}
		slices.Sort(out[table])
	}
	return out
}

// Load fills a new database.
func (d Dump) Load(t *testing.T, l *store.Loader) {
	t.Helper()
	for table, rows := range d.Rows {
		var copies [][]any
		for _, r := range rows {
			copies = append(copies, slices.Clone(r))
		}
		if err := l.Rows(t.Context(), table, d.Columns[table], copies); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Finish(t.Context()), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// loaded gives a database with what is in the dump.
func loaded(t *testing.T, d Dump) *store.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signet.db")
	l, err := store.LoadSQLite(t.Context(), path, d.Schema)
	if err != nil {
		t.Fatal(err)
	}
	d.Load(t, l)
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Fill puts something into every table that a snapshot shows as it is.
func Fill(t *testing.T, db *store.DB) {
	t.Helper()
	u := addUser(t, db, "fill@example.com")
	u.Aliases, u.Name = []string{"other@example.com"}, "Bärbel \u202e' \"<>&\\"
	if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
		t.Fatal(err)
	}
	d := deposit(u, "a")
	d.Certificate.DER, d.Key.Ciphertext = []byte{0, 0xff, '\'', '\n', 0x80}, bytes.Repeat([]byte{0}, 100)
	d.Certificate.Fingerprint = cert.FingerprintOf(d.Certificate.DER)
	d.Key.Cert = d.Certificate.Fingerprint
	keep(t, db, d, true)
	s := scepFacetOf(t, db)
	s.issue(s.by(s.challenge(s.holder("scep@example.com"), "p")))
	deliver(t, db).post(plan.Parcel{ID: "p", Kind: plan.Outlook, Identifier: "i", Digest: "d"})
}
