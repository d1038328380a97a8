package store

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// A part of a list costs the same wherever it is: it is found in an index and
// read in the order of that index, without sorting.
func TestListsAreIndexed(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	type list struct {
		query  string
		values []any
	}
	of := func(query string, values []any) list { return list{query, values} }
	now := time.Now()
	for name, l := range map[string]list{
		"users":                {userPage, []any{"a", 1}},
		"groups":               {groupPage, []any{"a", 1}},
		"tokens":               of(tokenPage(time.Time{}, "", 1)),
		"more tokens":          of(tokenPage(now, "x", 1)),
		"journal":              of(linePage(journal.Query{Limit: 1})),
		"more of the journal":  of(linePage(journal.Query{Before: now, ID: "x", Limit: 1})),
		"journal of a user":    of(linePage(journal.Query{User: "u", Before: now, ID: "x", Limit: 1})),
		"journal of a device":  of(linePage(journal.Query{Device: "d", Before: now, ID: "x", Limit: 1})),
		"devices":              of(devicePage(mdm.Query{Limit: 1})),
		"more devices":         of(devicePage(mdm.Query{Before: now, ID: "x", Limit: 1})),
		"devices in one state": of(devicePage(mdm.Query{State: mdm.Enrolled, Before: now, ID: "x", Limit: 1})),
		"wishes":               {`SELECT e.device_id` + dueWish + `(?) ORDER BY e.wake_at LIMIT ?`, []any{1, "t", 1}},
		"jobs":                 of(jobPage(now, "x", 1)),
		"certificates":         of(issuedPage(scep.IssuedQuery{Limit: 1})),
		"more certificates":    of(issuedPage(scep.IssuedQuery{State: scep.Good, Before: now, Limit: 1})),
		"entries not chained":  {waiting, []any{1, 1}},
		"links of blocks":      {selectLinks, []any{1, 2}},
		"wraps for a key":      {selectWrapped, []any{"hpke:1", "x", 1}},
		"items of a job":       of(jobItemPage("j", "", "x", 1)),
		"failed items":         of(jobItemPage("j", job.Failed, "x", 1)),
	} {
		plan := planOf(t, db, l.query, l.values)
		if strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(plan, " INDEX ") || strings.Contains(plan, "SCAN e") {
			t.Errorf("%s: %s\n%s", name, l.query, plan)
		}
	}
}

// Looking for what time has changed costs as much as that is, and not as much as
// there are devices or certificates.
func TestDueIsIndexed(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list, ends := devicePage(mdm.Query{Ending: time.Now(), Limit: 1})
	late, values := overdue(time.Now(), map[string]plan.Terms{"p": {Percent: 10}})
	for name, c := range map[string]struct {
		query  string
		values []any
		index  string
	}{
		"clock":   {dueByClock, []any{1}, "delivery_clock_at (at<?)"},
		"ending":  {list, ends, "certificate_ending (not_after<?)"},
		"made":    {madeEnding, []any{1, 2, 20, 1}, "certificate_ending (not_after>? AND not_after<?)"},
		"overdue": {late, values, "certificate_ending (not_after>? AND not_after<?)"},
	} {
		if plan := planOf(t, db, c.query, c.values); strings.Contains(plan, "SCAN") || !strings.Contains(plan, "INDEX "+c.index) {
			t.Errorf("%s: %s\n%s", name, c.query, plan)
		}
	}
}

