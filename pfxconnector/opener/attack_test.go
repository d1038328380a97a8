package opener_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// Whoever writes into the database itself gets nothing by it: no device gets a
// key that is not its user's, what was moved or changed does not open, and the
// alarm names it.
func TestDatabaseRewritten(t *testing.T) {
	w := newWorld(t)
	w.config.Limits = opener.Limits{PerDevice: 1e6, Total: 1e6}
	db := rewriter{t, w.raw(t)}
	db.keep("escrow_key", "escrow_wrap", "certificate")
	a, old, b := w.aliceNew.String(), w.aliceOld.String(), w.his.String()
	moved := `UPDATE certificate SET user_id = ? WHERE fingerprint = ?`
	for name, attack := range map[string]struct {
		by     func()
		device subject.DeviceID
		key    cert.Fingerprint
	}{
		"her key moved to him": {func() {
			db.do(moved, w.bob.ID, a)
			db.do(`UPDATE escrow_key SET user_id = ? WHERE certificate = ?`, w.bob.ID, a)
		}, w.bobPhone, w.aliceNew},
		"a copy of her key in his name": {func() {
			db.copy("certificate", map[string]any{"user_id": w.bob.ID}, "fingerprint", a)
			id := db.one(`SELECT id FROM escrow_key WHERE certificate = ?`, a)
			db.copy("escrow_key", map[string]any{"user_id": w.bob.ID, "id": "copy"}, "id", id)
			db.copy("escrow_wrap", map[string]any{"key_id": "copy"}, "key_id", id)
		}, w.bobPhone, w.aliceNew},
		"only her wraps in his record": {func() { db.swap("escrow_wrap", "sealed", a, b); db.swap("escrow_wrap", "enc", a, b) }, w.bobPhone, w.his},
		"her ciphertext in his record": {func() {
			db.swap("escrow_key", "ciphertext", a, b)
			db.swap("escrow_key", "nonce", a, b)
		}, w.bobPhone, w.his},
		"her whole record under his certificate": {func() {
			for _, column := range []string{"ciphertext", "nonce", "spki"} {
				db.swap("escrow_key", column, a, b)
			}
			db.swap("escrow_wrap", "sealed", a, b)
			db.swap("escrow_wrap", "enc", a, b)
		}, w.bobPhone, w.his},
		"her record and its id under his certificate": {func() { db.swap("escrow_key", "user_id", a, b); db.swap("escrow_key", "certificate", a, b) }, w.bobPhone, w.his},
		"his certificate in her record": {func() {
			db.do(`UPDATE certificate SET der = (SELECT der FROM certificate WHERE fingerprint = ?) WHERE fingerprint = ?`, b, a)
		}, w.alicePhone, w.aliceNew},
		"her new and her old key exchanged": {func() {
			db.swap("escrow_key", "ciphertext", a, old)
			db.swap("escrow_key", "nonce", a, old)
			db.swap("escrow_wrap", "sealed", a, old)
			db.swap("escrow_wrap", "enc", a, old)
		}, w.alicePhone, w.aliceNew},
		"another public key":              {func() { db.do(`UPDATE escrow_key SET spki = ? WHERE certificate = ?`, b, a) }, w.alicePhone, w.aliceNew},
		"another suite":                   {func() { db.do(`UPDATE escrow_key SET suite = suite + 1 WHERE certificate = ?`, a) }, w.alicePhone, w.aliceNew},
		"his key, asked for without more": {func() {}, w.alicePhone, w.his},
		"a bit of the ciphertext":         {func() { db.flip("escrow_key", "ciphertext", a) }, w.alicePhone, w.aliceNew},
		"a bit of the nonce":              {func() { db.flip("escrow_key", "nonce", a) }, w.alicePhone, w.aliceNew},
		"a bit of the encapsulation":      {func() { db.flip("escrow_wrap", "enc", a) }, w.alicePhone, w.aliceNew},
		"a bit of the wrap":               {func() { db.flip("escrow_wrap", "sealed", a) }, w.alicePhone, w.aliceNew},
	} {
		t.Run(name, func(t *testing.T) {
			defer db.restore()
			attack.by()
			var log strings.Builder
			w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
			before := len(w.entries(t, journal.KeyAlarm))
			out, err := opener.New(w.config).Seal(t.Context(), attack.device, frame(attack.key), 18)
			if out != nil || !errors.Is(err, opener.ErrTampered) && !errors.Is(err, opener.ErrNotOwner) {
				t.Errorf("got %d bytes, %v", len(out), err)
			}
			list := w.entries(t, journal.KeyAlarm)
			if len(list) != before+1 || list[0].Device != attack.device || list[0].Cert != attack.key || list[0].User == "" || list[0].Detail["code"] == "" {
				t.Errorf("%d alarms more: %+v", len(list)-before, list)
			}
			if !strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
	for device, keys := range map[subject.DeviceID][]cert.Fingerprint{w.alicePhone: {w.aliceNew, w.aliceOld}, w.bobPhone: {w.his}} {
		if _, err := opener.New(w.config).Seal(t.Context(), device, frame(keys...), 18); err != nil {
			t.Errorf("all as it was: %v", err)
		}
	}
}

// When the database does not take the row, nothing is opened, and nobody is
// told that it was.
func TestDatabaseRefusesTheJournal(t *testing.T) {
	w := newWorld(t)
	raw := rewriter{t, w.raw(t)}
	raw.do(`CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.action = 'key.opened' BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	o := opener.New(w.config)
	if out, err := o.Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); out != nil || !errors.Is(err, opener.ErrJournal) || w.keys.asked != 0 {
		t.Errorf("got %d bytes, %v, %d keys opened; want ErrJournal", len(out), err, w.keys.asked)
	}
	raw.do(`DROP TRIGGER full`)
	if _, err := o.Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); err != nil || w.keys.asked != 1 {
		t.Errorf("with room again: %v, %d keys opened", err, w.keys.asked)
	}
}

// Reaching the limit is an alarm, but one an hour for a device.
func TestLimitRaisesOneAlarm(t *testing.T) {
	w := newWorld(t)
	w.config.Limits = opener.Limits{PerDevice: 1, Total: 10}
	o := opener.New(w.config)
	for range 4 {
		o.Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18)
	}
	if list := w.entries(t, journal.KeyAlarm); len(list) != 1 || list[0].Detail["code"] != opener.ErrLimit.Code || list[0].Device != w.alicePhone {
		t.Errorf("got %+v, want one", list)
	}
}

// raw opens the database beside the store.
func (w *world) raw(t *testing.T) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "signet.db")+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// rewriter is somebody with the password of the database.
type rewriter struct {
	t  *testing.T
	db *sql.DB
}

func (r rewriter) do(query string, args ...any) {
	r.t.Helper()
	if _, err := r.db.Exec(query, args...); err != nil {
		r.t.Fatal(err)
	}
}

func (r rewriter) one(query string, args ...any) (value string) {
	r.t.Helper()
	if err := r.db.QueryRow(query, args...).Scan(&value); err != nil {
		r.t.Fatal(err)
	}
	return value
}

// keep copies tables, for restore.
func (r rewriter) keep(tables ...string) {
	for _, table := range tables {
		r.do(`CREATE TEMP TABLE kept_` + table + ` AS SELECT * FROM ` + table)
	}
}

func (r rewriter) restore() {
	for _, table := range []string{"escrow_wrap", "escrow_key", "certificate"} {
		r.do(`DELETE FROM ` + table)
		r.do(`INSERT INTO ` + table + ` SELECT * FROM kept_` + table)
	}
}

// swap exchanges a column of what is stored for two certificates.
func (r rewriter) swap(table, column, a, b string) {
	r.t.Helper()
	where := map[string]string{"escrow_key": `certificate = ?`, "escrow_wrap": `key_id = (SELECT id FROM kept_escrow_key WHERE certificate = ?)`}[table]
	from := `(SELECT ` + column + ` FROM kept_` + table + ` WHERE ` + where + `)`
	if column == "user_id" || column == "certificate" { // one may not be there twice
		r.do(`UPDATE `+table+` SET `+column+` = 'x' || `+column+` WHERE `+where+` OR `+where, a, b)
	}
	id := map[string]string{"escrow_key": "id", "escrow_wrap": "key_id"}[table]
	of := id + ` = (SELECT id FROM kept_escrow_key WHERE certificate = ?)`
	r.do(`UPDATE `+table+` SET `+column+` = `+from+` WHERE `+of, b, a)
	r.do(`UPDATE `+table+` SET `+column+` = `+from+` WHERE `+of, a, b)
}

// copy adds copies of rows, with some columns changed.
func (r rewriter) copy(table string, change map[string]any, column, value string) {
	r.t.Helper()
	r.do(`CREATE TEMP TABLE copied AS SELECT * FROM `+table+` WHERE `+column+` = ?`, value)
	for c, v := range change {
		r.do(`UPDATE copied SET `+c+` = ?`, v)
	}
	r.do(`INSERT INTO ` + table + ` SELECT * FROM copied`)
	r.do(`DROP TABLE copied`)
}

// flip changes one bit in the middle of what is stored.
func (r rewriter) flip(table, column, certificate string) {
	r.t.Helper()
	key := fmt.Sprintf(`(SELECT id FROM escrow_key WHERE certificate = '%s')`, certificate)
	id := map[string]string{"escrow_key": "id", "escrow_wrap": "key_id"}[table]
	var b []byte
	if err := r.db.QueryRow(`SELECT ` + column + ` FROM ` + table + ` WHERE ` + id + ` = ` + key).Scan(&b); err != nil {
		r.t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	r.do(`UPDATE `+table+` SET `+column+` = ? WHERE `+id+` = `+key, b)
}
