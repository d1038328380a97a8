package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
)

var errDSNFile = fault.New(fault.Denied, "database_dsn_exposed",
	"Others than the service can get at the file of database.dsn_file.", "It holds a password: chmod 600, and let the service own it.")

// openDatabase opens the database that init made for the keys of ring. A new
// one in its place would hold nothing of what the keys belong to.
func openDatabase(ctx context.Context, cfg config.Config, ring *keyring.Ring) (*store.DB, error) {
	if cfg.Database.DSNFile != "" {
		return openClaimed(ctx, cfg, ring)
	}
	file := cfg.In("signet.db")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, errNoDatabase.Saying("The database " + file + " is missing, although there are keys.")
	} else if err != nil {
		return nil, fmt.Errorf("looking for the database: %w", err)
	}
	return foundDatabase(ctx, cfg, ring)
}

// openClaimed opens a database that is somebody's already.
func openClaimed(ctx context.Context, cfg config.Config, ring *keyring.Ring) (*store.DB, error) {
	db, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	owner, err := db.Owner(ctx)
	if err == nil && owner.IsZero() {
		err = errNoDatabase.Saying("The database of " + cfg.Database.DSNFile + " is empty, although there are keys.")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return claimed(ctx, db, ring)
}

// foundDatabase prepares the database for the keys of ring. It may hold
// nothing of another installation.
func foundDatabase(ctx context.Context, cfg config.Config, ring *keyring.Ring) (*store.DB, error) {
	db, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return claimed(ctx, db, ring)
}

func claimed(ctx context.Context, db *store.DB, ring *keyring.Ring) (*store.DB, error) {
	chain, err := ring.Certificates(rootKey)
	if err == nil {
		err = db.Claimed(ctx, cert.FingerprintOf(chain[0].Raw), time.Now())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connect opens the configured database.
func connect(ctx context.Context, cfg config.Config) (*store.DB, error) {
	file := cfg.Database.DSNFile
	if file == "" {
		return store.OpenSQLite(ctx, cfg.In("signet.db"))
	}
	dsn, err := readDSN(file)
	if err != nil {
		return nil, err
	}
	db, err := store.OpenMySQL(ctx, dsn)
	if errors.Is(err, store.ErrUnavailable) {
		return nil, store.ErrUnavailable.Saying("The database of " + file + " does not answer" + because(err) + ".").With(err)
	}
	return db, err
}

// databaseName says where the database is.
func databaseName(cfg config.Config) string {
	if cfg.Database.DSNFile == "" {
		return "signet.db"
	}
	return "the tables in the database of " + cfg.Database.DSNFile
}

// because adds what the system says about a connection that cannot be had.
func because(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return ": " + op.Error()
	}
	return ""
}

// maxDSN bounds the file of the DSN.
const maxDSN = 16 << 10

// readDSN reads the file, which holds a password.
func readDSN(path string) (string, error) {
	f, err := disk.OpenPrivate(path)
	if errors.Is(err, disk.ErrExposed) {
		return "", errDSNFile.Saying("Others than the service can get at " + path + ".").With(err)
	}
	if err != nil {
		return "", fmt.Errorf("reading database.dsn_file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDSN))
	if err != nil {
		return "", fmt.Errorf("reading database.dsn_file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
