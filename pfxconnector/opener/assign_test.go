package opener_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/testdata"
)

var importer = journal.Worker("test")

// aside imports a file of the sample history for nobody.
func (w *world) aside(t *testing.T, i int) (*pfxconnector.Service, string, cert.Fingerprint) {
	t.Helper()
	to, err := keyring.Recipient(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, `UPDATE users SET mail = 'gone@example.com', upn = 'gone@example.com' WHERE id = ?`, w.alice.ID) // whom the file names
	s := pfxconnector.New(pfxconnector.Config{Store: w.db.PFX(), Users: w.db.Directory(), Sealer: escrow.NewSealer(to), Marks: w.marks(t), Now: now})
	f := testdata.History()[i]
	r, err := s.Import(t.Context(), importer, pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password)})
	if err != nil || r.Status != pfxconnector.Quarantined {
		t.Fatalf("importing %s: %+v, %v", f.Name, r, err)
	}
	fp, err := cert.ParseFingerprint(r.Identities[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	return s, r.Identities[0].Quarantine.ID, fp
}

// exec is somebody who writes into the database.
func (w *world) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "signet.db")+"?_pragma=foreign_keys(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// marks makes the marks of assignments.
func (w *world) marks(t testing.TB) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(w.ring.ColumnRoot(), "assignment")
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func (w *world) assigner(t testing.TB, q opener.Quarantine) *opener.Assigner {
	t.Helper()
	to, err := keyring.Recipient(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return opener.NewAssigner(opener.AssignerConfig{Quarantine: q, Keys: w.keys, Sealer: escrow.NewSealer(to), Marks: w.marks(t), Journal: w.diary,
		Log: slog.New(slog.DiscardHandler), Now: now})
}

// held gives the sealed keys that the user has of a certificate.
func (w *world) held(t testing.TB, u subject.UserID, f cert.Fingerprint) []escrow.Deposit {
	t.Helper()
	list, err := w.db.PFX().Deposits(t.Context(), u, []cert.Fingerprint{f})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAssignmentSealsAnew(t *testing.T) {
	w := newWorld(t)
	s, id, f := w.aside(t, 3)
	before := w.held(t, subject.UserID(id), f)
	a := w.assigner(t, w.db.PFX())
	if n, err := a.Step(t.Context()); n != 0 || err != nil || w.keys.asked != 0 {
		t.Errorf("before anybody asked: got %d, %v", n, err)
	}
	if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
		t.Fatal(err)
	}
	w.diary.early = nil
	if n, err := a.Step(t.Context()); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	if w.keys.asked != 1 || len(w.diary.early) != 1 || w.diary.early[0] != 0 {
		t.Errorf("the journal was written after %v openings, want before the first", w.diary.early)
	}
	after := w.held(t, w.alice.ID, f)
	if len(after) != 1 || after[0].Key.ID == before[0].Key.ID || after[0].Key.Source != before[0].Key.Source || after[0].Certificate.Holder.User != w.alice.ID {
		t.Fatalf("got %+v", after)
	}
	if err := opener.Prove(t.Context(), w.ring, after[0]); err != nil {
		t.Error(err)
	}
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(f), 18); err != nil {
		t.Errorf("her phone: %v", err)
	}
	if _, err := s.WaitingOne(t.Context(), id); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) || len(w.held(t, subject.UserID(id), f)) != 0 {
		t.Errorf("it is in quarantine still: %v", err)
	}
	if rows, _ := w.query(t, `SELECT key_id FROM escrow_wrap WHERE key_id = '`+before[0].Key.ID+`'`); len(rows) != 0 {
		t.Error("what opened it in quarantine is there still")
	}
	for _, action := range []journal.Action{journal.KeyAssigning, journal.KeyResealed, journal.KeyAssigned} {
		if e := w.entries(t, action); len(e) != 1 || e[0].User != w.alice.ID || e[0].Actor != importer || e[0].Cert != f || e[0].Detail["quarantine"] != id {
			t.Errorf("%s: got %+v", action, e)
		}
	}
}

// Whoever writes into the database gets nothing out of quarantine, and nobody's
// key into it.
func TestQuarantineIsBound(t *testing.T) {
	t.Run("a record under her name", func(t *testing.T) {
		w := newWorld(t)
		_, id, f := w.aside(t, 3)
		w.exec(t, `UPDATE certificate SET user_id = ? WHERE user_id = ?`, w.alice.ID, id)
		w.exec(t, `UPDATE escrow_key SET user_id = ? WHERE user_id = ?`, w.alice.ID, id)
		if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(f), 18); !errors.Is(err, opener.ErrTampered) {
			t.Errorf("got %v, want ErrTampered", err)
		}
	})
	t.Run("Bob's record in quarantine", func(t *testing.T) {
		w := newWorld(t)
		s, id, f := w.aside(t, 3)
		if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
			t.Fatal(err)
		}
		w.exec(t, `DELETE FROM escrow_key WHERE user_id = ?`, id)
		w.exec(t, `DELETE FROM certificate WHERE user_id = ?`, id)
		w.exec(t, `UPDATE certificate SET user_id = ? WHERE user_id = ?`, id, w.bob.ID)
		w.exec(t, `UPDATE escrow_key SET user_id = ? WHERE user_id = ?`, id, w.bob.ID)
		w.exec(t, `UPDATE quarantine SET certificate = ?`, w.his.String())
		w.refused(t, "escrow_tampered")
		if len(w.held(t, w.alice.ID, w.his))+len(w.held(t, w.alice.ID, f)) != 0 {
			t.Error("Alice has it")
		}
	})
	t.Run("Bob in the place of a place", func(t *testing.T) {
		w := newWorld(t)
		s, id, _ := w.aside(t, 3)
		if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
			t.Fatal(err)
		}
		w.exec(t, `UPDATE quarantine SET id = ?, certificate = ?`, w.bob.ID, w.his.String())
		w.refused(t, "escrow_assignment_forged")
		if w.keys.asked != 0 {
			t.Error("Bob's key was opened")
		}
	})
	t.Run("another certificate", func(t *testing.T) {
		w := newWorld(t)
		s, id, _ := w.aside(t, 3)
		if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
			t.Fatal(err)
		}
		w.exec(t, `UPDATE certificate SET der = (SELECT der FROM certificate WHERE user_id = ?) WHERE user_id = ?`, w.bob.ID, id)
		w.refused(t, "escrow_tampered")
	})
	t.Run("to another place", func(t *testing.T) {
		w := newWorld(t)
		s, id, _ := w.aside(t, 3)
		if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
			t.Fatal(err)
		}
		w.exec(t, `UPDATE quarantine SET assign_to = ?`, id)
		w.refused(t, "escrow_assignment_forged")
	})
}

