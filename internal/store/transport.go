package store

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// Transport is the facet of the keys that passwords come encrypted to.
type Transport struct {
	db  *DB
	box *seal.Box
}

// Transport gives the facet; private halves are kept in the box.
func (db *DB) Transport(box *seal.Box) Transport { return Transport{db, box} }

var _ transport.Store = Transport{}

// transportBox names the row that a private half belongs to.
func transportBox(provider, name string) string {
	return "transport_key\x00" + provider + "\x00" + name
}

// TransportKeyAdded implements [transport.Store].
func (s Transport) TransportKeyAdded(ctx context.Context, k transport.Key, private seal.Secret, e journal.Entry) error {
	public, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return fmt.Errorf("encoding a transport key: %w", err)
	}
	boxed := s.box.Close(private, transportBox(k.Provider, k.Name))
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO transport_key (provider, name, public, private, created_at) VALUES (?, ?, ?, ?, ?)`,
			k.Provider, k.Name, public, boxed, micros(k.CreatedAt))
		if err != nil {
			return fmt.Errorf("inserting transport key: %w", err)
		}
		return record(ctx, tx, e)
	})
	if s.db.dia.unique(err) {
		return transport.ErrExists.With(err)
	}
	return err
}

// TransportKey implements [transport.Store].
func (s Transport) TransportKey(ctx context.Context, provider, name string) (transport.Key, seal.Secret, error) {
	row, err := scanTransport(s.db.read.QueryRowContext(ctx, selectTransport+` WHERE provider = ? AND name = ?`, provider, name))
	if errors.Is(err, sql.ErrNoRows) {
		return row.Key, seal.Secret{}, transport.ErrUnknown
	}
	if err != nil {
		return row.Key, seal.Secret{}, fmt.Errorf("reading transport key: %w", err)
	}
	private, err := s.box.Open(row.boxed, transportBox(row.Provider, row.Name))
	return row.Key, private, err
}

// TransportKeys implements [transport.Store].
func (s Transport) TransportKeys(ctx context.Context) ([]transport.Key, error) {
	rows, err := all(ctx, s.db.read, scanTransport, selectTransport+` ORDER BY provider, name`)
	if err != nil {
		return nil, fmt.Errorf("listing transport keys: %w", err)
	}
	list := make([]transport.Key, len(rows))
	for i, r := range rows {
		list[i] = r.Key
	}
	return list, nil
}

const selectTransport = `SELECT provider, name, public, private, created_at FROM transport_key`

type transportRow struct {
	transport.Key
	boxed []byte
}

func scanTransport(row scanner) (r transportRow, err error) {
	var der []byte
	var created int64
	if err = row.Scan(&r.Provider, &r.Name, &der, &r.boxed, &created); err != nil {
		return r, err
	}
	r.CreatedAt = instant(created)
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return r, fmt.Errorf("reading a public key: %w", err)
	}
	r.Public = public.(*rsa.PublicKey)
	return r, nil
}
