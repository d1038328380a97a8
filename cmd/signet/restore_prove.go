package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// inPart is how many users are read at a time.
const inPart = 500

// prover tries everything in a restored directory that has to open.
type prover struct {
	cfg        config.Config
	unlock     string
	options    []keyring.Option
	identities []age.Identity
	found      *restored
}

// prove notes what does not open; it fails when the keys themselves do not.
func (p prover) prove(ctx context.Context) (err error) {
	ring, err := keyring.Open(p.cfg.In("keys"), p.unlock, p.options...)
	if err != nil {
		return fmt.Errorf("opening the keys of the backup: %w", err)
	}
	if err := ring.SelfTest(); err != nil {
		return fmt.Errorf("trying the escrow keys of the backup: %w", err)
	}
	p.found.Token = lookForToken(ctx, ring)
	p.found.Own, p.found.Lost = len(ring.Names())-len(ring.TokenKeys()), []string{}
	db, err := foundDatabase(ctx, p.cfg, ring) // and whose it is
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if p.identities != nil {
		p.found.Recovers = new(int)
	}
	for after := ""; ; {
		users, err := db.Directory().Users(ctx, after, inPart)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := p.user(ctx, db, ring, u); err != nil {
				return err
			}
			after = u.Mail
		}
		if len(users) < inPart {
			break
		}
	}
	if err := p.quarantine(ctx, db, ring); err != nil {
		return err
	}
	if n := p.found.Rows["escrow_key"]; int64(p.found.Keys) != n {
		return fmt.Errorf("the backup has %d imported keys, of which %d belong to somebody", n, p.found.Keys)
	}
	return db.Journal().Record(ctx, journal.Entry{At: time.Now(), Actor: journal.Actor{Kind: journal.Local, ID: "restore"},
		Action: journal.BackupRestored, Detail: map[string]string{"created": p.found.Created.UTC().Format(time.RFC3339)}})
}

func (p prover) user(ctx context.Context, db *store.DB, ring *keyring.Ring, u subject.User) error {
	records, err := db.PFX().Imported(ctx, u.ID)
	if err != nil {
		return err
	}
	wanted := make([]cert.Fingerprint, len(records))
	for i, r := range records {
		wanted[i] = r.Fingerprint
	}
	deposits, err := db.PFX().Deposits(ctx, u.ID, wanted)
	if err != nil {
		return err
	}
	for _, d := range deposits {
		p.one(ctx, ring, d, u.Mail)
	}
	return nil
}

// quarantine tries the keys that are nobody's.
func (p prover) quarantine(ctx context.Context, db *store.DB, ring *keyring.Ring) error {
	for after := ""; ; {
		list, err := db.PFX().InQuarantine(ctx, after, inPart)
		if err != nil {
			return err
		}
		for _, q := range list {
			d, found, err := db.PFX().QuarantinedDeposit(ctx, q.ID)
			if err != nil {
				return err
			}
			if found {
				p.one(ctx, ring, d, "quarantine")
			}
			after = string(q.ID)
		}
		if len(list) < inPart {
			return nil
		}
	}
}

// one tries a key.
func (p prover) one(ctx context.Context, ring *keyring.Ring, d escrow.Deposit, whose string) {
	p.found.Keys++
	if err := p.deposit(ctx, ring, d); err != nil {
		p.found.Lost = append(p.found.Lost, fmt.Sprintf("%s of %s (%s)", d.Key.Cert, whose, fault.Code(err)))
	}
}

func (p prover) deposit(ctx context.Context, ring *keyring.Ring, d escrow.Deposit) error {
	if err := opener.Prove(ctx, ring, d); err != nil {
		return err
	}
	for _, identity := range p.identities {
		opens, err := opener.ProveRecovery(d, identity)
		if err != nil {
			return err
		}
		if opens {
			*p.found.Recovers++
			break
		}
	}
	return nil
}
