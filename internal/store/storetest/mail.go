package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// outbox is the facet of mails with a box of its own.
func outbox(t *testing.T, db *store.DB) store.Mail {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "mail")
	if err != nil {
		t.Fatal(err)
	}
	return db.Mail(box)
}

func queue(t *testing.T, s store.Mail, u subject.UserID, topic notify.Topic, now time.Time) (notify.Mail, error) {
	t.Helper()
	m := notify.NewMail(topic, u, "d-1", notify.Facts{Device: "iPhone", At: at}, now)
	m.Link = seal.SecretString("https://mdm.example.org/enroll/CANARYCANARYCANARYCANARY22")
	return m, s.MailQueued(t.Context(), m, entry(journal.MailQueued))
}

func testMail(t *testing.T, open Open) {
	t.Run("openings are told once", func(t *testing.T) { testOpenings(t, open(t)) })
	t.Run("what strangers ask for comes last", func(t *testing.T) {
		db := open(t)
		s, u := outbox(t, db), addUser(t, db, "alice@example.com")
		for i, topic := range []notify.Topic{notify.OwnPage, notify.OwnPage, notify.Enrolled} {
			if _, err := queue(t, s, u.ID, topic, at.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		now := at.Add(time.Minute)
		list, err := s.MailsLeased(t.Context(), now, now.Add(time.Minute), 2)
		if err != nil || len(list) != 2 || list[0].Topic != notify.Enrolled || list[1].Topic != notify.OwnPage || !list[1].CreatedAt.Equal(at) {
			t.Errorf("got %+v, %v; want the warning and the first link", list, err)
		}
	})

	t.Run("a mail is queued, leased once, and forgotten when it is sent", func(t *testing.T) {
		db := open(t)
		s, u := outbox(t, db), addUser(t, db, "alice@example.com")
		m, err := queue(t, s, u.ID, notify.Invitation, at)
		if err != nil {
			t.Fatal(err)
		}
		until := at.Add(time.Minute)
		if early, err := s.MailsLeased(t.Context(), at.Add(-time.Second), until, 10); err != nil || len(early) != 0 {
			t.Errorf("too early: %v, %v", early, err)
		}
		list, err := s.MailsLeased(t.Context(), at, until, 10)
		want := []notify.Due{{Mail: m, To: u, Since: at, Until: until}}
		if diff := cmp.Diff(want, list, cmp.Comparer(seal.Secret.Equal), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(subject.User{}, "CreatedAt")); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		if again, err := s.MailsLeased(t.Context(), at, until, 10); err != nil || len(again) != 0 {
			t.Errorf("leased twice: %v, %v", again, err)
		}
		later := notify.Outcome{ID: m.ID, State: notify.Waiting, Next: at.Add(time.Hour), Code: 450, Reason: "later", At: at, Until: until}
		if ok, err := s.MailTried(t.Context(), later, entry(journal.MailSent)); err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
		if ok, err := s.MailTried(t.Context(), later, entry(journal.MailSent)); err != nil || ok {
			t.Errorf("without a lease: %v, %v", ok, err)
		}
		if list, err := s.MailsLeased(t.Context(), at.Add(time.Minute), until, 10); err != nil || len(list) != 0 {
			t.Errorf("before its time: %v, %v", list, err)
		}
		until = at.Add(2 * time.Hour)
		list, err = s.MailsLeased(t.Context(), at.Add(time.Hour), until, 10)
		if err != nil || len(list) != 1 || list[0].Attempts != 1 {
			t.Fatalf("at its time: %v, %v", list, err)
		}
		sent := notify.Outcome{ID: m.ID, State: notify.Sent, At: at.Add(time.Hour), Until: until}
		if ok, err := s.MailTried(t.Context(), sent, entry(journal.MailSent)); err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
		got, err := s.Mail(t.Context(), m.ID)
		status := notify.Status{ID: m.ID, User: u.ID, To: u.Mail, Device: "d-1", Topic: notify.Invitation, State: notify.Sent, Attempts: 2,
			CreatedAt: at, DoneAt: at.Add(time.Hour)}
		if diff := cmp.Diff(status, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if err := s.MailRetried(t.Context(), m.ID, entry(journal.MailRetried)); !errors.Is(err, notify.ErrMailDone) {
			t.Errorf("again: got %v, want ErrMailDone", err)
		}
		log, err := db.Journal().Latest(t.Context(), 2)
		if err != nil || log[0].Action != journal.MailSent || log[1].Action != journal.MailQueued {
			t.Errorf("journal: %v, %v; want queued and sent, and nothing of the delay", log, err)
		}
	})

	t.Run("three a day on one topic, whoever asks at once", func(t *testing.T) {
		db := open(t)
		s, u, other := outbox(t, db), addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = queue(t, s, u.ID, notify.Invitation, at) })
		}
		wg.Wait()
		refused := len(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
		for _, err := range errs[:refused] {
			if !errors.Is(err, notify.ErrLimit) {
				t.Errorf("got %v, want ErrLimit", err)
			}
		}
		if refused != len(errs)-notify.PerDay {
			t.Errorf("%d of %d were refused", refused, len(errs))
		}
		for name, c := range map[string]struct {
			user  subject.UserID
			topic notify.Topic
			now   time.Time
		}{"another topic": {u.ID, notify.Ready, at}, "another user": {other.ID, notify.Invitation, at}, "tomorrow": {u.ID, notify.Invitation, at.Add(24 * time.Hour)}} {
			if _, err := queue(t, s, c.user, c.topic, c.now); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := s.Mails(t.Context(), notify.MailQuery{User: u.ID, Limit: 100}); err != nil || len(list) != 5 || list[0].CreatedAt != at.Add(24*time.Hour) {
			t.Errorf("mails of the user: %v, %v", list, err)
		}
		seen := map[string]bool{}
		for q := (notify.MailQuery{State: notify.Waiting, Limit: 2}); ; {
			list, err := s.Mails(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				seen[m.ID], q.Before, q.ID = true, m.CreatedAt, m.ID
			}
			if len(list) < q.Limit {
				break
			}
		}
		if len(seen) != 6 {
			t.Errorf("two by two: %d mails, want 6", len(seen))
		}
		if list, err := s.Mails(t.Context(), notify.MailQuery{State: notify.Failed, Limit: 2}); err != nil || len(list) != 0 || list == nil {
			t.Errorf("failed ones: %v, %v", list, err)
		}
	})

	t.Run("of many servers one gets a mail", func(t *testing.T) {
		db := open(t)
		s, u := outbox(t, db), addUser(t, db, "alice@example.com")
		for _, topic := range []notify.Topic{notify.Invitation, notify.Ready, notify.Enrolled} {
			if _, err := queue(t, s, u.ID, topic, at); err != nil {
				t.Fatal(err)
			}
		}
		got := make([][]notify.Due, 7)
		var wg sync.WaitGroup
		for i := range got[:6] {
			wg.Go(func() {
				var err error
				if got[i], err = s.MailsLeased(t.Context(), at, at.Add(time.Minute), 2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var err error // who lost all its rows to others leaves some
		if got[6], err = s.MailsLeased(t.Context(), at, at.Add(time.Minute), 2); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, d := range slices.Concat(got...) {
			if seen[d.ID] {
				t.Errorf("mail %s was leased twice", d.ID)
			}
			seen[d.ID] = true
		}
		if len(seen) != 3 {
			t.Errorf("%d mails were leased, want 3", len(seen))
		}
	})

	t.Run("a failed mail can be tried again until it is forgotten", func(t *testing.T) {
		db := open(t)
		s, u := outbox(t, db), addUser(t, db, "alice@example.com")
		m, err := queue(t, s, u.ID, notify.Invitation, at)
		if err != nil {
			t.Fatal(err)
		}
		fail := func(now time.Time) {
			t.Helper()
			until := now.Add(time.Minute)
			if list, err := s.MailsLeased(t.Context(), now, until, 1); err != nil || len(list) != 1 || list[0].Attempts != 0 || list[0].Link.Empty() {
				t.Fatalf("%v, %v", list, err)
			}
			o := notify.Outcome{ID: m.ID, State: notify.Failed, Code: 550, Reason: "550 no", At: now, Until: until}
			if ok, err := s.MailTried(t.Context(), o, entry(journal.MailFailed)); err != nil || !ok {
				t.Fatalf("%v, %v", ok, err)
			}
		}
		fail(at)
		retried := entry(journal.MailRetried)
		retried.At = at.Add(time.Hour)
		if err := s.MailRetried(t.Context(), m.ID, retried); err != nil {
			t.Fatal(err)
		}
		fail(at.Add(time.Hour))
		for i, c := range []struct{ wipe, drop time.Time }{{at, at}, {at.Add(time.Hour), at}, {at.Add(time.Hour), at}, {at, at.Add(time.Hour)}} {
			want := []int{0, 1, 0, 1}[i]
			if n, err := s.MailsForgotten(t.Context(), c.wipe, c.drop); err != nil || n != want {
				t.Errorf("round %d: %d forgotten, %v; want %d", i, n, err, want)
			}
			if i == 1 {
				if err := s.MailRetried(t.Context(), m.ID, retried); !errors.Is(err, notify.ErrMailDone) {
					t.Errorf("wiped: got %v, want ErrMailDone", err)
				}
			}
		}
		if err := s.MailRetried(t.Context(), m.ID, retried); !errors.Is(err, notify.ErrMailUnknown) {
			t.Errorf("dropped: got %v, want ErrMailUnknown", err)
		}
		if _, err := s.Mail(t.Context(), m.ID); !errors.Is(err, notify.ErrMailUnknown) {
			t.Errorf("dropped: got %v, want ErrMailUnknown", err)
		}
	})

	t.Run("a plan stores its mails and what their user knows, or nothing", func(t *testing.T) {
		db := open(t)
		d, s := deliver(t, db), outbox(t, db)
		telling := db.Delivery().Telling(s)
		e := entry(journal.PlanStored)
		e.Due = subject.OfDevice(d.id)
		user := facet(t, db).device(d.id).User
		if f := d.facts(); f.Told != nil || f.EnrolledAt != at {
			t.Errorf("at first: told %v, enrolled %v", f.Told, f.EnrolledAt)
		}
		news := func(l delivery.Lease, topic notify.Topic, certs ...cert.Fingerprint) delivery.Decision {
			return delivery.Decision{Lease: l, Told: &plan.Told{Certs: certs, Signs: len(certs) > 0},
				Mails: []notify.Mail{notify.NewMail(topic, user, d.id, notify.Facts{History: len(certs)}, at)}}
		}
		stale := d.lease()
		d.touch()
		if err := telling.Planned(t.Context(), news(stale, notify.Enrolled), e); !errors.Is(err, delivery.ErrStale) {
			t.Fatalf("stale: got %v", err)
		}
		if list, err := s.Mails(t.Context(), notify.MailQuery{Limit: 9}); err != nil || len(list) != 0 {
			t.Errorf("stale: %v, %v", list, err)
		}
		a, b := cert.FingerprintOf([]byte("a")), cert.FingerprintOf([]byte("b"))
		for i, certs := range [][]cert.Fingerprint{{}, {a}, {a, b}, {b}, {}} { // two more than one day allows
			if err := telling.Planned(t.Context(), news(d.lease(), notify.Ready, certs...), e); err != nil {
				t.Fatal(err)
			}
			want := &plan.Told{Certs: certs, Signs: len(certs) > 0}
			if diff := cmp.Diff(want, d.facts().Told, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("round %d:\n%s", i, diff)
			}
		}
		list, err := s.MailsLeased(t.Context(), at, at.Add(time.Minute), 9)
		if err != nil || len(list) != notify.PerDay || list[0].Device != d.id || list[0].To.ID != user {
			t.Errorf("got %v, %v", list, err)
		}
		if err := db.Delivery().Planned(t.Context(), news(d.lease(), notify.Enrolled), e); err == nil {
			t.Error("mails without a box were stored")
		}
	})

	t.Run("what another key boxed is handed out as damaged", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		if _, err := queue(t, outbox(t, db), u.ID, notify.Invitation, at); err != nil {
			t.Fatal(err)
		}
		list, err := outbox(t, db).MailsLeased(t.Context(), at, at.Add(time.Minute), 1)
		if err != nil || len(list) != 1 || !list[0].Damaged || strings.Contains(list[0].Link.RevealString(), "CANARY") {
			t.Errorf("got %v, %v", list, err)
		}
	})
}
