package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// backups makes backups of a running server, one at a time.
type backups struct {
	*server
	one *sync.Mutex
}

// Backup implements [admin.Backups].
func (b backups) Backup(ctx context.Context, by journal.Actor, to []string) (func(context.Context, io.Writer) error, error) {
	if !b.cfg.Plays(config.KeeperRole) {
		return nil, backup.ErrNoKeys
	}
	recipients, err := b.recipients(to)
	if err != nil {
		return nil, err
	}
	if !b.one.TryLock() {
		return nil, backup.ErrRunning
	}
	e := journal.Entry{At: time.Now(), Actor: by, Action: journal.BackupMade, Detail: map[string]string{}}
	for i, r := range to {
		e.Detail[fmt.Sprintf("to%d", i+1)] = r
	}
	if err := b.db.Journal().Record(ctx, e); err != nil {
		b.one.Unlock()
		return nil, fmt.Errorf("recording a backup: %w", err)
	}
	return func(ctx context.Context, out io.Writer) error {
		defer b.one.Unlock()
		return b.write(ctx, out, recipients)
	}, nil
}

// recipients are always the unlock key, without which nothing of the backup is
// of use, and the recovery key, with which keys are saved when that is lost.
func (b backups) recipients(to []string) ([]age.Recipient, error) {
	list := []age.Recipient{b.ring.Unlocker()}
	if b.cfg.Keys.Recovery != "" {
		r, err := backup.ParseRecipient(b.cfg.Keys.Recovery)
		if err != nil {
			b.log.Warn("the recovery key does not open backups: age does not mix kinds of keys", logx.Err, err)
		} else {
			list = append(list, r)
		}
	}
	for _, text := range to {
		r, err := backup.ParseRecipient(text)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// write makes the archive. The rows are of one moment, and the keys are read
// after it began: every row finds its key.
func (b backups) write(ctx context.Context, out io.Writer, to []age.Recipient) (err error) {
	rows, err := b.db.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	w, err := backup.NewWriter(out, backup.Header{Program: newBuild().Version, Schema: rows.Schema, Created: time.Now().UTC(), URL: b.cfg.URL}, to...)
	if err != nil {
		return err
	}
	config, err := configText(b.cfg)
	if err != nil {
		return err
	}
	if err := w.Config(config); err != nil {
		return err
	}
	keys, err := b.ring.Files()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if err := w.Key(name, keys[name]); err != nil {
			return err
		}
	}
	if err := rows.Write(ctx, w); err != nil {
		return err
	}
	return w.Close()
}
