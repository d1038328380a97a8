package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// Gateway is the facet of other MDMs and of what is handed over to them.
type Gateway struct{ db *DB }

// Gateway gives the facet.
func (db *DB) Gateway() Gateway { return Gateway{db} }

var (
	_ gateway.Store  = Gateway{}
	_ gateway.Ledger = Gateway{}
)

// ConnectorAdded implements [gateway.Store].
func (s Gateway) ConnectorAdded(ctx context.Context, c gateway.Connector, secret seal.Hash, e journal.Entry) error {
	terms, err := json.Marshal(c.Terms)
	if err != nil {
		return fmt.Errorf("encoding terms: %w", err)
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connector (id, name, terms, secret, created_at, actor_kind, actor_id, consent_id, seal, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
			c.ID, c.Name, string(terms), secret.String(), micros(c.Created), c.By.Kind, c.By.ID, c.Consent, []byte{})
		if err != nil {
			return fmt.Errorf("inserting connector: %w", err)
		}
		return record(ctx, tx, e)
	})
	if s.db.dia.unique(err) {
		return gateway.ErrExists.With(err)
	}
	return err
}

const selectConnector = `SELECT id, terms, created_at, actor_kind, actor_id, consent_id, seal, revoked_at FROM connector`

func scanConnector(row scanner) (c gateway.Connector, err error) {
	var terms []byte
	var created, revoked int64
	err = row.Scan(&c.ID, &terms, &created, &c.By.Kind, &c.By.ID, &c.Consent, &c.Seal, &revoked)
	if err != nil {
		return c, err
	}
	if len(c.Seal) == 0 {
		c.Seal = nil // the drivers differ in how no bytes come back
	}
	c.Created, c.Revoked = instant(created), instant(revoked)
	return c, json.Unmarshal(terms, &c.Terms)
}

// Connector implements [gateway.Store].
func (s Gateway) Connector(ctx context.Context, key string) (gateway.Connector, error) {
	return s.one(ctx, ` WHERE id = ? OR name = ?`, key, key)
}

// ConnectorOf implements [gateway.Store].
func (s Gateway) ConnectorOf(ctx context.Context, secret seal.Hash) (gateway.Connector, error) {
	return s.one(ctx, ` WHERE secret = ?`, secret.String())
}

func (s Gateway) one(ctx context.Context, where string, values ...any) (gateway.Connector, error) {
	c, err := scanConnector(s.db.read.QueryRowContext(ctx, selectConnector+where, values...))
	if errors.Is(err, sql.ErrNoRows) {
		return c, gateway.ErrUnknown
	}
	if err != nil {
		return c, fmt.Errorf("reading connector: %w", err)
	}
	return c, nil
}

// Connectors implements [gateway.Store].
func (s Gateway) Connectors(ctx context.Context, before time.Time, id string, limit int) ([]gateway.Connector, error) {
	where, values := after("created_at", "id", before, id)
	list, err := all(ctx, s.db.read, scanConnector, selectConnector+` WHERE 1 = 1`+where+` ORDER BY created_at DESC, id DESC LIMIT ?`,
		append(values, limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing connectors: %w", err)
	}
	return list, nil
}

// SecretChanged implements [gateway.Store].
func (s Gateway) SecretChanged(ctx context.Context, id string, secret seal.Hash, e journal.Entry) error {
	return s.change(ctx, e, gateway.ErrUnknown, `UPDATE connector SET secret = ? WHERE id = ?`, secret.String(), id)
}

// ConnectorRevoked implements [gateway.Store].
func (s Gateway) ConnectorRevoked(ctx context.Context, id string, e journal.Entry) error {
	return s.change(ctx, e, gateway.ErrOver, `UPDATE connector SET revoked_at = ?, seal = ? WHERE id = ? AND revoked_at = 0`, micros(e.At), []byte{}, id)
}

// change runs a statement that meets one row, or gives none.
func (s Gateway) change(ctx context.Context, e journal.Entry, none error, query string, values ...any) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, query, values...)
		if err != nil {
			return fmt.Errorf("changing connector: %w", err)
		}
		if n == 0 {
			return none
		}
		return record(ctx, tx, e)
	})
}

