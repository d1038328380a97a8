package access

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// requestLife is how long the key of a request is remembered.
const requestLife = 24 * time.Hour

// Failures of requests that are to happen once.
var (
	ErrRequestKey = fault.New(fault.Invalid, "idempotency_key_invalid",
		"An Idempotency-Key is 1 to 200 printable characters.", "Use a UUID for each thing you want to make.")
	ErrRequestRepeated = fault.New(fault.Conflict, "idempotency_key_reused",
		"A request with this Idempotency-Key was made within the last 24 hours.",
		"Look whether what it was to make is there: secrets are shown once and not kept. Use a new key to make another.")
)

// RequestStore remembers the keys of requests.
type RequestStore interface {
	// RequestClaimed remembers a request until then, and forgets those whose
	// time is over at now. ErrRequestRepeated when it is known; one of many at
	// once wins.
	RequestClaimed(ctx context.Context, hash seal.Hash, now, until time.Time) error
	// RequestReleased forgets a request.
	RequestReleased(ctx context.Context, hash seal.Hash) error
}

// ClaimRequest lets a caller make a request under that key once.
// ErrRequestRepeated for the second, ErrRequestKey for what is no key.
func (s *Service) ClaimRequest(ctx context.Context, by journal.Actor, key string) error {
	if key == "" || len(key) > 200 || strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
		return ErrRequestKey
	}
	now := s.now()
	return s.store.RequestClaimed(ctx, requestHash(by, key), now, now.Add(requestLife))
}

// ReleaseRequest lets the request be made again, because nothing came of it.
func (s *Service) ReleaseRequest(ctx context.Context, by journal.Actor, key string) error {
	return s.store.RequestReleased(ctx, requestHash(by, key))
}

// requestHash keeps the keys of different callers apart.
func requestHash(by journal.Actor, key string) seal.Hash {
	return seal.SecretString(string(by.Kind) + "\x00" + by.ID + "\x00" + key).Hash()
}
