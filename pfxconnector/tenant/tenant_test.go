package tenant_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph/msgraphtest"
	"github.com/signet-mdm/signet/testdata"
)

// The whole history comes into the tenant, once, and what is new follows.
func TestHistory(t *testing.T) {
	w := newWorld(t)
	if planned, sealed, sent := w.run(); planned+sealed+sent != 0 {
		t.Errorf("before anybody agreed: %d, %d, %d", planned, sealed, sent)
	}
	w.agree()
	if planned, sealed, sent := w.run(); planned != 2 || sealed != 2 || sent != 2 {
		t.Errorf("got %d planned, %d sealed, %d sent, want 2 of each", planned, sealed, sent)
	}
	var got []string
	for _, h := range w.cloud.Held() {
		got = append(got, cert.FingerprintOf(h.Certificate.Raw).String())
		if h.UPN != w.alice.UPN || h.Purpose != "smimeEncryption" {
			t.Errorf("the tenant has %+v", h.Object)
		}
	}
	want := []string{w.keys[0].String(), w.keys[1].String()}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the tenant has %v, want %v", got, want)
	}
	if planned, sealed, sent := w.run(); planned+sealed+sent != 0 {
		t.Errorf("once more: %d, %d, %d", planned, sealed, sent)
	}
	w.load(5, w.alice)
	w.run()
	if n := len(w.cloud.Held()); n != 3 || w.cloud.Asked("POST") != 3 {
		t.Errorf("the tenant has %d after %d requests, want 3", n, w.cloud.Asked("POST"))
	}
	if o, s := w.entries(journal.KeyOpened), w.entries(journal.TenantSent); o != 3 || s != 3 {
		t.Errorf("the journal has %d openings and %d sendings", o, s)
	}
}

// The user is told of it as of other openings.
func TestTold(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.run()
	box, err := seal.NewBox(seal.RandomRoot(), "mail")
	w.must(err)
	list, err := w.db.Mail(box).OpeningsUntold(t.Context(), w.now(), time.Time{}, 10)
	if err != nil || len(list) != 1 || list[0].User != w.alice.ID || len(list[0].Openings) != 1 || list[0].Openings[0].Keys != 2 ||
		!strings.Contains(list[0].Openings[0].Device.Called(), "Intune") {
		t.Errorf("got %+v, %v", list, err)
	}
}

// Who is not meant, or is no more, gets nothing there.
func TestGroups(t *testing.T) {
	w := newWorld(t, func(c *tenant.Config) { c.Want = tenant.Want{Groups: []string{"Outlook"}} })
	w.agree()
	w.run()
	if len(w.cloud.Held()) != 0 || w.entries(journal.KeyOpened) != 0 {
		t.Error("what nobody wanted is in the tenant")
	}
	group, err := w.people.SetGroup(t.Context(), by, "Outlook", []subject.UserID{w.alice.ID})
	w.must(err)
	w.must(second(w.Plan(t.Context())))
	w.must(second(w.Send(t.Context())))
	w.must(second(w.Seal(t.Context())))
	if states, _ := w.states(); !slices.Equal(states, []tenant.State{tenant.Sealed, tenant.Sealed}) {
		t.Errorf("before sending: %v", states)
	}
	_, err = w.people.SetGroup(t.Context(), by, "Outlook", nil)
	w.must(err)
	w.run()
	if len(w.cloud.Held()) != 0 {
		t.Errorf("who left %v between sealing and sending is in the tenant", group)
	}
	if states, _ := w.states(); len(states) != 0 {
		t.Errorf("there are copies in %v", states)
	}
}

// What is removed here is taken away there only if that is wanted.
func TestRemoved(t *testing.T) {
	for _, remove := range []bool{false, true} {
		w := newWorld(t, func(c *tenant.Config) { c.Want.Remove = remove })
		w.agree()
		w.run()
		w.must(w.pfx.Remove(t.Context(), by, w.alice, w.keys[0]))
		w.run()
		want := 2
		if remove {
			want = 1
		}
		if n := len(w.cloud.Held()); n != want || w.entries(journal.TenantRemoved) != 2-want {
			t.Errorf("remove %t: the tenant has %d, want %d", remove, n, want)
		}
		w.run()
		if n := w.cloud.Asked("DELETE"); n != 2-want {
			t.Errorf("remove %t: %d deletions", remove, n)
		}
	}
}

