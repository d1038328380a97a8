package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/notify"
)

var _ notify.CertificateStore = Push{}

// PushCertificates implements [notify.CertificateStore].
func (s Push) PushCertificates(ctx context.Context) ([]notify.Certificate, error) {
	list, err := all(ctx, s.db.read, scanPushCertificate, `SELECT topic, der, account, enrolls, imported_at, trouble, troubled_at
		FROM push_certificate ORDER BY enrolls DESC, imported_at DESC, topic`)
	if err != nil {
		return nil, fmt.Errorf("listing push certificates: %w", err)
	}
	return list, nil
}

func scanPushCertificate(row scanner) (c notify.Certificate, err error) {
	var der []byte
	var imported, troubled int64
	if err = row.Scan(&c.Topic, &der, &c.Account, &c.Enrolls, &imported, &c.Trouble, &troubled); err != nil {
		return c, err
	}
	c.ImportedAt, c.TroubledAt = instant(imported), instant(troubled)
	c.Certificate, err = x509.ParseCertificate(der)
	return c, err
}

// PushTopics implements [notify.CertificateStore].
func (s Push) PushTopics(ctx context.Context) (map[string]notify.Devices, error) {
	type row struct {
		topic string
		notify.Devices
	}
	scan := func(r scanner) (v row, err error) { return v, r.Scan(&v.topic, &v.Enrolled, &v.Reachable) }
	rows, err := all(ctx, s.db.read, scan, `SELECT e.topic, COUNT(*),
		SUM(CASE WHEN LENGTH(e.push_token) > 0 AND COALESCE(p.refused_at, 0) = 0 THEN 1 ELSE 0 END)
		FROM enrollment e JOIN device d ON d.id = e.device_id LEFT JOIN device_push p ON p.device_id = e.device_id
		WHERE d.state = 'enrolled' GROUP BY e.topic`)
	if err != nil {
		return nil, fmt.Errorf("counting devices by topic: %w", err)
	}
	topics := map[string]notify.Devices{}
	for _, r := range rows {
		topics[r.topic] = r.Devices
	}
	return topics, nil
}

// PushCertificateImported implements [notify.CertificateStore].
func (s Push) PushCertificateImported(ctx context.Context, c notify.Certificate, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if c.Enrolls {
			if _, err := tx.ExecContext(ctx, `UPDATE push_certificate SET enrolls = 0 WHERE topic <> ?`, c.Topic); err != nil {
				return fmt.Errorf("changing the topic that enrolls: %w", err)
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO push_certificate (topic, der, account, enrolls, imported_at, trouble, troubled_at)
			VALUES (?, ?, ?, ?, ?, '', 0)`+s.db.upsert("topic", `der = VALUES(der), account = VALUES(account), enrolls = VALUES(enrolls),
			imported_at = VALUES(imported_at), trouble = '', troubled_at = 0`), c.Topic, c.Certificate.Raw, c.Account, c.Enrolls, micros(c.ImportedAt))
		if err != nil {
			return fmt.Errorf("storing push certificate: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// PushTroubled implements [notify.CertificateStore].
func (s Push) PushTroubled(ctx context.Context, topic, reason string, at time.Time) error {
	if reason == "" {
		at = time.Time{}
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		// trouble last: MySQL computes assignments in order.
		_, err := tx.ExecContext(ctx, `UPDATE push_certificate SET troubled_at = CASE WHEN trouble <> '' AND ? <> '' THEN troubled_at ELSE ? END,
			trouble = ? WHERE topic = ?`, reason, micros(at), reason, topic)
		if err != nil {
			return fmt.Errorf("noting trouble: %w", err)
		}
		return nil
	})
}

// Record implements [notify.CertificateStore].
func (s Push) Record(ctx context.Context, e journal.Entry) error {
	return s.db.Journal().Record(ctx, e)
}

// PushCertificate gives the certificate of devices that enroll, nil for none,
// and why nothing can be pushed, empty when it can.
func (o Operations) PushCertificate(ctx context.Context) (c *x509.Certificate, trouble string, err error) {
	all, err := Push{db: o.db}.PushCertificates(ctx)
	if err != nil || len(all) == 0 {
		return nil, "", err
	}
	return all[0].Certificate, all[0].Trouble, nil
}
