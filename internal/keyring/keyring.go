// Package keyring is where every private key lives that outlasts the process:
// those of the CAs and their RAs, of TLS, of profile signing and of push, the
// escrow keys and the root of the column boxes. OCSP signers are not here: they
// are made anew at each start.
//
// A ring is a directory, 0700, of age files encrypted to one X25519 identity,
// the unlock key. Nothing in it is readable without that key, which is a file
// of its own (0400) and may lie on another disk, in another backup or in a
// systemd credential. Each file opens with the age tool as well:
//
//	age -d -i unlock.key NAME.key.age
//
// Escrow keys may be encrypted by somebody else besides ([Holder]): then the ring
// has to ask for them, and forgets them again.
//
// The unlock key may itself be encrypted with a passphrase, as age -p does. Keys
// of CAs may be on a PKCS#11 token instead ([Token]); of those the ring has a
// reference, and the token keeps the key. [Ring.Share] makes a ring for a process
// that must not have them all, such as a front end.
//
// It promises that a key of the ring is never written in the clear, never
// overwritten, and that a file is there whole or not at all. What is sealed to
// an escrow key is opened here only ([Ring.Unwrap]); the key itself is not handed
// out.
//
// Start reading at [Create], [Open] and [Ring.Add].
package keyring

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Failures of opening a ring and of using it.
var (
	ErrExists = fault.New(fault.Conflict, "keyring_exists",
		"There are keys in this directory already.", "Use another directory; keys are never overwritten.")
	ErrMissing = fault.New(fault.NotFound, "keyring_missing",
		"There are no keys in this directory.", "signet init makes them; restore them from the backup if they were there.")
	ErrExposed = fault.New(fault.Denied, "keyring_exposed",
		"Others than the service can get at the keys.", "Take the rights of group and others away with chmod, and give the files to the service user.")
	ErrUnlockMissing = fault.New(fault.NotFound, "unlock_key_missing",
		"The unlock key is not there.", "Say where it is, or restore it: without it no key opens.")
	ErrUnlockInvalid = fault.New(fault.Invalid, "unlock_key_invalid",
		"The unlock key file does not hold one age identity.", "It is a text file with a line AGE-SECRET-KEY-1….")
	ErrUnlockWrong = fault.New(fault.Denied, "unlock_key_wrong",
		"The unlock key does not open these keys.", "It belongs to another installation; nothing was changed.")
	ErrDamaged = fault.New(fault.Internal, "keyring_damaged",
		"A file of the keyring is damaged.", "Restore the keys from the backup.")
	ErrName = fault.New(fault.Invalid, "key_name_invalid",
		"A key name is 1 to 64 small letters, digits and hyphens.", "")
	ErrKeyExists = fault.New(fault.Conflict, "key_exists",
		"There is a key of this name already.", "Keys are never overwritten.")
	ErrKeyUnknown = fault.New(fault.NotFound, "keyring_key_unknown",
		"There is no key of this name.", "")
	ErrKeyUse = fault.New(fault.Invalid, "key_cannot_decrypt",
		"A key of this kind cannot decrypt.", "")
	ErrCertificate = fault.New(fault.Invalid, "key_certificate_mismatch",
		"The first certificate does not belong to the key.", "")
	ErrEscrowUnknown = fault.New(fault.NotFound, "escrow_key_unknown",
		"The escrow key that this was sealed to is not here.", "Restore it from the backup of the keys.")
	ErrEscrowActive = fault.New(fault.Conflict, "escrow_key_active",
		"Keys are sealed to this escrow key now.", "signet keys escrow rotate makes another one.")
	ErrUnwrap = fault.New(fault.Denied, "escrow_unwrap_failed",
		"What was sealed does not open: it is damaged, or belongs elsewhere.", "")
	ErrUnreadable = fault.New(fault.Unavailable, "escrow_key_unreadable",
		"The file of an escrow key cannot be read.", "Give it back to the service user, or see what ails the disk. What is running goes on; it would not start again.")
	ErrCanary = fault.New(fault.Unavailable, "escrow_key_wrong",
		"An escrow key does not open what was sealed to it.", "Restore the keys from the backup; import and delivery stay off.")
)