// CRLStored implements [gateway.Store].
func (s Gateway) CRLStored(ctx context.Context, l gateway.CRL, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connector_crl (connector_id, issuer, der, at) VALUES (?, ?, ?, ?)`+
			s.db.upsert(`connector_id, issuer`, `der = VALUES(der), at = VALUES(at)`), l.Connector, fingerprint(l.Issuer), l.DER, micros(l.At))
		if err != nil {
			return fmt.Errorf("storing revocation list: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// CRLsOf implements [gateway.CRLs].
func (s Gateway) CRLsOf(ctx context.Context, connector string) ([]gateway.CRL, error) {
	scan := func(row scanner) (l gateway.CRL, err error) {
		var issuer string
		var at int64
		if err = row.Scan(&l.Connector, &issuer, &l.DER, &at); err != nil {
			return l, err
		}
		l.At = instant(at)
		l.Issuer, err = parseFingerprint(issuer)
		return l, err
	}
	return all(ctx, s.db.read, scan, `SELECT connector_id, issuer, der, at FROM connector_crl WHERE connector_id = ? ORDER BY issuer`, connector)
}

// ConnectorsWaiting implements [gateway.Ledger].
func (s Gateway) ConnectorsWaiting(ctx context.Context) ([]gateway.Connector, error) {
	list, err := all(ctx, s.db.read, scanConnector, selectConnector+` WHERE revoked_at = 0 AND LENGTH(seal) = 0 ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("listing connectors that wait: %w", err)
	}
	return list, nil
}

// ConnectorSealed implements [gateway.Ledger].
func (s Gateway) ConnectorSealed(ctx context.Context, c gateway.Connector, digest seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE connector SET seal = ? WHERE id = ? AND revoked_at = 0 AND LENGTH(seal) = 0`, c.Seal, c.ID)
		if err != nil {
			return fmt.Errorf("sealing connector: %w", err)
		}
		if n == 0 {
			return gateway.ErrOver
		}
		if err := consent(ctx, tx, c.Consent, digest, e.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// DeliveryMadeFor implements [gateway.Ledger].
func (s Gateway) DeliveryMadeFor(ctx context.Context, request cert.Fingerprint, at time.Time) (id string, content []byte, found bool, err error) {
	err = s.db.read.QueryRowContext(ctx, `SELECT id, content FROM connector_delivery WHERE request = ? AND until > ? AND content IS NOT NULL
		ORDER BY until DESC, id LIMIT 1`, fingerprint(request), micros(at)).Scan(&id, &content)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, false, nil
	}
	return id, content, err == nil, err
}

// DeliveryBegun implements [gateway.Ledger]. Connector and user are held, so
// that nobody counts their keys meanwhile.
func (s Gateway) DeliveryBegun(ctx context.Context, b gateway.Begun, l gateway.Limits, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, held := range []struct {
			lock, of, id string
			most         int
		}{{`connector WHERE id = ?`, `connector_id`, b.Connector, l.Connector}, {`users WHERE id = ?`, `user_id`, string(b.User), l.User}} {
			if err := s.db.lock(ctx, tx, held.lock, held.id); err != nil {
				return err
			}
			var opened int
			err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(opened), 0) FROM connector_delivery WHERE `+held.of+` = ? AND at > ?`,
				held.id, micros(b.At.Add(-time.Hour))).Scan(&opened)
			if err != nil {
				return fmt.Errorf("counting what was handed over: %w", err)
			}
			if opened+b.Keys > held.most {
				return gateway.ErrLimit
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO connector_delivery (id, connector_id, user_id, device_id, request, opened, at, until)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0)`, b.ID, b.Connector, b.User, b.Device, fingerprint(b.Request), b.Keys, micros(b.At))
		if err != nil {
			return fmt.Errorf("inserting delivery: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// DeliveryMade implements [gateway.Ledger].
func (s Gateway) DeliveryMade(ctx context.Context, id string, content []byte, until time.Time, e journal.Entry) error {
	return s.change(ctx, e, gateway.ErrUnknown, `UPDATE connector_delivery SET content = ?, until = ? WHERE id = ?`, content, micros(until), id)
}

// DeliveriesForgotten implements [gateway.Ledger].
func (s Gateway) DeliveriesForgotten(ctx context.Context, now, drop time.Time) (n int, err error) {
	const over, old = `content IS NOT NULL AND until <= ?`, `at < ?`
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM connector_delivery WHERE `+over+` OR `+old+`)`, micros(now), micros(drop))
	if err != nil || idle {
		return 0, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		gone, err := changed(ctx, tx, `DELETE FROM connector_delivery WHERE `+old, micros(drop))
		if err != nil {
			return fmt.Errorf("forgetting deliveries: %w", err)
		}
		empty, err := changed(ctx, tx, `UPDATE connector_delivery SET content = NULL WHERE `+over, micros(now))
		if err != nil {
			return fmt.Errorf("forgetting what was delivered: %w", err)
		}
		n = int(gone + empty)
		return nil
	})
	return n, err
}

// Record implements [gateway.Ledger].
func (s Gateway) Record(ctx context.Context, e journal.Entry) error {
	return s.db.Journal().Record(ctx, e)
}