// However many certificates there are, a list is made from the revoked ones
// alone, and an OCSP answer is found in an index.
func TestRevocationIsIndexed(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, q := range map[string]struct {
		query  string
		values []any
		want   []string
	}{
		"the whole list": {selectRevocations, []any{"ca", 1}, []string{"SEARCH revocation USING PRIMARY KEY (issuer=?)"}},
		"a shard":        {selectShard, []any{"ca", 1, "0a"}, []string{"SEARCH revocation USING PRIMARY KEY (issuer=? AND shard=?)"}},
		"how many":       {countRevocations, []any{"ca", 1}, []string{"SEARCH revocation USING PRIMARY KEY (issuer=?)"}},
		"lists due":      {dueCRLs, []any{"ca", 1, 2}, []string{"SEARCH crl USING INDEX sqlite_autoindex_crl_1 (issuer=?)"}},
		"reservations":   {leftReservations, []any{"ca", 1}, []string{"SEARCH issuance USING INDEX issuance_state (issuer=? AND state=?)"}},
		"an answer":      {selectAnswer, []any{"ca", "1", "sha1"}, []string{"SEARCH ocsp USING INDEX sqlite_autoindex_ocsp_1 (issuer=? AND serial=? AND hash=?)"}},
		"answers wanted": {wantedAnswers, []any{"ca", 1}, []string{"SEARCH o USING INDEX ocsp_wanted (issuer=?)", "SEARCH i USING INDEX sqlite_autoindex_issuance_1 (issuer=? AND serial=?)", "SEARCH r USING PRIMARY KEY (issuer=? AND shard=? AND serial=?)"}},
		"of a user":      {issuedOf(scep.IssuedQuery{User: "u"}), make([]any, 3), []string{"SEARCH c USING INDEX certificate_user (user_id=? AND source=?)", "SEARCH x USING INDEX issuance_fingerprint (fingerprint=?)"}},
		"of a device":    {issuedOf(scep.IssuedQuery{Device: "d"}), make([]any, 3), []string{"SEARCH c USING INDEX certificate_device (device_id=?)", "SEARCH x USING INDEX issuance_fingerprint (fingerprint=?)"}},
		"a repetition":   {repeated, make([]any, 7), []string{"SEARCH certificate USING INDEX certificate_spki (spki=?)", "SEARCH i USING INDEX issuance_fingerprint (fingerprint=?)"}},
		"the last made":  {lastMade, []any{"u"}, []string{"SEARCH x USING INDEX issuance_user (user_id=?)", "SEARCH c USING INDEX sqlite_autoindex_certificate_1 (fingerprint=? AND user_id=?)"}},
		"the forsaken":   {forsaken, []any{"issued", 1}, []string{" u USING COVERING INDEX users_disabled", "SEARCH c USING INDEX certificate_user (user_id=? AND source=?)"}},
	} {
		plan := planOf(t, db, q.query, q.values)
		for _, want := range q.want {
			if !strings.Contains(plan, want) {
				t.Errorf("%s: no %q in\n%s", name, want, plan)
			}
		}
		if strings.Contains(plan, "SCAN issuance") || strings.Contains(plan, "SCAN c") {
			t.Errorf("%s: looks at all\n%s", name, plan)
		}
	}
}

// MariaDB finds the same in its indexes, once there is enough to find.
func TestRevocationIsIndexedOnMariaDB(t *testing.T) {
	db, err := OpenMySQL(t.Context(), mariadbtest.Reused(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const serials = `SELECT 'ca', LPAD(HEX(seq), 32, '0')`
	for _, query := range []string{
		`INSERT INTO issuance (issuer, serial, shard, state, profile, user_id, device_id, names, challenge, renews, transaction_id, spki, tbs,
			fingerprint, not_after, created_at, issued_at, abandoned_at, superseded_at)
			` + serials + `, LPAD(HEX(seq % 64), 2, '0'), IF(seq % 1000 = 0, 'issuing', 'issued'), 'p', 'u', 'd', '', '', '', '', '', '', SHA2(seq, 256), 9, 1, seq, 0, 0
			FROM seq_1_to_20000`,
		`INSERT INTO revocation (issuer, serial, shard, revoked_at, reason, not_after) ` + serials + `, LPAD(HEX(seq % 64), 2, '0'), 1, '', 9 FROM seq_1_to_2000`,
		`INSERT INTO ocsp (issuer, serial, hash, wanted, revision, this_update, der) ` + serials + `, 'sha1', seq % 500 = 0, 1, seq, '' FROM seq_1_to_5000`,
		`ANALYZE TABLE issuance, revocation, ocsp`,
	} {
		if _, err := db.write.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	for name, q := range map[string]struct {
		query  string
		values []any
		most   int64 // rows looked at, as MariaDB reckons
	}{
		"a shard":        {selectShard, []any{"ca", 1, "0A"}, 200},
		"reservations":   {leftReservations, []any{"ca", 1}, 200},
		"an answer":      {selectAnswer, []any{"ca", "1", "sha1"}, 1},
		"answers wanted": {wantedAnswers, []any{"ca", 1}, 200},
		"answerable":     {`SELECT 1 FROM ` + answerable, []any{"ca", "1", 1}, 1},
	} {
		scan := func(row scanner) (n int64, err error) {
			var id, kind, table, access, possible, key, length, ref, extra sql.NullString
			var rows sql.NullInt64
			err = row.Scan(&id, &kind, &table, &access, &possible, &key, &length, &ref, &rows, &extra)
			if access.String == "ALL" || access.String == "index" {
				t.Errorf("%s: looks at all of %s", name, table.String)
			}
			return rows.Int64, err
		}
		looks, err := all(t.Context(), db.read, scan, "EXPLAIN "+q.query, q.values...)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range looks {
			if n > q.most {
				t.Errorf("%s: looks at %d rows, want at most %d", name, n, q.most)
			}
		}
	}
}

func issuedOf(q scep.IssuedQuery) string {
	query, _ := issuedPage(q)
	return query
}

// planOf gives how SQLite would run a query.
func planOf(t *testing.T, db *DB, query string, values []any) string {
	t.Helper()
	scan := func(row scanner) (detail string, err error) {
		var id, parent, unused int
		err = row.Scan(&id, &parent, &unused, &detail)
		return detail, err
	}
	lines, err := all(t.Context(), db.read, scan, "EXPLAIN QUERY PLAN "+query, values...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
