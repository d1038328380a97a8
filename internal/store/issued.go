package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep"
)

// IssuedAs implements [scep.RecordStore].
func (s SCEP) IssuedAs(ctx context.Context, serial cert.Serial) (cert.Fingerprint, error) {
	f, err := scanFingerprint(s.db.read.QueryRowContext(ctx, `SELECT fingerprint FROM certificate WHERE serial = ? AND source = ?`,
		serial, cert.Issued))
	if errors.Is(err, sql.ErrNoRows) {
		return f, scep.ErrCertificateUnknown
	}
	if err != nil {
		return f, fmt.Errorf("looking for serial number %s: %w", serial, err)
	}
	return f, nil
}

// IssuedPage implements [scep.RecordStore].
func (s SCEP) IssuedPage(ctx context.Context, q scep.IssuedQuery) ([]cert.Record, error) {
	query, values := issuedPage(q)
	list, err := all(ctx, s.db.read, scanCertificate, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing issued certificates: %w", err)
	}
	return list, nil
}

// issuedPage orders by when certificates were issued, and finds those of one
// holder by him: they are few.
func issuedPage(q scep.IssuedQuery) (query string, values []any) {
	from := ` FROM issuance x CROSS JOIN certificate c WHERE x.state = 'issued' AND x.issued_at > 0`
	if q.User != "" || q.Device != "" {
		from = ` FROM certificate c CROSS JOIN issuance x WHERE x.state = 'issued' AND x.issued_at > 0`
	}
	var b strings.Builder
	b.WriteString(`SELECT c.` + strings.Join(strings.FieldsFunc(certificateColumns, func(r rune) bool { return strings.ContainsRune(", \t\n", r) }), `, c.`))
	b.WriteString(from + ` AND c.fingerprint = x.fingerprint AND c.source = ?`)
	values = []any{cert.Issued}
	and := func(condition string, more ...any) {
		b.WriteString(` AND ` + condition)
		values = append(values, more...)
	}
	if q.User != "" {
		and(`c.user_id = ?`, q.User)
	}
	if q.Device != "" {
		and(`c.device_id = ?`, q.Device)
	}
	if q.Profile != "" {
		and(`c.profile = ?`, q.Profile)
	}
	switch q.State {
	case scep.Revoked:
		and(`c.revoked_at > 0`)
	case scep.Expired:
		and(`c.revoked_at = 0 AND c.not_after < ?`, micros(q.Now))
	case scep.Good:
		and(`c.revoked_at = 0 AND c.not_after >= ?`, micros(q.Now))
	}
	more, place := after(`x.issued_at`, `x.fingerprint`, q.Before, fingerprint(q.ID))
	b.WriteString(more + ` ORDER BY x.issued_at DESC, x.fingerprint DESC LIMIT ?`)
	return b.String(), append(append(values, place...), q.Limit)
}
