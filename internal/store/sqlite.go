package store

import (
	"errors"
	"regexp"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

var sqlite = dialect{
	name:   "sqlite3",
	schema: "sqlite",
	size:   `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`,
	check:  `PRAGMA quick_check(1)`,
	again: func(err error) bool {
		e, ok := errors.AsType[*driver.Error](err)
		return ok && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
	},
	unique: func(err error) bool {
		e, ok := errors.AsType[*driver.Error](err)
		return ok && (e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
	},
	upsert: func(key, set string) string {
		return ` ON CONFLICT (` + key + `) DO UPDATE SET ` + proposed.ReplaceAllString(set, "excluded.$1")
	},
	tables: `SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
		AND substr(name, 1, 6) <> 'goose_' ORDER BY name`,
	snapshot:  []string{`BEGIN`},
	unchecked: `PRAGMA foreign_keys = 0`,
	broken:    `PRAGMA foreign_key_check`,
}

// sqliteFull tells whether err means that the disk is full.
func sqliteFull(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && (e.Code()&0xff == lib.SQLITE_FULL || e.Code() == lib.SQLITE_IOERR_SHMSIZE)
}

// sqliteStuck tells whether err means that the file cannot be used right now: a
// disk that fails, or a file system that was made read-only.
func sqliteStuck(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && (e.Code()&0xff == lib.SQLITE_IOERR || e.Code()&0xff == lib.SQLITE_READONLY || e.Code()&0xff == lib.SQLITE_CANTOPEN)
}

// proposed is how MySQL names what would have been inserted.
var proposed = regexp.MustCompile(`VALUES\((\w+)\)`)