// refused wants the next assignment not to be done.
func (w *world) refused(t *testing.T, code string) {
	t.Helper()
	a := w.assigner(t, w.db.PFX())
	if n, err := a.Step(t.Context()); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	rows, _ := w.query(t, `SELECT failure || ' ' || assign_to FROM quarantine`)
	if len(rows) != 1 || rows[0] != code+" " {
		t.Errorf("got %q, want %s and nobody", rows, code)
	}
	if e := w.entries(t, journal.KeyAlarm); len(e) != 1 || e[0].Detail["code"] != code {
		t.Errorf("journal: %+v", e)
	}
	if n, err := a.Step(t.Context()); n != 0 || err != nil {
		t.Errorf("again: got %d, %v", n, err)
	}
}

// Without the journal nothing is opened, and it is done later.
func TestAssignmentNeedsTheJournal(t *testing.T) {
	w := newWorld(t)
	s, id, f := w.aside(t, 3)
	if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
		t.Fatal(err)
	}
	w.diary.fail = true
	if _, err := w.assigner(t, w.db.PFX()).Step(t.Context()); !errors.Is(err, opener.ErrJournal) || w.keys.asked != 0 {
		t.Errorf("got %v after %d openings, want ErrJournal after none", err, w.keys.asked)
	}
	w.diary.fail = false
	w.exec(t, `UPDATE quarantine SET lease_until = 0`) // time goes by
	if n, err := w.assigner(t, w.db.PFX()).Step(t.Context()); n != 1 || err != nil || len(w.held(t, w.alice.ID, f)) != 1 {
		t.Errorf("later: got %d, %v", n, err)
	}
}

// dies is a store that is gone when the key is to be stored.
type dies struct{ opener.Quarantine }

func (dies) KeyAssigned(context.Context, escrow.Assignment, escrow.Record, journal.Entry) error {
	return errors.New("connection lost")
}

func TestAssignmentIsDoneAgain(t *testing.T) {
	w := newWorld(t)
	s, id, f := w.aside(t, 3)
	if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
		t.Fatal(err)
	}
	if _, err := w.assigner(t, dies{w.db.PFX()}).Step(t.Context()); err == nil {
		t.Error("no error")
	}
	if n, err := w.assigner(t, w.db.PFX()).Step(t.Context()); n != 0 || err != nil {
		t.Errorf("while another has it: got %d, %v", n, err)
	}
	w.exec(t, `UPDATE quarantine SET lease_until = 0`)
	if n, err := w.assigner(t, w.db.PFX()).Step(t.Context()); n != 1 || err != nil || len(w.held(t, w.alice.ID, f)) != 1 {
		t.Errorf("again: got %d, %v", n, err)
	}
}

// Whoever writes into the database assigns nothing, neither by a row of his own
// nor by changing one that somebody decided on.
func TestAssignmentIsMarked(t *testing.T) {
	for name, change := range map[string]string{
		"nobody decided":     `UPDATE quarantine SET assign_to = $1, fresh = 0, mark = '', assigned_at = 0`,
		"to somebody else":   `UPDATE quarantine SET assign_to = $1`,
		"by somebody else":   `UPDATE quarantine SET actor_id = $1`,
		"from another place": `UPDATE quarantine SET remote = $1`,
		"on other terms":     `UPDATE quarantine SET fresh = 1 - fresh, failure = $1`,
		"at another time":    `UPDATE quarantine SET assigned_at = assigned_at + 1, failure = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, id, f := w.aside(t, 3)
			if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
				t.Fatal(err)
			}
			w.exec(t, change, w.bob.ID)
			w.refused(t, "escrow_assignment_forged")
			if w.keys.asked != 0 || len(w.held(t, w.bob.ID, f)) != 0 {
				t.Error("the key was opened")
			}
		})
	}
}

// A row that somebody kept and puts back is no decision for ever.
func TestAssignmentGrowsOld(t *testing.T) {
	w := newWorld(t)
	s, id, _ := w.aside(t, 3)
	if err := s.Assign(t.Context(), importer, id, w.alice); err != nil {
		t.Fatal(err)
	}
	a := w.assigner(t, w.db.PFX())
	a.Now = func() time.Time { return now().Add(7*24*time.Hour + time.Second) }
	if n, err := a.Step(t.Context()); n != 1 || err != nil || w.keys.asked != 0 {
		t.Errorf("got %d, %v, %d openings", n, err, w.keys.asked)
	}
	if q, err := s.WaitingOne(t.Context(), id); err != nil || q.Failure != "escrow_assignment_old" || q.State != "waiting" {
		t.Errorf("got %+v, %v", q, err)
	}
}