// Ring is an opened keyring, safe for concurrent use.
type Ring struct {
	dir    string
	unlock *age.X25519Identity
	token  Token
	column seal.Secret
	load   func(*Ring) ([]escrowKey, error) // what of the escrow keys this process may have

	holders  []holding
	escrowIn string        // who holds escrow keys that are made
	turn     chan struct{} // of who asks a holder; guards opened
	opened   map[escrow.KeyID]opened

	mu     sync.RWMutex
	named  map[string]named
	escrow []escrowKey
}

const columnFile = "column.age"

// Create makes a ring in dir with a column root and an escrow key. The unlock
// key is made too, unless the file is there already. ErrExists when dir has a
// ring. What a crash left half-way is completed.
func Create(dir, unlock string, options ...Option) (*Ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making key directory: %w", err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, escrowFile)); err == nil {
		return nil, ErrExists.Saying("There are keys in " + dir + " already.")
	}
	w := waysOf(options)
	id, err := readUnlock(unlock, w)
	if errors.Is(err, ErrUnlockMissing) {
		id, err = makeUnlock(unlock)
	}
	if err != nil {
		return nil, err
	}
	r := newRing(dir, id, w)
	if _, err := os.Stat(filepath.Join(dir, columnFile)); errors.Is(err, fs.ErrNotExist) {
		if err := r.encrypt(columnFile, seal.RandomRoot()); err != nil {
			return nil, err
		}
	}
	if _, err := r.AddEscrow(); err != nil {
		return nil, err
	}
	return Open(dir, unlock, options...)
}

func newRing(dir string, id *age.X25519Identity, w ways) *Ring {
	return &Ring{dir: dir, unlock: id, token: w.token, holders: w.holders, escrowIn: w.escrowIn,
		turn: make(chan struct{}, 1), opened: map[escrow.KeyID]opened{}, named: map[string]named{}}
}

// Open unlocks the ring in dir with the unlock key in that file. Nothing is
// changed on disk, whatever is wrong.
func Open(dir, unlock string, options ...Option) (*Ring, error) {
	return open(dir, unlock, options, (*Ring).readEscrow)
}

// OpenFront is Open for a ring that [Ring.Share] made: what it knows of the
// escrow keys is public.
func OpenFront(dir, unlock string, options ...Option) (*Ring, error) {
	return open(dir, unlock, options, func(r *Ring) ([]escrowKey, error) { return readList(r.dir) })
}

func open(dir, unlock string, options []Option, readEscrow func(*Ring) ([]escrowKey, error)) (*Ring, error) {
	if _, err := os.Stat(filepath.Join(dir, escrowFile)); err != nil {
		return nil, missing(dir, err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	w := waysOf(options)
	id, err := readUnlock(unlock, w)
	if err != nil {
		return nil, err
	}
	r := newRing(dir, id, w)
	r.load = readEscrow
	if r.column, err = r.decrypt(columnFile); err != nil {
		return nil, err
	}
	if r.escrow, err = r.load(r); err != nil {
		return nil, err
	}
	r.named, err = r.readNamed()
	return r, err
}

// missing says that dir has no ring, unless we may not look.
func missing(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrMissing.Saying("There are no keys in " + dir + ".").With(err)
	}
	return fmt.Errorf("looking at the keys: %w", err)
}

// ColumnRoot gives the root for [seal.NewBox].
func (r *Ring) ColumnRoot() seal.Secret { return r.column }

// FindUnlock tells where the unlock key is: where the configuration says, else
// in systemd's credentials as "signet-unlock", else in dir itself.
func FindUnlock(configured, dir string, getenv func(string) string) string {
	if credentials := getenv("CREDENTIALS_DIRECTORY"); configured == "" && credentials != "" {
		if file := filepath.Join(credentials, credential); exists(file) {
			return file
		}
	}
	return cmp.Or(configured, filepath.Join(dir, "unlock.key"))
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
