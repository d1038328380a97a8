// Package backup writes and reads the archive of one installation: the rows of
// the database, the files of the keyring and signet.toml, as a tar file inside
// an age file.
//
// Rows are lines of JSON that belong to no kind of database. The archive is
// made as it is written, with nothing on disk in between, and read as it
// comes. It promises that what is read is what was written, all of it, or an
// error: age authenticates every byte, and a manifest at the end has the hash
// of each file and the number of rows. Without Signet it opens with two tools:
//
//	age -d -i unlock.key signet.backup | tar x
//
// The unlock key is never in it. Start at [NewWriter] and [Read].
package backup

import (
	"fmt"
	"path"
	"regexp"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
)

// Failures of making and of reading an archive.
var (
	ErrRecipient = fault.New(fault.Invalid, "backup_recipient_invalid",
		"This is no age recipient that can open a backup.", "It looks like age1…; age-keygen makes one. Those for after quantum computers do not mix with others.")
	ErrRunning = fault.New(fault.Conflict, "backup_running",
		"Another backup is being made right now.", "Wait until it is done.")
	ErrNoKeys = fault.New(fault.Conflict, "backup_without_keys",
		"This process has no keys of the CAs and of the users, so a backup that it made could not be restored.", "Make it where the keeper runs: give that process the roles keeper,admin.")
	ErrIdentity = fault.New(fault.Denied, "backup_identity_wrong",
		"None of the given keys opens this backup.", "It opens with the unlock key of its installation, with the recovery key, and with those that --to named.")
	ErrDamaged = fault.New(fault.Invalid, "backup_damaged",
		"The backup is damaged or not whole.", "Take another one; nothing was restored.")
	ErrNewer = fault.New(fault.Conflict, "backup_newer",
		"The backup was made by a newer version of Signet.", "Restore it with that version.")
)

// format is the version of the archive. A reader refuses a later one.
const format = 1

// Header is the first thing in an archive.
type Header struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // version that wrote it
	Schema  int64     `json:"schema"`  // of the database
	Created time.Time `json:"created"`
	URL     string    `json:"url"` // of the installation
}

// Manifest is the last thing in an archive.
type Manifest struct {
	Files map[string]string `json:"files"` // SHA-256 of each, in hex
	Rows  map[string]int64  `json:"rows"`  // of each table
}

// The names in an archive.
const (
	headerName   = "header.json"
	manifestName = "manifest.json"
	configName   = "signet.toml"
	keysDir      = "keys"
	rowsDir      = "db"
)

// Bounds. A part of a table ends after partSize, or after the row that goes
// over it.
const (
	partSize  = 1 << 20
	maxPart   = 256 << 20
	maxFile   = 1 << 20 // a key file, signet.toml
	maxKeys   = 1000    // files
	maxTables = 500
	maxList   = 64 << 20 // the manifest
)

var (
	tableForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	keyForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,127}$`)
)

// partName names a part of a table.
func partName(table string, n int) string {
	return path.Join(rowsDir, fmt.Sprintf("%s.%06d.jsonl", table, n))
}
