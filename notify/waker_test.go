package notify_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/notify/apns"
	"github.com/signet-mdm/signet/notify/apns/apnstest"
)

const (
	topic = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
	other = "com.apple.mgmt.External.99999999-2222-3333-4444-555555555555"
)

// world is a database with devices, Apple's double, and a clock.
type world struct {
	t     *testing.T
	now   time.Time
	db    *store.DB
	mdm   store.MDM
	push  store.Push
	apple *apnstest.Server
	certs *certificates
	log   *bytes.Buffer
	waker *notify.Waker

	patience time.Duration // with Apple
}

// certificates are those of a test, without a store.
type certificates struct {
	mu      sync.Mutex
	list    []notify.Credential
	trouble []string
}

func (c *certificates) Credentials(context.Context) ([]notify.Credential, error) { return c.list, nil }
func (c *certificates) Troubled(_ context.Context, _, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = append(c.trouble, reason)
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	box, err := seal.NewBox(seal.RandomRoot(), "push")
	if err != nil {
		t.Fatal(err)
	}
	apple, err := apnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { apple.Close() })
	w := &world{t: t, now: start, db: db, mdm: db.MDM(box), push: db.Push(box), apple: apple, certs: &certificates{}, log: &bytes.Buffer{}, patience: time.Minute}
	w.certify(topic)
	w.waker = w.server()
	return w
}

// certify makes the one certificate that there is.
func (w *world) certify(topic string) {
	w.t.Helper()
	c, err := w.apple.Credential(topic)
	w.must(err)
	w.certs.list = []notify.Credential{c}
}

// server is a waker as one server has it.
func (w *world) server() *notify.Waker {
	client := apns.New(apns.Config{Gateway: w.apple.Addr, Roots: w.apple.Roots(), Patience: w.patience})
	w.t.Cleanup(client.Close)
	return notify.NewWaker(notify.WakerConfig{Wishes: w.push, Credentials: w.certs, Pusher: client,
		Log: logx.New(w.log, false, nil), Now: func() time.Time { return w.now }})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// device enrolls one whose token is 32 times that letter.
func (w *world) device(letter byte) subject.DeviceID {
	w.t.Helper()
	u := subject.User{ID: subject.NewUserID(), UPN: string(letter), Mail: fmt.Sprintf("%d@example.com", letter), CreatedAt: start}
	w.must(w.db.Directory().UserSaved(w.t.Context(), u, w.entry(journal.UserAdded)))
	d := subject.NewDeviceID()
	w.must(w.mdm.Invited(w.t.Context(), mdm.Invitation{Token: seal.Random().Hash(), User: u,
		Device: subject.Device{ID: d, User: u.ID}, CreatedAt: start, ExpiresAt: start}, w.entry(journal.DeviceInvited)))
	w.must(w.mdm.Authenticated(w.t.Context(), mdm.Binding{Device: d, UDID: string(d), Identity: cert.FingerprintOf([]byte(d)), Topic: topic, At: w.now},
		w.entry(journal.DeviceUpdated)))
	w.token(d, letter)
	return d
}

func (w *world) entry(a journal.Action) journal.Entry {
	return journal.Entry{At: w.now, Actor: journal.Worker("test"), Action: a}
}

func token(letter byte) []byte { return bytes.Repeat([]byte{letter}, 32) }

func (w *world) token(d subject.DeviceID, letter byte) {
	w.t.Helper()
	w.must(w.mdm.TokensUpdated(w.t.Context(), mdm.Tokens{Device: d, Topic: topic, Token: seal.NewSecret(token(letter)),
		PushMagic: seal.SecretString("magic-" + string(letter)), At: w.now}, w.entry(journal.DeviceEnrolled)))
}

// work queues something for a device.
func (w *world) work(d subject.DeviceID) {
	w.t.Helper()
	c := mdm.DeviceInformation(d)
	c.CreatedAt = w.now
	w.must(w.mdm.Queued(w.t.Context(), []mdm.Command{c}, w.entry(journal.DeviceRefresh)))
}

// comes lets the device poll.
func (w *world) comes(d subject.DeviceID) {
	w.t.Helper()
	for {
		c, found, err := w.mdm.Next(w.t.Context(), mdm.Poll{Device: d, At: w.now, Until: w.now.Add(10 * time.Second)})
		w.must(err)
		if !found {
			return
		}
		_, err = w.mdm.Reported(w.t.Context(), mdm.Outcome{Device: d, Command: c.UUID, State: mdm.Acknowledged, At: w.now}, w.entry(journal.DeviceReported))
		w.must(err)
	}
}

// wake runs steps as the loop does until there is nothing to do, and gives how
// many pushes Apple was asked for.
func (w *world) wake() int {
	w.t.Helper()
	before := w.apple.Asked()
	for {
		n, err := w.waker.Wake(w.t.Context())
		w.must(err)
		if n == 0 {
			return w.apple.Asked() - before
		}
	}
}

// pass lets time go by in steps, and gives how many pushes that brought.
func (w *world) pass(d, step time.Duration) (n int) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(step)
		n += w.wake()
	}
	return n
}

