package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

func testProfiles(t *testing.T, open Open) {
	t.Run("certificate profiles are kept as they were applied", func(t *testing.T) {
		db := open(t)
		full := scep.Profile{Name: "partners", Issuer: "smime", Use: cert.Signing, Mail: []string{"{{mail}}"}, UPN: []string{"x"},
			Subject: []scep.Step{{{Attribute: "CN", Values: []string{"{{displayName}}", "{{mail}}"}}}}, Extended: []string{"1.2.3"}, Usage: 3,
			Keys: ca.Keys{Types: []string{"rsa"}, RSAMin: 3072}, Life: 24 * time.Hour, RenewPercent: 20, ChallengeLife: time.Hour, NoAIA: true, Approval: true}
		apply := func(seen string, saved []scep.Profile, removed ...string) error {
			return db.SCEP().CertificateProfilesApplied(t.Context(), seen, saved, removed, entry(journal.ProfilesApplied))
		}
		list := func() []scep.Profile {
			t.Helper()
			l, err := db.SCEP().CertificateProfiles(t.Context())
			if err != nil || l == nil {
				t.Fatalf("got %v, %v", l, err)
			}
			return l
		}
		none := scep.ProfileRevision(list())
		if err := apply(none, []scep.Profile{full, {Name: "another"}}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]scep.Profile{{Name: "another"}, full}, list()); d != "" {
			t.Error(d)
		}
		if err := apply(none, nil, "another"); !errors.Is(err, scep.ErrProfilesChanged) || len(list()) != 2 {
			t.Errorf("over a state that is past: got %v", err)
		}
		full.Life = 48 * time.Hour
		if err := apply(scep.ProfileRevision(list()), []scep.Profile{full}, "another", "never there"); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]scep.Profile{full}, list()); d != "" {
			t.Error(d)
		}
	})

	t.Run("a certificate profile that a policy names stays", func(t *testing.T) {
		db := open(t)
		names := func(profile string) appconfig.Policy {
			return appconfig.Policy{Name: "p", Settings: appconfig.Settings{appconfig.SigningProfile: profile}}
		}
		saved := []scep.Profile{{Name: "finance"}, {Name: "sales"}, {Name: scep.MailSigning}}
		applied := func(saved []scep.Profile, removed ...string) error {
			list, err := db.SCEP().CertificateProfiles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return db.SCEP().CertificateProfilesApplied(t.Context(), scep.ProfileRevision(list), saved, removed, entry(journal.ProfilesApplied))
		}
		if err := applied(saved); err != nil {
			t.Fatal(err)
		}
		apply(t, db, []appconfig.Policy{names("finance")})
		if err := applied(nil, "sales", "finance"); !errors.Is(err, appconfig.ErrNamed) {
			t.Errorf("got %v, want ErrNamed", err)
		}
		if err := applied(saved[:1], "sales"); err != nil { // changing it is none of that
			t.Error(err)
		}
		apply(t, db, []appconfig.Policy{names(scep.MailSigning)})
		if err := applied(nil, "finance", scep.MailSigning); err != nil { // which is as shipped again
			t.Error(err)
		}
	})

	t.Run("of many who apply certificate profiles to a state they saw, one does", func(t *testing.T) {
		db := open(t)
		seen := scep.ProfileRevision([]scep.Profile{})
		applied := race(t, 6, scep.ErrProfilesChanged, func(n int) error {
			return db.SCEP().CertificateProfilesApplied(t.Context(), seen, []scep.Profile{{Name: string(rune('a' + n))}}, nil, entry(journal.ProfilesApplied))
		})
		if list, err := db.SCEP().CertificateProfiles(t.Context()); applied != 1 || len(list) != 1 || err != nil {
			t.Errorf("%d applied it and %d profiles are there, want 1 and 1 (%v)", applied, len(list), err)
		}
	})

	t.Run("what came to nothing is written down", func(t *testing.T) {
		db := open(t)
		if err := db.SCEP().Noted(t.Context(), entry(journal.ChallengeFailed)); err != nil {
			t.Fatal(err)
		}
		lines, err := db.Journal().Latest(t.Context(), 1)
		if err != nil || len(lines) != 1 || lines[0].Action != journal.ChallengeFailed {
			t.Errorf("got %v, %v", lines, err)
		}
	})
}