// Killed anywhere and run again, the tenant has each certificate once.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.must(second(w.Plan(t.Context())))
	w.must(second(w.Send(t.Context())))
	// Sealed, and not noted.
	if _, _, err := w.Sealer.SealForTenant(t.Context(), w.alice, w.keys[0]); err != nil {
		t.Fatal(err)
	}
	w.must(second(w.db.Tenant().CopiesLeased(t.Context(), w.now(), w.now().Add(5*time.Minute), 10, tenant.Wanted)))
	w.must(second(w.Seal(t.Context())))
	if states, _ := w.states(); !slices.Equal(states, []tenant.State{tenant.Wanted, tenant.Wanted}) {
		t.Errorf("another did what was leased: %v", states)
	}
	w.later = 6 * time.Minute
	w.must(second(w.Seal(t.Context())))
	// Sent, and the answer lost.
	w.cloud.Lose()
	w.must(second(w.Send(t.Context())))
	if states, codes := w.states(); !slices.Equal(states, []tenant.State{tenant.Sealed, tenant.Sealed}) || !slices.Equal(codes, []string{"tenant_busy", "tenant_busy"}) {
		t.Errorf("after a lost answer: %v, %v", states, codes)
	}
	w.later += 2 * time.Minute
	w.run()
	if states, codes := w.states(); !slices.Equal(states, []tenant.State{tenant.There, tenant.There}) || !slices.Equal(codes, []string{"", ""}) || len(w.cloud.Held()) != 2 {
		t.Errorf("in the end: %v, %v, %d in the tenant", states, codes, len(w.cloud.Held()))
	}
}

func second[T any](_ T, err error) error { return err }

// What is sealed and cannot be sent is forgotten after a day, and sealed anew.
func TestStale(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.must(second(w.Plan(t.Context())))
	w.must(second(w.Send(t.Context())))
	w.must(second(w.Seal(t.Context())))
	w.later = 25 * time.Hour
	w.must(second(w.Plan(t.Context())))
	if states, _ := w.states(); !slices.Equal(states, []tenant.State{tenant.Looking, tenant.Looking}) {
		t.Errorf("after a day: %v", states)
	}
}