func (w *world) want(what string, got, want int) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: %d pushes, want %d\n%s", what, got, want, w.log)
	}
}

// said counts lines of the log.
func (w *world) said(part string) int { return strings.Count(w.log.String(), part) }

func TestWakeOnce(t *testing.T) {
	w := newWorld(t)
	d := w.device('a')
	w.want("nothing to fetch", w.pass(time.Hour, time.Minute), 0)
	w.work(d)
	w.want("at once", w.wake(), 0) // what is made at one time is fetched at one time
	w.work(d)
	w.want("settled", w.pass(notify.Settling, notify.Settling), 1)
	w.want("again", w.wake(), 0)
	got := w.apple.Taken()[0]
	if got.Topic != topic || got.Magic != "magic-a" || !bytes.Equal(got.Token, token('a')) || !got.Expires.After(start.AddDate(0, 0, 6)) {
		t.Errorf("got %+v", got)
	}
	w.comes(d)
	w.want("it came", w.pass(48*time.Hour, time.Hour), 0)
}

// At most one push a device a minute, whatever happens.
func TestGap(t *testing.T) {
	w := newWorld(t)
	d := w.device('a')
	n := 0
	for range 60 {
		w.work(d)
		if w.pass(5*time.Second, 5*time.Second) > 0 {
			n++
			w.comes(d)
		}
	}
	if n != 5 {
		t.Errorf("%d pushes in five minutes, want one a minute", n)
	}
}

// A device that does not come is pushed to later and later, and for ever.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	d := w.device('a')
	w.work(d)
	w.want("first half hour", w.pass(30*time.Minute, time.Minute), 2)
	w.want("first day", w.pass(24*time.Hour, 10*time.Minute), 3)
	if n := w.pass(30*24*time.Hour, time.Hour); n < 22 || n > 30 {
		t.Errorf("%d pushes in a month, want about one a day", n)
	}
	w.comes(d)
	w.work(d)
	w.want("it had come", w.pass(30*time.Minute, time.Minute), 2)
}

func TestDeadToken(t *testing.T) {
	w := newWorld(t)
	d, good := w.device('a'), w.device('b')
	w.apple.Unregister(token('a'), time.Time{})
	w.work(d)
	w.work(good)
	w.want("both", w.pass(time.Minute, time.Minute), 2)
	w.work(d)
	w.comes(good)
	w.want("dead", w.pass(72*time.Hour, time.Hour), 0)
	w.token(d, 'c')
	w.want("another token", w.pass(time.Minute, time.Minute), 1)
	if got := w.apple.Taken()[1]; got.Magic != "magic-c" {
		t.Errorf("got %+v", got)
	}
}

// What goes wrong for one device is put off for that device, not earlier than
// Apple asked for and not later than an hour; others are not held up.
func TestPutOff(t *testing.T) {
	for name, c := range map[string]struct {
		scene       apnstest.Scene
		least, most time.Duration
	}{
		"429":            {apnstest.Scene{Status: 429, Reason: "TooManyRequests", RetryAfter: "600"}, 10 * time.Minute, 14 * time.Minute},
		"429 for days":   {apnstest.Scene{Status: 429, Reason: "TooManyRequests", RetryAfter: "864000"}, time.Hour, time.Hour + time.Minute},
		"500":            {apnstest.Scene{Status: 500, Reason: "InternalServerError"}, time.Minute, 2 * time.Minute},
		"503":            {apnstest.Scene{Status: 503, Reason: "ServiceUnavailable", RetryAfter: "1200"}, 20 * time.Minute, 28 * time.Minute},
		"reset":          {apnstest.Scene{Reset: true}, time.Minute, 2 * time.Minute},
		"goaway":         {apnstest.Scene{GoAway: &apnstest.GoAway{Reason: "Shutdown", Processed: true}}, time.Minute, 2 * time.Minute},
		"hang":           {apnstest.Scene{Hang: true}, time.Minute, 2 * time.Minute},
		"413":            {apnstest.Scene{Status: 413, Reason: "PayloadTooLarge"}, 24 * time.Hour, 33 * time.Hour},
		"something new":  {apnstest.Scene{Status: 499, Reason: "Novelty"}, 24 * time.Hour, 33 * time.Hour},
		"one old goaway": {apnstest.Scene{GoAway: &apnstest.GoAway{}}, 5 * time.Minute, 7 * time.Minute}, // repeated at once, and taken
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.scene.Hang {
				w.patience = 2 * time.Second
				w.waker = w.server()
			}
			d := w.device('a')
			w.work(d)
			w.apple.Play(c.scene)
			w.pass(notify.Settling, notify.Settling)
			tried := w.now
			good := w.device('b')
			w.work(good)
			w.want("another device", w.pass(notify.Settling, notify.Settling), 1)
			w.comes(good)
			waited := time.Duration(0)
			for w.pass(time.Minute, time.Minute) == 0 && waited < 40*time.Hour {
				waited = w.now.Sub(tried)
			}
			if waited = w.now.Sub(tried); waited < c.least || waited > c.most+time.Minute {
				t.Errorf("pushed again after %v, want %v to %v", waited, c.least, c.most)
			}
		})
	}
}

