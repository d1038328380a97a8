package store

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// tampering is what somebody does who can write to the database, and no more.
var tampering = map[string]struct {
	sql   []string
	block int64
	cause string // @ is the entry, which is named then
}{
	"nothing":            {nil, 0, ""},
	"the id of an entry": {[]string{`UPDATE journal SET id = 'x' WHERE id = '@'`}, 2, "Entry @ of block 2 is missing."},
	"its time":           {[]string{`UPDATE journal SET at = at + 1 WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its kind of actor":  {[]string{`UPDATE journal SET actor_kind = 'person' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its actor":          {[]string{`UPDATE journal SET actor_id = '' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its address":        {[]string{`UPDATE journal SET remote = '192.0.2.1' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its action":         {[]string{`UPDATE journal SET action = 'key.refused' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its user":           {[]string{`UPDATE journal SET user_id = 'u-2' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its device":         {[]string{`UPDATE journal SET device_id = 'd-2' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its certificate":    {[]string{`UPDATE journal SET certificate = '00' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"its detail":         {[]string{`UPDATE journal SET detail = '{"n": "1"}' WHERE id = '@'`}, 2, "Entry @ of block 2 was changed."},
	"text from one column to the next": {[]string{`UPDATE journal SET actor_kind = 'sys', actor_id = 'temtest' WHERE id = '@'`}, 2,
		"Entry @ of block 2 was changed."},
	"an entry is deleted":       {[]string{`DELETE FROM journal WHERE id = '@'`}, 2, "Entry @ of block 2 is missing."},
	"and its link":              {[]string{`DELETE FROM journal WHERE id = '@'`, `DELETE FROM audit_link WHERE entry = '@'`}, 2, "Of block 2 the link of entry number 1 is missing."},
	"a link is deleted":         {[]string{`DELETE FROM audit_link WHERE entry = '@'`}, 2, "Of block 2 the link of entry number 1 is missing."},
	"the last link of a block":  {[]string{`DELETE FROM audit_link WHERE block = 2 AND n = 2`}, 2, "Of block 2 the link of entry number 2 is missing."},
	"an entry without its link": {[]string{`DELETE FROM audit_link WHERE block = 2 AND n = 2`, `UPDATE audit_block SET entries = 1 WHERE seq = 2`}, 2, "Block 2 was changed: its entries do not give its hash."},
	"one link too many":         {[]string{`INSERT INTO audit_link (block, n, entry, digest) VALUES (2, 3, 'x', 'y')`}, 2, "Block 2 has a link too many, to entry x."},
	"a link to another entry":   {[]string{`UPDATE audit_link SET entry = 'x' WHERE entry = '@'`}, 2, "Entry x of block 2 is missing."},
	"entries change places":     {[]string{`UPDATE audit_link SET n = 9 WHERE block = 2 AND n = 1`, `UPDATE audit_link SET n = 1 WHERE block = 2 AND n = 2`, `UPDATE audit_link SET n = 2 WHERE block = 2 AND n = 9`}, 2, "Block 2 was changed: its entries do not give its hash."},
	"a digest is changed":       {[]string{`UPDATE audit_link SET digest = 'x' WHERE entry = '@'`}, 2, "Entry @ of block 2 was changed."},
	"a block is deleted":        {[]string{`DELETE FROM audit_block WHERE seq = 2`}, 2, "Block 2 is missing."},
	"a block with its links":    {[]string{`DELETE FROM audit_block WHERE seq = 2`, `DELETE FROM audit_link WHERE block = 2`}, 2, "Block 2 is missing."},
	"the first block":           {[]string{`DELETE FROM audit_block WHERE seq = 1`}, 1, "Block 1 is missing."},
	"the time of a block":       {[]string{`UPDATE audit_block SET at = at + 1 WHERE seq = 2`}, 2, "Block 2 was changed: its entries do not give its hash."},
	"its mark":                  {[]string{`UPDATE audit_block SET mark = '' WHERE seq = 2`}, 2, "its mark does not open."},
	"the mark of another":       {[]string{`UPDATE audit_block SET mark = (SELECT m FROM (SELECT mark AS m FROM audit_block WHERE seq = 1) x) WHERE seq = 2`}, 2, "its mark does not open."},
	"its hash":                  {[]string{`UPDATE audit_block SET hash = 'x' WHERE seq = 2`}, 2, "its mark does not open."},
	"what it follows":           {[]string{`UPDATE audit_block SET previous = 'x' WHERE seq = 2`}, 2, "Block 2 does not follow the block before it."},
	"blocks change places": {[]string{`UPDATE audit_block SET seq = 9 WHERE seq = 2`, `UPDATE audit_block SET seq = 2 WHERE seq = 3`,
		`UPDATE audit_block SET seq = 3 WHERE seq = 9`}, 2, "its mark does not open."},
	"the newest block":           {[]string{`DELETE FROM audit_block WHERE seq = 3`}, 3, "1 entries are linked to blocks that are not there, after block 2."},
	"the end, with all it holds": {[]string{`DELETE FROM journal WHERE id IN (SELECT entry FROM audit_link WHERE block = 3)`, `DELETE FROM audit_link WHERE block = 3`, `DELETE FROM audit_block WHERE seq = 3`}, -3, "Block 3 is not there: "},
}

func TestAuditTampering(t *testing.T) {
	for name := range tampering {
		testTampering(t, name, func(t *testing.T) (*DB, error) {
			return OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
		})
	}
}

func TestAuditTamperingOnMariaDB(t *testing.T) {
	for _, name := range []string{"nothing", "its detail", "an entry is deleted", "a link is deleted", "its mark"} {
		testTampering(t, name, func(t *testing.T) (*DB, error) { return OpenMySQL(t.Context(), mariadbtest.Reused(t)) })
	}
}

func testTampering(t *testing.T, name string, open func(t *testing.T) (*DB, error)) {
	c := tampering[name]
	t.Run(name, func(t *testing.T) {
		db, err := open(t)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		w := chained(t, db)
		w.tamper(c.sql...)
		got := w.verify(audit.Anchor{})
		if c.block < 0 { // only who has kept a hash finds it
			if got.Broken != nil || !got.End {
				t.Errorf("without a kept hash: got %+v", got.Broken)
			}
			got, c.block = w.verify(audit.Anchor{Block: w.last.Seq, Hash: w.last.Hash}), -c.block
		}
		if c.cause == "" {
			if got.Broken != nil || got.Blocks != 3 || got.Entries != 5 || got.Last.Seq != 3 {
				t.Errorf("got %+v", got)
			}
			return
		}
		want := strings.ReplaceAll(c.cause, "@", w.entry)
		if got.Broken == nil || got.Broken.Block != c.block || !strings.Contains(got.Broken.Cause, want) {
			t.Errorf("got %+v, want block %d: %s", got.Broken, c.block, want)
		}
	})
}

// chainedWorld is a database with 2, 2 and 1 entries in three blocks.
type chainedWorld struct {
	t     *testing.T
	db    *DB
	box   *seal.Box
	now   time.Time
	chain *audit.Chainer
	entry string // the first of block 2
	last  audit.Block
}

func chained(t *testing.T, db *DB) *chainedWorld {
	t.Helper()
	w := &chainedWorld{t: t, db: db, box: newAuditBox(t), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	w.chain = audit.New(audit.Config{Store: db.Audit(), Box: w.box, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }})
	for _, n := range []int{2, 2, 1} {
		w.add(n)
	}
	err := db.Audit().Links(t.Context(), 2, 2, func(l audit.Link) error {
		if l.N == 1 {
			w.entry = l.Entry
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.last, err = db.Audit().Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// add makes a block of n new entries.
func (w *chainedWorld) add(n int) {
	w.t.Helper()
	for range n {
		w.now = w.now.Add(time.Second)
		err := w.db.Journal().Record(w.t.Context(), journal.Entry{At: w.now, Actor: journal.Worker("test"), Action: journal.KeyOpened,
			User: "u-1", Device: "d-1", Detail: map[string]string{"n": "1"}})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.now = w.now.Add(time.Minute)
	if got, err := w.chain.Step(w.t.Context()); err != nil || got != n {
		w.t.Fatalf("step: got %d, %v; want %d", got, err, n)
	}
}

func (w *chainedWorld) tamper(statements ...string) {
	w.t.Helper()
	for _, s := range statements {
		if _, err := w.db.write.Exec(strings.ReplaceAll(s, "@", w.entry)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func newAuditBox(t *testing.T) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), audit.Purpose)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func (w *chainedWorld) verify(from audit.Anchor) audit.Part {
	w.t.Helper()
	p, err := audit.NewVerifier(w.db.Audit(), w.box).Verify(w.t.Context(), from)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func chainedOnSQLite(t *testing.T) *chainedWorld {
	t.Helper()
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return chained(t, db)
}

// Who can write to the database but has no key makes a chain that fits
// together, and no marks.
func TestAuditRebuiltWithoutKey(t *testing.T) {
	w := chainedOnSQLite(t)
	w.tamper(`DELETE FROM audit_link`, `DELETE FROM audit_block`, `UPDATE journal SET action = 'x'`)
	forger := audit.New(audit.Config{Store: w.db.Audit(), Box: newAuditBox(t), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if n, err := forger.Step(t.Context()); err != nil || n != 5 {
		t.Fatalf("got %d, %v", n, err)
	}
	if got := w.verify(audit.Anchor{}); got.Broken == nil || got.Broken.Block != 1 || !strings.Contains(got.Broken.Cause, "not made by this installation") {
		t.Errorf("got %+v", got)
	}
}

// A keeper that runs says once that what it knew is gone, and goes on.
func TestAuditCut(t *testing.T) {
	w := chainedOnSQLite(t)
	w.tamper(`DELETE FROM journal WHERE id IN (SELECT entry FROM audit_link WHERE block = 3)`, `DELETE FROM audit_link WHERE block = 3`, `DELETE FROM audit_block WHERE seq = 3`)
	w.now = w.now.Add(time.Minute)
	if _, err := w.chain.Step(t.Context()); !errors.Is(err, audit.ErrCut) {
		t.Errorf("got %v", err)
	}
	w.add(1)
	kept := audit.Anchor{Block: w.last.Seq, Hash: w.last.Hash}
	if got := w.verify(kept); got.Broken == nil || got.Broken.Cause != "Block 3 has another hash than the one that was kept." {
		t.Errorf("got %+v", got.Broken)
	}
	if got := w.verify(audit.Anchor{}); got.Broken != nil || got.Entries != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestAuditAnchor(t *testing.T) {
	w := chainedOnSQLite(t)
	hash := w.last.Hash
	w.add(2)
	if got := w.verify(audit.Anchor{Block: 3, Hash: hash}); got.Broken != nil || got.Blocks != 1 || got.Entries != 2 || got.Last.Seq != 4 || !got.End {
		t.Errorf("after block 3: got %+v", got)
	}
	if got := w.verify(audit.Anchor{Block: 4}); got.Broken != nil || got.Blocks != 0 || got.Last.Seq != 4 || !got.End {
		t.Errorf("after the last block: got %+v", got)
	}
	for _, wrong := range []audit.Anchor{{Block: -1}, {Hash: hash}, {Block: 3, Hash: "00"}, {Block: 3, Hash: strings.Repeat("x", 64)}} {
		if _, err := audit.NewVerifier(w.db.Audit(), w.box).Verify(t.Context(), wrong); !errors.Is(err, audit.ErrAnchor) {
			t.Errorf("%+v: got %v", wrong, err)
		}
	}
}

// At a glance: the newest block, and what waits.
func TestAuditLook(t *testing.T) {
	w := chainedOnSQLite(t)
	look := func() audit.State {
		t.Helper()
		last, err := w.db.Audit().Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := audit.NewVerifier(w.db.Audit(), w.box).Look(t.Context(), last, w.now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := look(); s.Broken != nil || s.Last.Seq != 3 || !s.Oldest.IsZero() {
		t.Errorf("got %+v", s)
	}
	if err := w.db.Journal().Record(t.Context(), journal.Entry{At: w.now, Actor: journal.Worker("test"), Action: journal.KeyOpened}); err != nil {
		t.Fatal(err)
	}
	w.tamper(`UPDATE journal SET remote = 'x' WHERE id IN (SELECT entry FROM audit_link WHERE block = 3)`)
	if s := look(); s.Broken == nil || s.Broken.Block != 3 || !s.Oldest.Equal(w.now) {
		t.Errorf("got %+v", s)
	}
}
