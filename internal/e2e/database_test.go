package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// dsnFile is the setting that names a MariaDB database.
const dsnFile = "SIGNET_DATABASE_DSN_FILE"

// useMariaDB gives a script an empty MariaDB database.
func useMariaDB(env *testscript.Env) error {
	file := filepath.Join(env.WorkDir, "dsn")
	env.Setenv(dsnFile, file)
	return os.WriteFile(file, []byte(mariadbtest.Database(env.T().(testing.TB))), 0o600)
}

// ownKey finds the MariaDB server of a script that has one.
type ownKey struct{}

// useOwnMariaDB gives a script a MariaDB server of its own, with a database.
func useOwnMariaDB(env *testscript.Env) error {
	t := env.T().(testing.TB)
	own := mariadbtest.New(t)
	env.Values[ownKey{}] = own
	file := filepath.Join(env.WorkDir, "dsn")
	env.Setenv(dsnFile, file)
	env.Setenv("MARIADB_SOCKET", own.Socket())
	return os.WriteFile(file, []byte(own.Database(t)), 0o600)
}

// mariadbVerb kills the script's MariaDB server, or starts it again:
// `mariadb kill`, `mariadb start`
func mariadbVerb(ts *testscript.TestScript, neg bool, args []string) {
	own, ok := ts.Value(ownKey{}).(*mariadbtest.Server)
	switch {
	case !ok || len(args) != 1:
		ts.Fatalf("usage: mariadb kill|start, in testdata/mariadb")
	case args[0] == "kill":
		own.Kill()
	case args[0] == "start":
		ts.Check(own.Start())
	default:
		ts.Fatalf("mariadb %s: it is kill or start", args[0])
	}
}

// dsnOf is the DSN of the script's database, "" on SQLite.
func dsnOf(ts *testscript.TestScript) string {
	if ts.Getenv(dsnFile) == "" {
		return ""
	}
	return strings.TrimSpace(ts.ReadFile(ts.Getenv(dsnFile)))
}

// database opens the server's database, which is that file on SQLite.
func database(ts *testscript.TestScript, file string) *sql.DB {
	driver, source := "mysql", dsnOf(ts)
	if source == "" {
		driver, source = "sqlite", "file:"+ts.MkAbs(file)+"?mode=rw&_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	ts.Check(err)
	return db
}

// dump writes the values of a MariaDB database into the data directory, as
// SQLite has them there. Any other folder it leaves alone.
func dump(ts *testscript.TestScript, dir string) error {
	if dsnOf(ts) == "" || dir != ts.Getenv("SIGNET_DATA") {
		return nil
	}
	values, err := mariadbtest.Values(dsnOf(ts))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "database.dump"), values, 0o600)
}

// sqlVerb runs a statement on the server's database, as time or an accident
// would change it, and prints the rows and how many they are. "{now}" stands for
// this moment: `sql data/signet.db 'UPDATE token SET expires_at = {now}'`
func sqlVerb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db := database(ts, args[0])
	defer db.Close()
	rows, err := db.Query(strings.ReplaceAll(args[1], "{now}", strconv.FormatInt(time.Now().UnixMicro(), 10)))
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	n := 0
	for ; rows.Next(); n++ {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(string)
		}
		ts.Check(rows.Scan(values...))
		for i, v := range values {
			fmt.Fprint(ts.Stdout(), strings.Repeat(" ", min(i, 1)), *v.(*string))
		}
		fmt.Fprintln(ts.Stdout())
	}
	ts.Check(rows.Err())
	fmt.Fprintf(ts.Stdout(), "%d rows\n", n)
}

// lapse ends all leases, as time would: what a killed server had begun is free.
func lapse(ts *testscript.TestScript, neg bool, args []string) {
	for _, table := range []string{"device", "parcel", "command", "job"} {
		sqlVerb(ts, neg, []string{"data/signet.db", "UPDATE " + table + " SET lease_until = 0"})
	}
}

// rows waits until a question to the database has that many rows:
// `rows 3 'SELECT id FROM parcel WHERE sealed IS NOT NULL'`
func rows(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	db := database(ts, "data/signet.db")
	defer db.Close()
	got := -1
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(pause) {
		ts.Check(db.QueryRow("SELECT COUNT(*) FROM (" + args[1] + ") AS found").Scan(&got))
		if got == want {
			return
		}
	}
	ts.Fatalf("got %d rows, want %d", got, want)
}