// When Apple refuses the certificate nothing more is asked, and it is said
// once. A renewed one is used at once.
func TestCertificateRefused(t *testing.T) {
	w := newWorld(t)
	for letter := byte('a'); letter < 'a'+20; letter++ {
		w.work(w.device(letter))
	}
	for range 100 {
		w.apple.Play(apnstest.Scene{Status: 403, Reason: "BadCertificate"})
	}
	if n := w.pass(time.Hour, time.Second*10); n < 5 || n > 60 {
		t.Errorf("%d pushes in an hour, of 20 devices", n)
	}
	if n := w.said("level=ERROR"); n != 1 {
		t.Errorf("it was said %d times\n%s", n, w.log)
	}
	w.apple.Clear()
	w.certify(topic)
	w.pass(2*time.Minute, time.Second)
	if n := len(w.apple.Taken()); n != 20 {
		t.Errorf("%d devices were woken after the renewal, want 20", n)
	}
	if got := w.certs.trouble; len(got) != 2 || got[0] != "BadCertificate" || got[1] != "" {
		t.Errorf("noted: %q", got)
	}
}

// When nobody answers, not every device has to find that out.
func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	for letter := byte('a'); letter < 'a'+40; letter++ {
		w.work(w.device(letter))
	}
	for range 1000 {
		w.apple.Play(apnstest.Scene{Reset: true})
	}
	// A connection may break before the double has read what was asked.
	if n := w.pass(notify.Settling, notify.Settling); n < 1 || n > 20 {
		t.Errorf("%d of 40 were tried", n)
	}
	if n := w.pass(time.Hour, time.Second*10); n > 150 {
		t.Errorf("%d were tried in an hour", n)
	}
	w.apple.Clear()
	w.pass(2*time.Hour, time.Minute)
	taken := map[string]bool{}
	for _, p := range w.apple.Taken() {
		taken[p.Magic] = true
	}
	if len(taken) != 40 {
		t.Errorf("%d devices were woken in the end, want 40", len(taken))
	}
}

// A wish outlives the server that leased it.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	d := w.device('a')
	w.work(d)
	w.now = w.now.Add(notify.Settling)
	w.apple.Play(apnstest.Scene{Hang: true})
	ctx, kill := context.WithCancel(t.Context())
	go func() {
		for w.apple.Asked() == 0 {
			time.Sleep(time.Millisecond)
		}
		kill()
	}()
	if _, err := w.waker.Wake(ctx); err != nil {
		t.Fatal(err)
	}
	w.waker = w.server()
	w.want("at once", w.wake(), 0)
	w.want("when the lease is over", w.pass(3*time.Minute, time.Second*10), 1)
}

// A server that ends gives back what it did not try.
func TestEnd(t *testing.T) {
	w := newWorld(t)
	for letter := byte('a'); letter < 'a'+30; letter++ {
		w.work(w.device(letter))
	}
	w.now = w.now.Add(notify.Settling)
	for range 8 {
		w.apple.Play(apnstest.Scene{Hang: true})
	}
	ctx, end := context.WithCancel(t.Context())
	go func() {
		for w.apple.Asked() < 8 {
			time.Sleep(time.Millisecond)
		}
		end()
	}()
	if _, err := w.waker.Wake(ctx); err != nil {
		t.Fatal(err)
	}
	w.waker = w.server()
	w.want("at once", w.wake(), 22)
	w.want("when the lease is over", w.pass(3*time.Minute, time.Second*10), 8)
}

// Two servers over one database push once.
func TestTwoServers(t *testing.T) {
	w := newWorld(t)
	for letter := byte('a'); letter < 'a'+30; letter++ {
		w.work(w.device(letter))
	}
	w.now = w.now.Add(notify.Settling)
	var wg sync.WaitGroup
	for range 3 {
		s := w.server()
		wg.Go(func() {
			for {
				n, err := s.Wake(t.Context())
				if err != nil {
					t.Error(err)
				}
				if n == 0 || err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	w.want("three servers", w.apple.Asked(), 30)
}

// What is new for all devices does not bring all of them at once.
func TestPace(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		w.work(w.device(byte(i + 1)))
	}
	w.now = w.now.Add(notify.Settling)
	w.want("first", w.wake(), 50)
	w.want("a second later", w.pass(time.Second, time.Second), 50)
	w.want("the rest", w.pass(time.Second, time.Second), 20)
}

// Without a certificate for the devices' topic nothing is asked, and the wish
// waits for one.
func TestNoCertificate(t *testing.T) {
	w := newWorld(t)
	w.certify(other)
	d := w.device('a')
	w.work(d)
	w.want("another topic", w.pass(time.Hour, time.Minute), 0)
	w.certify(topic)
	w.want("the topic", w.wake(), 1)
}
