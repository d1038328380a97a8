package store

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// insertCertificate writes a new record. A unique-key error means that this
// holder has it already.
func insertCertificate(ctx context.Context, tx statements, r cert.Record) error {
	if r.Addresses == nil {
		r.Addresses = []string{}
	}
	addresses, err := json.Marshal(r.Addresses)
	if err != nil {
		return fmt.Errorf("encoding addresses: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO certificate (`+certificateColumns+`, thumbprint)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		fingerprint(r.Fingerprint), r.Holder.User, r.Holder.Device, fingerprint(r.SPKI), r.Source, r.Use.String(),
		r.Profile, r.Serial, r.Subject, r.Issuer, string(addresses), micros(r.NotBefore), micros(r.NotAfter),
		r.DER, bytes.Join(r.Chain, nil), r.Deliverable, r.Pinned, micros(r.CreatedAt), micros(r.RevokedAt), r.Reason,
		cert.Thumbprint(r.DER))
	if err != nil {
		return fmt.Errorf("inserting certificate %s: %w", r.Fingerprint, err)
	}
	return nil
}

const certificateColumns = `fingerprint, user_id, device_id, spki, source, use_, profile, serial, subject, issuer,
	addresses, not_before, not_after, der, chain, deliverable, pinned, created_at, revoked_at, reason`

const selectCertificate = `SELECT ` + certificateColumns + ` FROM certificate`

func scanCertificate(row scanner) (cert.Record, error) {
	var r cert.Record
	var fp, spki, use, addresses string
	var notBefore, notAfter, created, revoked int64
	var chain []byte
	err := row.Scan(&fp, &r.Holder.User, &r.Holder.Device, &spki, &r.Source, &use, &r.Profile, &r.Serial, &r.Subject,
		&r.Issuer, &addresses, &notBefore, &notAfter, &r.DER, &chain, &r.Deliverable, &r.Pinned, &created, &revoked, &r.Reason)
	if err != nil {
		return r, err
	}
	r.NotBefore, r.NotAfter = instant(notBefore), instant(notAfter)
	r.CreatedAt, r.RevokedAt = instant(created), instant(revoked)
	if r.Fingerprint, err = parseFingerprint(fp); err != nil {
		return r, err
	}
	if r.SPKI, err = parseFingerprint(spki); err != nil {
		return r, err
	}
	if r.Use, err = cert.ParseUse(use); err != nil {
		return r, err
	}
	if r.Chain, err = splitChain(chain); err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(addresses), &r.Addresses)
}

func splitChain(der []byte) ([][]byte, error) {
	certs, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, fmt.Errorf("reading stored chain: %w", err)
	}
	var chain [][]byte
	for _, c := range certs {
		chain = append(chain, c.Raw)
	}
	return chain, nil
}

// Certificates is the facet of the certificate records, for reading.
type Certificates struct{ db *DB }

// Certificates gives the facet.
func (db *DB) Certificates() Certificates { return Certificates{db} }

// OfUser lists all records of a user, newest NotBefore first; never nil.
func (s Certificates) OfUser(ctx context.Context, id subject.UserID) ([]cert.Record, error) {
	return all(ctx, s.db.read, scanCertificate, selectCertificate+` WHERE user_id = ? ORDER BY not_before DESC, fingerprint`, id)
}

// Bound gives the identity certificate that the enrollment of a device is bound
// to, and whether there is one.
func (s Certificates) Bound(ctx context.Context, id subject.DeviceID) (cert.Record, bool, error) {
	r, err := scanCertificate(s.db.read.QueryRowContext(ctx, selectCertificate+` WHERE device_id = ? AND source = ?
		AND fingerprint = (SELECT identity FROM enrollment WHERE device_id = ?)`, id, cert.Issued, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("reading the identity of %s: %w", id, err)
	}
	return r, true, nil
}

// OfDevice lists the records issued to a device, newest NotBefore first; never nil.
func (s Certificates) OfDevice(ctx context.Context, id subject.DeviceID) ([]cert.Record, error) {
	return all(ctx, s.db.read, scanCertificate, selectCertificate+` WHERE device_id = ? ORDER BY not_before DESC, fingerprint`, id)
}
