package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/signet-mdm/signet/internal/fault"
)

// ErrDSN is returned for a DSN that cannot be read. It does not quote it, for
// the password in it.
var ErrDSN = fault.New(fault.Invalid, "database_dsn_invalid",
	"The DSN of the database cannot be read.", "It has the form user:password@tcp(db.example.org:3306)/signet, or user@unix(/run/mysqld/mysqld.sock)/signet.")

// What one server takes of the database at most.
const (
	writers = 12
	readers = 12

	connLife      = 5 * time.Minute // shorter than servers and proxies keep idle ones
	statementTime = 30 * time.Second
	lockTime      = 5 * time.Second // a transaction that waits longer is run again
)

// Numbers of errors of MariaDB that we tell apart.
const (
	errDiskFull           = 1021
	errDatabaseDenied     = 1044
	errTableDenied        = 1142
	errNoTable            = 1146
	errTooManyConnections = 1040
	errShutdown           = 1053
	errDuplicate          = 1062
	errLockWait           = 1205
	errDeadlock           = 1213
	errTableFull          = 1114
	errChangedSinceRead   = 1020
	errInterrupted        = 1317
	errKilled             = 1927
	errNodeNotReady       = 1047 // of a cluster
)

var mysql = dialect{
	name:   "mysql",
	schema: "mysql",
	size: `SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
		WHERE table_schema = DATABASE()`,
	again: func(err error) bool {
		switch mysqlNumber(err) {
		case errDeadlock, errLockWait, errChangedSinceRead:
			return true
		}
		return false
	},
	unique: func(err error) bool { return mysqlNumber(err) == errDuplicate },
	upsert: func(_, set string) string { return ` ON DUPLICATE KEY UPDATE ` + set },
	tables: `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()
		AND LEFT(table_name, 6) <> 'goose_' ORDER BY table_name`,
	snapshot: []string{
		`SET SESSION max_statement_time = 0, net_write_timeout = 600`,
		`SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ`,
		`START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY`,
	},
	unchecked: `SET SESSION foreign_key_checks = 0`,

	locking: ` FOR UPDATE`,
}

func mysqlNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// mysqlFull tells whether err means that the server's disk is full.
func mysqlFull(err error) bool {
	n := mysqlNumber(err)
	return n == errDiskFull || n == errTableFull
}

// mysqlAway tells whether err means that the server or the way to it is gone.
func mysqlAway(err error) bool {
	switch mysqlNumber(err) {
	case errTooManyConnections, errShutdown, errInterrupted, errKilled, errNodeNotReady:
		return true
	}
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn)
}

// OpenMySQL opens the database of a MariaDB server and brings its schema up to
// date; several servers may do so at once. dsn has the form of the Go driver
// and names an existing database. A schema newer than this program is refused.
func OpenMySQL(ctx context.Context, dsn string) (*DB, error) {
	cfg, err := mysqlConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := &DB{dia: mysql}
	for _, p := range []struct {
		to   **sql.DB
		most int
		set  map[string]string
	}{
		{&db.write, writers, nil},
		{&db.read.DB, readers, map[string]string{"tx_read_only": "1"}},
	} {
		if *p.to, err = mysqlPool(cfg, p.most, p.set); err != nil {
			return nil, err
		}
	}
	if err := db.migrateMySQL(ctx, cfg); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

// mysqlConfig reads a DSN and sets what this package relies on, whatever the
// DSN says: exact comparisons, matched instead of changed rows, and READ
// COMMITTED, under which a statement sees what was committed before it and
// locks only the rows that it meets. Under REPEATABLE READ a transaction would
// decide on an old picture and lock gaps, where imports side by side meet.
// Verbs therefore rely on what they have locked, on conditions of their UPDATE
// and on unique keys only; see [DB.hold].
func mysqlConfig(dsn string) (*mysqldriver.Config, error) {
	cfg, err := mysqldriver.ParseDSN(dsn)
	if err != nil || cfg.DBName == "" {
		return nil, ErrDSN
	}
	cfg.ParseTime, cfg.Loc, cfg.Collation = true, time.UTC, "utf8mb4_bin"
	cfg.ClientFoundRows, cfg.InterpolateParams, cfg.RejectReadOnly = true, true, true
	cfg.MultiStatements, cfg.AllowAllFiles = false, false
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, statementTime+lockTime)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, statementTime)
	cfg.Logger = &mysqldriver.NopLogger{} // every failure is returned as well
	cfg.Params = map[string]string{
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"tx_isolation":             "'READ-COMMITTED'",
		"max_statement_time":       fmt.Sprint(statementTime.Seconds()),
		"innodb_lock_wait_timeout": fmt.Sprint(lockTime.Seconds()),
	}
	return cfg, nil
}

// mysqlPool opens connections with more variables set.
func mysqlPool(cfg *mysqldriver.Config, most int, set map[string]string) (*sql.DB, error) {
	cfg = cfg.Clone()
	maps.Copy(cfg.Params, set)
	connector, err := mysqldriver.NewConnector(cfg)
	if err != nil {
		return nil, ErrDSN
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	pool.SetConnMaxLifetime(connLife)
	return pool, nil
}

// migrateMySQL runs the migrations under a lock of their own table, which is
// leased: who dies with it holds up the others for half a minute. A step may
// take longer than other statements.
func (db *DB) migrateMySQL(ctx context.Context, cfg *mysqldriver.Config) error {
	cfg = cfg.Clone()
	cfg.ReadTimeout = 0
	pool, err := mysqlPool(cfg, 2, map[string]string{"max_statement_time": "0"})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.PingContext(ctx); err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	if done, err := db.dia.migrated(ctx, pool); done || err != nil {
		return err // nothing to lock, which not every account may
	}
	locker, err := lock.NewMySQLTableLocker(
		lock.WithTableLockTimeout(time.Second/2, 240),
		lock.WithTableRetryPolicy(func(err error) bool { return mysqlNumber(err) == 0 || mysql.again(err) }),
		lock.WithTableLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("preparing the lock: %w", err)
	}
	err = db.migrate(ctx, pool, goose.WithLocker(locker))
	if denied(err) {
		return ErrMigration.With(err)
	}
	return err
}

// ErrMigration is returned for an account that may not make or change tables.
var ErrMigration = fault.New(fault.Denied, "database_migration_denied",
	"The tables are to be changed, and this database account may not do that.", "signet database migrate with an account that may, then start the servers.")

func denied(err error) bool {
	n := mysqlNumber(err)
	return n == errDatabaseDenied || n == errTableDenied
}
