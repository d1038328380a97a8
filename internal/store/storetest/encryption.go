package storetest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/keymaker"
	"github.com/signet-mdm/signet/scep"
)

func testEncryption(t *testing.T, open Open) {
	t.Run("a key that was made is stored with its certificate", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		m := reserve(t, db, u, "a", cert.Fingerprint{})
		if err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); err != nil {
			t.Fatal(err)
		}
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{m.Key.Cert})
		if diff := cmp.Diff([]escrow.Deposit{m.Deposit}, got); err != nil || diff != "" {
			t.Errorf("Deposits: %v\n%s", err, diff)
		}
		list, err := db.PFX().Imported(t.Context(), u.ID)
		if diff := cmp.Diff([]cert.Record{m.Certificate}, list); err != nil || diff != "" {
			t.Errorf("Imported: %v\n%s", err, diff)
		}
		issued, err := db.SCEP().Issued(t.Context(), m.Key.Cert)
		if err != nil || !issued.Current || issued.Issuer != "smime" || issued.Gone {
			t.Errorf("Issued: got %+v, %v", issued, err)
		}
		if last, err := db.PFX().LastMade(t.Context(), u.ID); err != nil || last != m.Key.Cert {
			t.Errorf("LastMade: got %s, %v", last, err)
		}
		if err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); err == nil {
			t.Error("a reservation was completed twice")
		}
	})

	t.Run("one follows another, once", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, b := reserve(t, db, u, "a", cert.Fingerprint{}), reserve(t, db, u, "b", cert.Fingerprint{})
		if err := db.PFX().KeyMade(t.Context(), a, entry(journal.KeyMade)); err != nil {
			t.Fatal(err)
		}
		before := entries(t, db)
		if err := db.PFX().KeyMade(t.Context(), b, entry(journal.KeyMade)); !errors.Is(err, keymaker.ErrRaced) {
			t.Errorf("the slower one: got %v, want ErrRaced", err)
		}
		if list, err := db.PFX().Imported(t.Context(), u.ID); err != nil || len(list) != 1 || entries(t, db) != before {
			t.Errorf("it left %d certificates, %v", len(list), err)
		}
		c := reserve(t, db, u, "c", a.Key.Cert)
		if err := db.PFX().KeyMade(t.Context(), c, entry(journal.KeyMade)); err != nil {
			t.Fatal(err)
		}
		if last, err := db.PFX().LastMade(t.Context(), u.ID); err != nil || last != c.Key.Cert {
			t.Errorf("LastMade: got %s, %v", last, err)
		}
		if issued, err := db.SCEP().Issued(t.Context(), a.Key.Cert); err != nil || issued.Current {
			t.Errorf("the first: got %+v, %v; want it not current", issued, err)
		}
	})

	t.Run("of two at once one is stored", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		var wg sync.WaitGroup
		var won atomic.Int32
		for _, name := range []string{"a", "b", "c", "d"} {
			m := reserve(t, db, u, name, cert.Fingerprint{})
			wg.Go(func() {
				switch err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, keymaker.ErrRaced):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list, err := db.PFX().Imported(t.Context(), u.ID)
		if err != nil || won.Load() != 1 || len(list) != 1 {
			t.Errorf("%d say that they stored one, %d are stored, %v; want 1", won.Load(), len(list), err)
		}
	})

	t.Run("who is disabled gets none", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		m := reserve(t, db, u, "a", cert.Fingerprint{})
		u.Disabled = true
		if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		if err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); !errors.Is(err, keymaker.ErrUser) {
			t.Errorf("got %v, want ErrUser", err)
		}
	})

	t.Run("a removed key leaves what is to be revoked", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		m := reserve(t, db, u, "a", cert.Fingerprint{})
		if err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); err != nil {
			t.Fatal(err)
		}
		if err := db.PFX().KeyRemoved(t.Context(), u.ID, m.Key.Cert, entry(journal.KeyRemoved)); err != nil {
			t.Fatal(err)
		}
		list, err := db.PFX().Imported(t.Context(), u.ID)
		if err != nil || len(list) != 1 || list[0].Deliverable != pfxconnector.KeyDestroyed {
			t.Errorf("got %+v, %v", list, err)
		}
		if err := db.PFX().KeyRemoved(t.Context(), u.ID, m.Key.Cert, entry(journal.KeyRemoved)); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
			t.Errorf("again: got %v, want ErrKeyUnknown", err)
		}
		if err := db.SCEP().CertificateRevoked(t.Context(), m.Key.Cert, scep.Abandoned, entry(journal.CertificateRevoked)); err != nil {
			t.Error(err)
		}
	})

	t.Run("what ends soon is listed", func(t *testing.T) {
		db := open(t)
		u, v := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")
		a, b := reserve(t, db, u, "a", cert.Fingerprint{}), reserve(t, db, v, "b", cert.Fingerprint{})
		for _, m := range []keymaker.Made{a, b} {
			if err := db.PFX().KeyMade(t.Context(), m, entry(journal.KeyMade)); err != nil {
				t.Fatal(err)
			}
		}
		ending := func(days int) (list []cert.Fingerprint) {
			t.Helper()
			found, err := db.PFX().MadeEnding(t.Context(), at.AddDate(0, 0, days), 20)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range found {
				list = append(list, e.Cert)
			}
			return list
		}
		if got := ending(290); len(got) != 0 {
			t.Errorf("with more than a fifth left: got %v", got)
		}
		if got := ending(293); len(got) != 2 {
			t.Errorf("with less than a fifth left: got %v", got)
		}
		if got := ending(366); len(got) != 0 {
			t.Errorf("after the end: got %v", got)
		}
		if err := db.SCEP().CertificateRevoked(t.Context(), a.Key.Cert, scep.Abandoned, entry(journal.CertificateRevoked)); err != nil {
			t.Fatal(err)
		}
		if got := ending(293); !slices.Equal(got, []cert.Fingerprint{b.Key.Cert}) {
			t.Errorf("a revoked one is not followed: got %v", got)
		}
	})

	t.Run("a job is for those who lack one", func(t *testing.T) {
		db := open(t)
		has, lacks, gone := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com"), addUser(t, db, "carol@example.com")
		gone.Disabled = true
		if err := db.Directory().UserSaved(t.Context(), gone, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		keep(t, db, deposit(has, "a"), true)
		group, err := db.Directory().GroupSaved(t.Context(), "Finance", []subject.UserID{has.ID}, entry(journal.GroupChanged))
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			scope subject.Scope
			at    time.Time
			want  []string
		}{
			"all":     {subject.Scope{All: true}, at, []string{string(lacks.ID)}},
			"later":   {subject.Scope{All: true}, at.AddDate(2, 0, 0), []string{string(has.ID), string(lacks.ID)}},
			"him":     {subject.OfUser(lacks.ID), at, []string{string(lacks.ID)}},
			"another": {subject.OfUser(has.ID), at, nil},
			"group":   {subject.Scope{Groups: []subject.GroupID{group}}, at, nil},
		} {
			n, err := db.Jobs().JobSize(t.Context(), job.IssueEncryption, c.scope, c.at)
			if err != nil || n != len(c.want) {
				t.Errorf("%s: got %d, %v; want %d", name, n, err, len(c.want))
			}
			j := job.Job{ID: "j-" + name, Kind: job.IssueEncryption, State: job.Running, Created: c.at, By: journal.Worker("test")}
			if j, err = db.Jobs().JobStarted(t.Context(), j, c.scope, entry(journal.JobStarted)); err != nil || j.Total != len(c.want) {
				t.Errorf("%s: got %+v, %v", name, j, err)
			}
			items, err := db.Jobs().JobItems(t.Context(), j.ID, "", "", 10)
			var got []string
			for _, i := range items {
				got = append(got, i.ID)
			}
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
			}
		}
	})
}

// reserve writes a serial number down for what it gives.
func reserve(t *testing.T, db *store.DB, u subject.User, name string, follows cert.Fingerprint) keymaker.Made {
	t.Helper()
	m := keymaker.Made{Deposit: deposit(u, name), Issuer: "smime", Follows: follows}
	c := &m.Certificate
	c.Source, c.Use, c.Profile, c.Serial = cert.Issued, cert.Encryption, scep.MailEncryption, cert.Serial("1a"+name)
	m.Key.Source = cert.Fingerprint{}
	err := db.SCEP().SerialReserved(t.Context(), scep.Issuance{Grant: scep.Grant{Profile: c.Profile, Holder: c.Holder}, Issuer: m.Issuer,
		Serial: c.Serial, Renews: follows, SPKI: c.SPKI, TBS: []byte("tbs"), NotAfter: c.NotAfter, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
