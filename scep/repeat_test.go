package scep_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
)

// A lost answer must not cost the challenge: the same request gets the same
// certificate, another one nothing.
func TestTheSameRequestAgain(t *testing.T) {
	w := newWorld(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	message := w.message(a)
	first := w.deliver(a, message)
	again := w.deliver(a, message)
	rebuilt := w.send(a)
	if first.cert == nil || again.cert == nil || rebuilt.cert == nil {
		t.Fatal(first, again, rebuilt)
	}
	if !bytes.Equal(first.cert.Raw, again.cert.Raw) || !bytes.Equal(first.cert.Raw, rebuilt.cert.Raw) || w.certificates() != 1 {
		t.Errorf("got different certificates, %d on record", w.certificates())
	}
	for name, other := range map[string]ask{
		"other transaction":         {challenge: a.challenge, transaction: "T-9"},
		"other key":                 {challenge: a.challenge, from: newClient(2)},
		"other key and transaction": {challenge: a.challenge, from: newClient(2), transaction: "T-9"},
	} {
		if got := w.send(other); !got.refused("2", scep.ErrChallengeUsed) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if got := w.send(ask{profile: scep.DeviceIdentity, challenge: a.challenge}); !got.refused("2", scep.ErrChallengeProfile) {
		t.Errorf("at another profile: got %v", got)
	}
	w.sleep(25 * time.Hour)
	if got := w.send(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("a day later: got %v", got)
	}
	if w.certificates() != 1 {
		t.Errorf("%d certificates on record, want 1", w.certificates())
	}
}

func TestARevokedCertificateIsNotGivenAgain(t *testing.T) {
	w := newWorld(t)
	a := ask{challenge: w.challenge(scep.MailSigning).RevealString()}
	got := w.send(a)
	if err := w.s.Revoke(t.Context(), worker, cert.FingerprintOf(got.cert.Raw), "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	if got := w.send(a); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("got %v", got)
	}
	c := w.challenge(scep.MailSigning).RevealString()
	if got := w.send(ask{challenge: c}); !got.refused("2", scep.ErrKeyKnown) {
		t.Errorf("the key once more: got %v", got)
	}
}

// Of many requests with one challenge one key gets a certificate, and the same
// request many times gets one and the same.
func TestRaces(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(scep.MailSigning).RevealString()
	var messages [][]byte
	var asks []ask
	for n := range 30 {
		a := ask{challenge: c, from: newClient(1 + n%3), transaction: string(rune('A' + n%3))}
		asks, messages = append(asks, a), append(messages, w.message(a))
	}
	answers := make([]answer, len(asks))
	var wg sync.WaitGroup
	for n := range asks {
		wg.Go(func() { answers[n] = w.deliver(asks[n], messages[n]) })
	}
	wg.Wait()
	issued := map[string]int{}
	for _, a := range answers {
		switch {
		case a.cert != nil:
			issued[string(a.cert.Raw)]++
		case !a.refused("2", scep.ErrChallengeUsed) && !a.refused("2", scep.ErrChallengeVoid):
			t.Errorf("got %v", a)
		}
	}
	if len(issued) != 1 || w.certificates() != 1 {
		t.Errorf("%d certificates were given out, %d are on record; want 1", len(issued), w.certificates())
	}
	for _, n := range issued {
		if n != 10 {
			t.Errorf("%d of 10 equal requests got it", n)
		}
	}
}

// A challenge is dead after so many refusals that know it.
func TestTooManyTries(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(scep.MailSigning).RevealString()
	for range scep.MaxAttempts {
		if got := w.send(ask{challenge: c, key: rsaKey(2)}); !got.refused("2", scep.ErrKeyForeign) {
			t.Fatal(got)
		}
	}
	if got := w.send(ask{challenge: c}); !got.refused("2", scep.ErrChallengeVoid) {
		t.Errorf("got %v", got)
	}
	if n := w.actions(journal.ChallengeRefused); n != scep.MaxAttempts {
		t.Errorf("%d journal entries, want %d", n, scep.MaxAttempts)
	}
}

// An address that guesses too often gets no more answers for a minute; a right
// challenge gets through all the same, and so do others.
func TestGuessesByAddress(t *testing.T) {
	w := newWorld(t, func(c *scep.Config) { c.MaxFailures = 0 })
	guess := func(remote string) answer { t.Helper(); return w.send(ask{challenge: "WRONG", remote: remote}) }
	for n := range 10 {
		remote := "2001:db8::1"
		if n%2 == 0 {
			remote = "2001:db8::2"
		}
		if got := guess(remote); !got.refused("2", scep.ErrChallengeUnknown) {
			t.Fatal(got)
		}
	}
	if got := guess("2001:db8::3"); !errors.Is(got.err, scep.ErrTooMany) {
		t.Errorf("same network: got %v, want ErrTooMany", got)
	}
	if got := guess("2001:db8:0:1::1"); !got.refused("2", scep.ErrChallengeUnknown) {
		t.Errorf("other network: got %v", got)
	}
	c := w.challenge(scep.MailSigning).RevealString()
	if got := w.send(ask{challenge: c, remote: "2001:db8::3"}); got.status != "0" {
		t.Errorf("right challenge from the same network: got %v", got)
	}
	w.sleep(time.Minute)
	if got := guess("2001:db8::1"); !got.refused("2", scep.ErrChallengeUnknown) {
		t.Errorf("a minute later: got %v", got)
	}
}

// Only what needs our keys is counted, by address: garbage locks out nobody,
// and many requests at once are told to come back.
func TestWorkByAddress(t *testing.T) {
	w := newWorld(t)
	wrong := ask{challenge: "WRONG", remote: "2001:db8::1"}
	for range 300 {
		if got := w.deliver(wrong, []byte("garbage")); !errors.Is(got.err, scep.ErrMessage) {
			t.Fatal(got)
		}
	}
	message := w.message(wrong)
	send := func(remote string) answer { a := wrong; a.remote = remote; return w.deliver(a, message) }
	for n := range 100 {
		if got := send("2001:db8::1"); got.err != nil {
			t.Fatalf("request %d: %v", n, got)
		}
	}
	if got := send("2001:db8::2"); !errors.Is(got.err, scep.ErrTooMany) {
		t.Errorf("one too many: got %v, want ErrTooMany", got)
	}
	if got := send("2001:db8:0:1::1"); got.err != nil {
		t.Errorf("another address: got %v", got)
	}
	w.sleep(time.Second)
	for n := range 11 {
		if got := send("2001:db8::1"); errors.Is(got.err, scep.ErrTooMany) != (n == 10) {
			t.Errorf("request %d a second later: got %v", n, got)
		}
	}
}

// Whoever has more addresses than are counted does not use up what all others
// share.
func TestWorkOfManyAddresses(t *testing.T) {
	w := newWorld(t)
	w.s.Fill(10_000, "192.0.2.1", w.clock())
	message, refused := w.message(ask{challenge: "WRONG"}), 0
	for n := range 8 {
		if got := w.deliver(ask{remote: fmt.Sprintf("198.51.100.%d", n)}, message); errors.Is(got.err, scep.ErrTooMany) {
			refused++
		}
	}
	if refused > 3 {
		t.Errorf("%d of 8 strangers are refused", refused)
	}
}

// A signature that is dear to verify is no message; no key that we certify is
// so large.
func TestLargeSignerKey(t *testing.T) {
	w := newWorld(t)
	large := selfSigned(made(rsa.GenerateKey(rand.Reader, 4104)))
	if got := w.deliver(ask{}, w.message(ask{from: large})); !errors.Is(got.err, scep.ErrMessage) {
		t.Errorf("got %v, want ErrMessage", got)
	}
}

// failing is a store that fails at one step, as if the process had died there.
type failing struct {
	scep.Store
	step string
}

var errDied = errors.New("died")

func (f *failing) SerialReserved(ctx context.Context, i scep.Issuance) error {
	if f.step == "before the reservation" {
		return errDied
	}
	err := f.Store.SerialReserved(ctx, i)
	if f.step == "after the reservation" && err == nil {
		return errDied
	}
	return err
}

func (f *failing) CertificateIssued(ctx context.Context, i scep.Issuance, r cert.Record, e journal.Entry) error {
	if f.step == "before the certificate is stored" {
		return errDied
	}
	err := f.Store.CertificateIssued(ctx, i, r, e)
	if f.step == "after the certificate is stored" && err == nil {
		return errDied
	}
	return err
}

// Whenever the process dies, the client that comes again gets a certificate,
// with the same key or with another, and there is one on record.
func TestDyingAnywhere(t *testing.T) {
	for _, step := range []string{"before the reservation", "after the reservation", "before the certificate is stored", "after the certificate is stored"} {
		for name, n := range map[string]int{"same key": 1, "new key": 2} {
			t.Run(step+", "+name, func(t *testing.T) {
				dying := &failing{step: step}
				w := newWorld(t, func(c *scep.Config) { dying.Store, c.Store = c.Store, dying })
				c := w.challenge(scep.MailSigning).RevealString()
				if got := w.send(ask{challenge: c}); got.status != "2" || got.text != "internal" {
					t.Fatalf("got %v, want an internal failure", got)
				}
				dying.step = ""
				w.restart() // as after a new start
				got := w.send(ask{challenge: c, from: newClient(n)})
				if step == "after the certificate is stored" && n != 1 {
					if !got.refused("2", scep.ErrChallengeUsed) {
						t.Errorf("got %v", got)
					}
				} else if got.cert == nil {
					t.Errorf("got %v, want a certificate", got)
				}
				if w.certificates() != 1 {
					t.Errorf("%d certificates on record, want 1", w.certificates())
				}
			})
		}
	}
}

// raw opens the database beside the store.
func (w *world) raw() *sql.DB {
	w.t.Helper()
	return must(sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(5000)"))(w.t)
}

// A write that the database refuses leaves nothing behind, whichever it is.
func TestRefusedWrites(t *testing.T) {
	for _, write := range []string{"INSERT ON issuance", "UPDATE ON issuance", "UPDATE ON scep_challenge", "INSERT ON certificate", "INSERT ON journal"} {
		t.Run(write, func(t *testing.T) {
			w := newWorld(t)
			c := w.challenge(scep.MailSigning).RevealString()
			raw := w.raw()
			defer raw.Close()
			must(raw.Exec("CREATE TRIGGER refuse BEFORE " + write + " BEGIN SELECT RAISE(ABORT, 'refused'); END"))(t)
			if got := w.send(ask{challenge: c}); got.status != "2" || got.text != "internal" {
				t.Fatalf("got %v, want an internal failure", got)
			}
			must(raw.Exec("DROP TRIGGER refuse"))(t)
			if n := w.certificates() + w.actions(journal.CertificateIssued); n != 0 {
				t.Errorf("%d traces of a certificate", n)
			}
			if got := w.send(ask{challenge: c, from: newClient(2)}); got.status != "0" || w.certificates() != 1 {
				t.Errorf("afterwards: got %v", got)
			}
		})
	}
}

// A panic below is a FAILURE, and the server lives.
func TestPanicIsAFailure(t *testing.T) {
	w := newWorld(t, func(c *scep.Config) { c.Store = panicking{c.Store} })
	got := w.send(ask{challenge: w.challenge(scep.MailSigning).RevealString()})
	if got.status != "2" || got.failInfo != "2" || got.text != "internal" {
		t.Errorf("got %v", got)
	}
	if !bytes.Contains(w.log.Bytes(), []byte("level=ERROR")) || bytes.Contains(w.log.Bytes(), []byte("was printed")) {
		t.Errorf("log: %s", w.log)
	}
}

// unprintable panics again when somebody prints it, as types of smallstep/scep
// do.
type unprintable struct{}

func (unprintable) String() string { panic("was printed") }

type panicking struct{ scep.Store }

func (panicking) SerialReserved(context.Context, scep.Issuance) error { panic(unprintable{}) }
