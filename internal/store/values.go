package store

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// micros is how an instant is stored: microseconds since 1970 UTC, 0 for never.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant is the way back.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// fingerprint is how a fingerprint is stored: hex, empty for none.
func fingerprint(f cert.Fingerprint) string {
	if f.IsZero() {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// parseFingerprint is the way back.
func parseFingerprint(s string) (cert.Fingerprint, error) {
	if s == "" {
		return cert.Fingerprint{}, nil
	}
	return cert.ParseFingerprint(s)
}

// inChunk bounds the length of an IN list.
const inChunk = 500

// marks gives "?,?,?" for n values.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// args turns a list of string-like ids into query arguments.
func args[T ~string](ids []T) []any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	return list
}

// after gives the condition for rows that follow (at, id) in the order newest
// first, and its arguments; nothing for the zero instant. Columns are ours.
func after(atColumn, idColumn string, at time.Time, id string) (string, []any) {
	if at.IsZero() {
		return "", nil
	}
	return " AND " + atColumn + " <= ? AND (" + atColumn + " < ? OR " + idColumn + " < ?)", []any{micros(at), micros(at), id}
}

// null is how an optional unique text is stored: NULL when empty.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
