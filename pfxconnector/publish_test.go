package pfxconnector_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// shelf has certificates without keys.
type shelf struct {
	pfxconnector.Store
	of    map[subject.UserID][]cert.Record
	asked []int
	fail  error
}

func (s *shelf) ImportedOf(_ context.Context, ids []subject.UserID) (map[subject.UserID][]cert.Record, error) {
	s.asked = append(s.asked, len(ids))
	return s.of, s.fail
}

func TestPublications(t *testing.T) {
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	record := func(name string, from, to int, use cert.Use, address string) cert.Record {
		return cert.Record{Fingerprint: cert.FingerprintOf([]byte(name)), Source: cert.Imported, Use: use, Subject: name,
			Addresses: []string{address}, NotBefore: day(from), NotAfter: day(to)}
	}
	revoked := record("revoked", -5, 5, cert.Encryption, "a@x")
	revoked.RevokedAt = day(-1)
	s := &shelf{of: map[subject.UserID][]cert.Record{"a": {
		record("newest", -1, 9, cert.Encryption, "a@x"), record("older", -9, 9, cert.Both, "a@x"), record("expired", -99, -9, cert.Encryption, "a@x"),
		revoked, record("alias", -2, 9, cert.Encryption, "other@x"), record("signs", -2, 9, cert.Signing, "a@x"), record("later", 2, 9, cert.Encryption, "a@x"),
	}}}
	h := openHouse(t, t.TempDir())
	config := h.Config
	config.Store = s
	service := pfxconnector.New(config)
	list, err := service.Publications(t.Context(), []subject.User{{ID: "a", Mail: "a@x"}, {ID: "b", Mail: "b@x"}})
	if err != nil || len(list) != 2 {
		t.Fatalf("got %d, %v", len(list), err)
	}
	a, b := list[0], list[1]
	var valid, past []string
	for _, r := range a.Valid {
		valid = append(valid, r.Subject)
	}
	for _, f := range a.Past {
		for _, r := range s.of["a"] {
			if r.Fingerprint == f {
				past = append(past, r.Subject)
			}
		}
	}
	if a.Current == nil || a.Current.Subject != "newest" {
		t.Errorf("current: got %v, want the newest", a.Current)
	}
	for what, diff := range map[string]string{
		"valid": cmp.Diff([]string{"newest", "older", "alias", "signs"}, valid),
		"past":  cmp.Diff([]string{"older", "expired", "revoked"}, past),
	} {
		if diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if b.Current != nil || len(b.Valid)+len(b.Past) != 0 || b.User.ID != "b" {
		t.Errorf("who has none: got %+v", b)
	}

	s.asked = nil
	var many []subject.User
	for n := range 1001 {
		many = append(many, subject.User{ID: subject.UserID(fmt.Sprint(n))})
	}
	if list, err := service.Publications(t.Context(), many); err != nil || len(list) != 1001 || len(s.asked) != 3 {
		t.Errorf("many: got %d in %v, %v; want 1001 in 3", len(list), s.asked, err)
	}
	s.fail = errors.New("no")
	if _, err := service.Publications(t.Context(), many); !errors.Is(err, s.fail) {
		t.Errorf("got %v", err)
	}
}