// Throttling stops the batch, and it goes on when the cloud said.
func TestThrottled(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.cloud.Play("users", msgraphtest.Trouble{Status: 429, After: "300"})
	w.run()
	if n := w.cloud.Asked("users") + w.cloud.Asked("POST"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if n := w.attempts(); n != 1 {
		t.Errorf("%d attempts are counted, want that one", n)
	}
	w.later = 4 * time.Minute
	if _, _, sent := w.run(); sent != 0 {
		t.Error("it was asked again before its time")
	}
	w.later = 6 * time.Minute
	if _, _, sent := w.run(); sent != 2 {
		t.Errorf("afterwards %d were sent, want 2", sent)
	}
	if strings.Contains(w.log.String(), msgraphtest.Secret) {
		t.Error("the log has the secret in it")
	}
}

// attempts counts those of all copies.
func (w *world) attempts() (n int) {
	w.t.Helper()
	list, err := w.Copies(w.t.Context(), w.alice.ID, "", 100)
	w.must(err)
	for _, c := range list {
		n += c.Attempts
	}
	return n
}

// away are escrow keys whose holder does not answer.
type away struct{ opener.Keys }

func (away) Ready(context.Context) error { return opener.ErrKeyAway }

// What cannot be opened now is not said to be opened, and goes on later.
func TestKeysAway(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.must(second(w.Plan(t.Context())))
	w.must(second(w.Send(t.Context())))
	keys := w.opener.Keys
	w.opener.Keys = away{keys}
	if _, _, err := w.Sealer.SealForTenant(t.Context(), w.alice, w.keys[0]); !errors.Is(err, opener.ErrKeyAway) {
		t.Errorf("got %v, want ErrKeyAway", err)
	}
	if n := w.entries(journal.KeyOpened); n != 0 {
		t.Errorf("%d openings are in the journal", n)
	}
	w.opener.Keys = keys
	if n, err := w.Seal(t.Context()); err != nil || n != 2 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

// Another's account is never filled: it must have the address that nobody can
// change while there are keys.
func TestAnothersAccount(t *testing.T) {
	w := newWorld(t)
	w.cloud.Add("mallory@example.com", "mallory@example.com")
	w.agree()
	u, err := w.people.User(t.Context(), testdata.Owner)
	w.must(err)
	moved := u
	moved.UPN = "mallory@example.com"
	w.must(w.db.Directory().UserChanged(t.Context(), u, moved, journal.Entry{At: w.now(), Actor: by, Action: journal.UserChanged}))
	w.run()
	if _, codes := w.states(); len(w.cloud.Held()) != 0 || !slices.Equal(codes, []string{"tenant_account_differs", "tenant_account_differs"}) {
		t.Errorf("the tenant has %d, and the failures are %v", len(w.cloud.Held()), codes)
	}
	nobody := moved
	nobody.UPN = "nobody@example.com"
	w.must(w.db.Directory().UserChanged(t.Context(), moved, nobody, journal.Entry{At: w.now(), Actor: by, Action: journal.UserChanged}))
	w.must(second(w.Again(t.Context(), by, w.alice.ID, false)))
	w.run()
	if _, codes := w.states(); !slices.Equal(codes, []string{"tenant_account_unknown", "tenant_account_unknown"}) {
		t.Errorf("the failures are %v", codes)
	}
	if n := w.entries(journal.KeyOpened); n != 0 {
		t.Errorf("%d keys were opened for nobody", n)
	}
}

// Who gets another account has it there, and not where it was.
func TestAccountMoved(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.run()
	moved := w.cloud.Add("alice.upn@example.com", testdata.Owner)
	w.must(second(w.Again(t.Context(), by, w.alice.ID, true)))
	w.run()
	for id, h := range w.cloud.Held() {
		if h.Account != moved.ID {
			t.Errorf("%s is in the account of before", id)
		}
	}
	if n := len(w.cloud.Held()); n != 2 {
		t.Errorf("the tenant has %d, want 2", n)
	}
}

// What the tenant refuses is not opened again and again.
func TestRefusedForAWeek(t *testing.T) {
	w := newWorld(t)
	w.agree()
	for day := range 6 {
		w.cloud.Play("POST", slices.Repeat([]msgraphtest.Trouble{{Status: 400}}, 9)...)
		w.later = time.Duration(day) * 24 * time.Hour
		w.run()
	}
	if n := w.entries(journal.KeyOpened); n != 2 {
		t.Errorf("%d openings in a week, want one a key", n)
	}
	w.cloud.Play("POST")
	w.must(second(w.Again(t.Context(), by, "", false)))
	w.run()
	if n := len(w.cloud.Held()); n != 2 {
		t.Errorf("the tenant has %d in the end", n)
	}
}

// A key that people did not agree to is never sealed to, whatever the database
// says, and the alarm is raised.
func TestForged(t *testing.T) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(own.Public())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := tenant.NewRecipient(msgraphtest.Tenant, msgraphtest.Provider, msgraphtest.KeyName, "oaepSha512", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	otherNames := strings.NewReplacer(`"oaepSha512"`, `"oaepSha256"`)
	for name, change := range map[string]func(w *world){
		"another key":      func(w *world) { w.sql(`UPDATE tenant_recipient SET request = ?`, mine.Request()) },
		"another padding":  func(w *world) { w.sql(`UPDATE tenant_recipient SET request = ?`, otherNames.Replace(request(w))) },
		"another mark":     func(w *world) { w.sql(`UPDATE tenant_recipient SET mark = ?`, w.box.Close(seal.Secret{}, "x")) },
		"no mark":          func(w *world) { w.sql(`UPDATE tenant_recipient SET mark = ?`, []byte{}) },
		"another approval": func(w *world) { w.sql(`UPDATE tenant_recipient SET consent_id = 'x'`) },
		"a row of one's own": func(w *world) {
			w.sql(`UPDATE tenant_recipient SET ended_at = 1`)
			w.sql(`INSERT INTO tenant_recipient SELECT 'z', consent_id, ?, mark, created_at, 0 FROM tenant_recipient`, mine.Request())
		},
		"one that was withdrawn": func(w *world) {
			w.must(w.Withdraw(t.Context(), journal.Actor{Kind: journal.Local, ID: "test"}))
			w.sql(`UPDATE tenant_recipient SET ended_at = 0`)
		},
		"no JSON": func(w *world) { w.sql(`UPDATE tenant_recipient SET request = '{}'`) },
	} {
		w := newWorld(t)
		w.agree()
		w.must(second(w.Plan(t.Context())))
		w.must(second(w.Send(t.Context())))
		change(w)
		if _, _, err := w.Sealer.SealForTenant(t.Context(), w.alice, w.keys[0]); !errors.Is(err, tenant.ErrForged) {
			t.Errorf("%s: got %v, want %v", name, err, tenant.ErrForged)
		}
		w.must(second(w.Seal(t.Context())))
		if n := w.attempts(); n != 1 {
			t.Errorf("%s: %d attempts in a step, want one", name, n)
		}
		w.later = 13 * time.Hour
		w.must(second(w.Seal(t.Context())))
		if w.entries(journal.KeyOpened) != 0 || w.entries(journal.KeyAlarm) != 1 {
			t.Errorf("%s: %d openings and %d alarms", name, w.entries(journal.KeyOpened), w.entries(journal.KeyAlarm))
		}
		if _, err := w.Plan(t.Context()); !errors.Is(err, tenant.ErrForged) {
			t.Errorf("%s: planning: got %v, want %v", name, err, tenant.ErrForged)
		}
	}
}

func request(w *world) string {
	r, err := w.Recipient(w.t.Context())
	w.must(err)
	return r.Request()
}

// Keys of others, and of nobody, are not opened for the tenant.
func TestNotOwner(t *testing.T) {
	w := newWorld(t)
	w.agree()
	bob, err := w.people.User(t.Context(), "bob@example.com")
	w.must(err)
	if _, _, err := w.Sealer.SealForTenant(t.Context(), bob, w.keys[0]); err == nil || w.entries(journal.KeyOpened) != 0 {
		t.Errorf("got %v", err)
	}
	w.sql(`UPDATE certificate SET user_id = ? WHERE fingerprint = ?`, bob.ID, w.keys[0].String())
	w.sql(`UPDATE escrow_key SET user_id = ? WHERE certificate = ?`, bob.ID, w.keys[0].String())
	if _, _, err := w.Sealer.SealForTenant(t.Context(), bob, w.keys[0]); err == nil || w.entries(journal.KeyAlarm) != 2 {
		t.Errorf("rows moved to another user: got %v, %d alarms", err, w.entries(journal.KeyAlarm))
	}
}

// It takes two others, who agreed to exactly this key for exactly this tenant.
func TestConsent(t *testing.T) {
	w := newWorld(t)
	c := w.ask()
	if _, err := w.Register(t.Context(), by, c.ID, c.Digest(), c.Request); !errors.Is(err, access.ErrConsentOver) {
		t.Errorf("nobody agreed: got %v, want %v", err, access.ErrConsentOver)
	}
	w.must(w.consents.Approve(t.Context(), w.callers["bob"], c.ID))
	if _, err := w.Register(t.Context(), by, c.ID, c.Digest(), c.Request); !errors.Is(err, access.ErrConsentOver) {
		t.Errorf("one agreed: got %v, want %v", err, access.ErrConsentOver)
	}
	w.must(w.consents.Approve(t.Context(), w.callers["carol"], c.ID))
	w.must(second(w.Register(t.Context(), by, c.ID, c.Digest(), c.Request)))
	if _, err := w.Register(t.Context(), by, c.ID, c.Digest(), c.Request); !errors.Is(err, access.ErrConsentOver) {
		t.Errorf("twice: got %v, want %v", err, access.ErrConsentOver)
	}
	other := tenant.New(tenant.Config{ID: "00000000-0000-4000-8000-000000000000", Store: w.db.Tenant(), Box: w.box, Log: w.Log, Now: w.now})
	if _, err := other.Recipient(t.Context()); !errors.Is(err, tenant.ErrOtherTenant) {
		t.Errorf("for another tenant: got %v, want %v", err, tenant.ErrOtherTenant)
	}
	if _, err := other.Register(t.Context(), by, c.ID, c.Digest(), c.Request); !errors.Is(err, tenant.ErrOtherTenant) {
		t.Errorf("registered for another tenant: got %v, want %v", err, tenant.ErrOtherTenant)
	}
}

// A withdrawn key is sealed to no more; another one gets everything anew.
func TestWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.agree()
	w.must(second(w.Plan(t.Context())))
	w.must(second(w.Send(t.Context())))
	w.must(second(w.Seal(t.Context())))
	w.must(w.Withdraw(t.Context(), by))
	if err := w.Withdraw(t.Context(), by); !errors.Is(err, tenant.ErrNoRecipient) {
		t.Errorf("twice: got %v, want %v", err, tenant.ErrNoRecipient)
	}
	if _, err := w.Send(t.Context()); err != nil || len(w.cloud.Held()) != 0 {
		t.Errorf("what was sealed to it was sent: %v", err)
	}
	w.agree()
	w.later = time.Hour
	w.run()
	w.agree()
	w.run()
	for _, h := range w.cloud.Held() {
		if h.Writes != 2 {
			t.Errorf("written %d times, want twice", h.Writes)
		}
	}
	if n := len(w.cloud.Held()); n != 2 {
		t.Errorf("the tenant has %d", n)
	}
}

// Off is off.
func TestOff(t *testing.T) {
	w := newWorld(t, func(c *tenant.Config) { c.ID = "" })
	if _, err := w.Propose("p", "n", "oaepSha512", w.cloud.PublicKey()); !errors.Is(err, tenant.ErrOff) {
		t.Errorf("got %v, want %v", err, tenant.ErrOff)
	}
	if _, _, err := w.Sealer.SealForTenant(t.Context(), w.alice, w.keys[0]); !errors.Is(err, tenant.ErrOff) || w.entries(journal.KeyOpened) != 0 {
		t.Errorf("got %v, want %v", err, tenant.ErrOff)
	}
	s, err := w.Status(t.Context())
	if err != nil || !errors.Is(s.Why, tenant.ErrOff) {
		t.Errorf("got %+v, %v", s, err)
	}
}

// One text is one recipient.
func TestParseRequest(t *testing.T) {
	r, err := tenant.NewRecipient(strings.ToUpper(msgraphtest.Tenant), "P", "n", "OAEPSHA256", msgraphtest.Start().PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tenant.ParseRequest(r.Request()); err != nil || got.Request() != r.Request() || got.Tenant != msgraphtest.Tenant {
		t.Errorf("got %+v, %v", got, err)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(r.Request()), &fields); err != nil || len(fields) != 5 {
		t.Errorf("%s: %v", r.Request(), err)
	}
	for name, text := range map[string]string{
		"a space":       r.Request() + " ",
		"another order": `{"provider":"P",` + strings.Replace(r.Request()[1:], `"provider":"P",`, "", 1),
		"more":          strings.Replace(r.Request(), "{", `{"x":1,`, 1),
		"twice":         strings.Replace(r.Request(), "{", `{"name":"other",`, 1),
		"SHA-1":         strings.Replace(r.Request(), "oaepSha256", "oaepSha1", 1),
		"no tenant":     strings.Replace(r.Request(), msgraphtest.Tenant, "contoso.com", 1),
		"nothing":       "", "null": "null", "a list": "[]",
	} {
		if _, err := tenant.ParseRequest(text); !errors.Is(err, tenant.ErrRequest) {
			t.Errorf("%s: got %v, want %v", name, err, tenant.ErrRequest)
		}
	}
	for name, f := range map[string]func() (tenant.Recipient, error){
		"no name": func() (tenant.Recipient, error) {
			return tenant.NewRecipient(msgraphtest.Tenant, "P", "", "oaepSha256", msgraphtest.Start().PublicKey())
		},
		"a line": func() (tenant.Recipient, error) {
			return tenant.NewRecipient(msgraphtest.Tenant, "P\n", "n", "oaepSha256", msgraphtest.Start().PublicKey())
		},
		"no padding": func() (tenant.Recipient, error) {
			return tenant.NewRecipient(msgraphtest.Tenant, "P", "n", "", msgraphtest.Start().PublicKey())
		},
	} {
		if _, err := f(); !errors.Is(err, tenant.ErrRequest) {
			t.Errorf("%s: got %v, want %v", name, err, tenant.ErrRequest)
		}
	}
}
