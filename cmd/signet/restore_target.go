package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
)

// unfinished is the name of signet.toml until everything else is there.
const unfinished = "signet.toml.restoring"

// target is a data directory, with its database, that is filled from a backup.
type target struct {
	dir  string
	load func(unfinished string) (config.Config, error)

	header backup.Header
	cfg    config.Config
	loader *store.Loader
}

// Begin implements [backup.Target].
func (t *target) Begin(_ context.Context, h backup.Header) error {
	t.header = h
	if err := os.Mkdir(filepath.Join(t.dir, "keys"), 0o700); err != nil {
		return fmt.Errorf("making the key directory: %w", err)
	}
	return nil
}

// Config implements [backup.Target].
func (t *target) Config(text []byte) (err error) {
	file := filepath.Join(t.dir, unfinished)
	if err := disk.Create(file, text, 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	t.cfg, err = t.load(file)
	t.cfg.Data = t.dir
	return err
}

// Key implements [backup.Target].
func (t *target) Key(name string, data []byte) error {
	return disk.Create(filepath.Join(t.dir, "keys", name), data, 0o600)
}

// Rows implements [backup.Target]. The database is where the configuration
// says, which came before.
func (t *target) Rows(ctx context.Context, table string, columns []string, rows [][]any) (err error) {
	if t.cfg.Data == "" {
		return backup.ErrDamaged.With(errors.New("rows before signet.toml"))
	}
	if t.loader == nil {
		if t.loader, err = t.open(ctx); err != nil {
			return err
		}
	}
	return t.loader.Rows(ctx, table, columns, rows)
}

func (t *target) open(ctx context.Context) (*store.Loader, error) {
	if t.cfg.Database.DSNFile == "" {
		return store.LoadSQLite(ctx, t.cfg.In("signet.db"), t.header.Schema)
	}
	dsn, err := readDSN(t.cfg.Database.DSNFile)
	if err != nil {
		return nil, err
	}
	return store.LoadMySQL(ctx, dsn, t.header.Schema)
}

// whole looks whether all was there and fits together.
func (t *target) whole(ctx context.Context) error {
	if t.loader == nil {
		return backup.ErrDamaged.With(errors.New("no rows"))
	}
	return t.loader.Finish(ctx)
}

// end ends the loading. Unless the outcome is good, nothing of it stays in the
// database.
func (t *target) end(outcome error) error {
	if t.loader == nil {
		return outcome
	}
	if outcome != nil {
		outcome = errors.Join(outcome, t.loader.Discard(context.Background()))
	}
	return errors.Join(outcome, t.loader.Close())
}

// done gives signet.toml its name: all is there.
func (t *target) done() error {
	if err := os.Rename(filepath.Join(t.dir, unfinished), t.cfg.In("signet.toml")); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// unlockPlace tells where a server looks for its unlock key, "" when something
// is there.
func unlockPlace(cfg config.Config, getenv func(string) string) string {
	file := keyring.FindUnlock(cfg.Keys.UnlockFile, cfg.In("keys"), getenv)
	if _, err := os.Stat(file); err == nil {
		return ""
	}
	return file
}
