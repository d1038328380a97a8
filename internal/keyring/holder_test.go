package keyring_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/keyring/transit"
	"github.com/signet-mdm/signet/internal/keyring/transit/transittest"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// bank is a server that holds escrow keys, and a ring whose first one it holds.
type bank struct {
	*transittest.Server
	t           *testing.T
	token       string
	dir, unlock string
	ring        *keyring.Ring
}

func newBank(t *testing.T, keep time.Duration) *bank {
	t.Helper()
	dir := t.TempDir()
	b := &bank{Server: transittest.Start(), t: t, dir: filepath.Join(dir, "keys"), unlock: filepath.Join(dir, "unlock")}
	t.Cleanup(b.Close)
	b.token = b.NewToken(0)
	ring, err := keyring.Create(b.dir, b.unlock, b.options(keep)...)
	if err != nil {
		t.Fatal(err)
	}
	b.ring = ring
	return b
}

func (b *bank) options(keep time.Duration) []keyring.Option {
	roots := x509.NewCertPool()
	roots.AddCert(b.Certificate())
	c := transit.New(transit.Config{Address: b.URL, Mount: transittest.Mount, Key: transittest.Key, Roots: roots, Wait: 300 * time.Millisecond,
		Token: func() (seal.Secret, error) { return seal.SecretString(b.token), nil }, Now: time.Now})
	return []keyring.Option{keyring.HeldBy(c, keep), keyring.EscrowIn("transit")}
}

func (b *bank) open(keep time.Duration) (*keyring.Ring, error) {
	return keyring.Open(b.dir, b.unlock, b.options(keep)...)
}

// at tells where the only key is.
func (b *bank) at() keyring.Held {
	b.t.Helper()
	list, err := b.ring.Where()
	if err != nil || len(list) != 1 {
		b.t.Fatalf("got %v, %v", list, err)
	}
	return list[0]
}

func (b *bank) files() (list []string) {
	all, _ := filepath.Glob(filepath.Join(b.dir, "escrow-*"))
	for _, f := range all {
		_, kind, _ := strings.Cut(filepath.Base(f), ".")
		list = append(list, kind)
	}
	return list
}

func opens(t *testing.T, r *keyring.Ring, w escrow.Wrap) error {
	t.Helper()
	_, err := r.Unwrap(t.Context(), w, nil)
	return err
}

// A key that is held is nowhere in the directory, not even for who has the
// unlock key.
func TestHeld(t *testing.T) {
	b := newBank(t, time.Minute)
	if got := b.files(); !slices.Equal(got, []string{"transit.age"}) {
		t.Errorf("files: got %v", got)
	}
	w := wrapFor(t, b.dir, nil)
	if err := opens(t, b.ring, w); err != nil {
		t.Error(err)
	}
	if at := b.at(); at.Holder != "transit" || at.Version != 1 || at.Extra != nil {
		t.Errorf("got %+v", at)
	}
	alone, err := keyring.Open(b.dir, b.unlock)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"unwrap": opens(t, alone, w), "ready": alone.Ready(t.Context()), "check": alone.CheckHolders(t.Context())} {
		if !errors.Is(err, keyring.ErrHolderUnset) || fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("without the holder, %s: got %v, want ErrHolderUnset", name, err)
		}
	}
	if err := alone.SelfTest(); err != nil {
		t.Error(err)
	}
}

// A holder that does not answer keeps nothing from being opened and sealed to,
// and is used again when it answers. Nothing is said to be damaged.
func TestHolderAway(t *testing.T) {
	type trouble = transittest.Trouble
	always := func(c trouble) func(*bank) { return func(b *bank) { b.Play(slices.Repeat([]trouble{c}, 99)...) } }
	for name, c := range map[string]struct {
		away func(*bank)
		back func(*bank)
		want error
	}{
		"sealed":  {func(b *bank) { b.Seal(true) }, func(b *bank) { b.Seal(false) }, transit.ErrSealed},
		"broken":  {always(trouble{Path: "/v1/", Status: 500}), (*bank).heal, transit.ErrUnreachable},
		"busy":    {always(trouble{Path: "/decrypt/", Status: 429}), (*bank).heal, transit.ErrBusy},
		"slow":    {always(trouble{Path: "/v1/", Slow: 30 * time.Second}), (*bank).heal, transit.ErrUnreachable},
		"revoked": {func(b *bank) { b.Revoke() }, func(b *bank) { b.token = b.NewToken(0) }, transit.ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t, 0)
			w := wrapFor(t, b.dir, nil)
			c.away(b)
			r, err := b.open(0)
			if err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"unwrap": opens(t, r, w), "ready": r.Ready(t.Context()), "check": r.CheckHolders(t.Context())} {
				if !errors.Is(err, c.want) || fault.Of(err).Kind != fault.Unavailable {
					t.Errorf("%s: got %v, want %v", what, err, c.want)
				}
			}
			if _, err := keyring.Recipient(b.dir); err != nil {
				t.Errorf("sealing: %v", err)
			}
			c.back(b)
			time.Sleep(1100 * time.Millisecond) // the rest after a failure
			if err := opens(t, r, w); err != nil {
				t.Errorf("back: %v", err)
			}
		})
	}
}

func (b *bank) heal() { b.Heal() }

// Another key at the holder's opens nothing, is never taken for damage of what
// is sealed, and nothing is changed for it.
func TestHolderWrong(t *testing.T) {
	b := newBank(t, 0)
	w := wrapFor(t, b.dir, nil)
	b.Replace()
	for what, err := range map[string]error{"unwrap": opens(t, b.ring, w), "ready": b.ring.Ready(t.Context()), "check": b.ring.CheckHolders(t.Context())} {
		if !errors.Is(err, keyring.ErrHolderWrong) || fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("%s: got %v, want ErrHolderWrong", what, err)
		}
	}
	before := b.at()
	if err := b.ring.MoveEscrow(t.Context(), before.ID, keyring.File); !errors.Is(err, keyring.ErrHolderWrong) {
		t.Errorf("moving: got %v, want ErrHolderWrong", err)
	}
	if got := b.files(); !slices.Equal(got, []string{"transit.age"}) {
		t.Errorf("files: got %v", got)
	}
}

// What a holder gave is kept as long as it may be, and failures are not asked
// for again at once.
func TestHolderIsAskedSeldom(t *testing.T) {
	b := newBank(t, time.Minute)
	w := wrapFor(t, b.dir, nil)
	before := b.Asked("/decrypt/")
	for range 5 {
		if err := opens(t, b.ring, w); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Asked("/decrypt/") - before; n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	b.Seal(true)
	if err := opens(t, b.ring, w); err != nil {
		t.Errorf("what it gave is kept: %v", err)
	}
	r, err := b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	before = b.Asked("/decrypt/")
	for range 5 {
		if err := opens(t, r, w); !errors.Is(err, transit.ErrSealed) {
			t.Errorf("got %v, want ErrSealed", err)
		}
	}
	if n := b.Asked("/decrypt/") - before; n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// Who gives up waiting says nothing about the holder to others.
func TestGivingUp(t *testing.T) {
	b := newBank(t, 0)
	w := wrapFor(t, b.dir, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := b.ring.Unwrap(ctx, w, nil); err == nil || fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := opens(t, b.ring, w); err != nil {
		t.Error(err)
	}
}

// A key moves there and back, leaves no second copy, and opens all the while
// for a server that is running.
func TestMove(t *testing.T) {
	b := newBank(t, 0)
	w := wrapFor(t, b.dir, nil)
	running, err := b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	id := b.at().ID
	b.Rotate(1)
	for _, c := range []struct {
		to      string
		version int
		files   string
	}{{"transit", 2, "transit.age"}, {keyring.File, 0, "age"}, {keyring.File, 0, "age"}, {"transit", 2, "transit.age"}} {
		if err := b.ring.MoveEscrow(t.Context(), id, c.to); err != nil {
			t.Fatal(err)
		}
		if at := b.at(); at.Holder != c.to || at.Version != c.version || at.Extra != nil {
			t.Errorf("%s: got %+v", c.to, at)
		}
		if got := b.files(); !slices.Equal(got, []string{c.files}) {
			t.Errorf("%s: files %v", c.to, got)
		}
		if err := running.Follow(); err != nil {
			t.Error(err)
		}
		for _, r := range []*keyring.Ring{b.ring, running} {
			if err := opens(t, r, w); err != nil {
				t.Errorf("%s: %v", c.to, err)
			}
		}
	}
	b.Rotate(2) // the version before is retired
	if err := opens(t, running, w); err != nil {
		t.Error(err)
	}
	if err := b.ring.MoveEscrow(t.Context(), id, "nobody"); !errors.Is(err, keyring.ErrHolderUnset) {
		t.Errorf("got %v, want ErrHolderUnset", err)
	}
	if err := b.ring.MoveEscrow(t.Context(), "hpke:00", "transit"); !errors.Is(err, keyring.ErrEscrowUnknown) {
		t.Errorf("got %v, want ErrEscrowUnknown", err)
	}
}

// A copy that a crash left is seen, and doing it again erases it.
func TestLeftOver(t *testing.T) {
	b := newBank(t, 0)
	id := b.at().ID
	copied := filepath.Join(b.dir, "escrow-"+id.Hex()+".age")
	if err := os.WriteFile(copied, []byte("age-encryption.org/v1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at := b.at(); !slices.Equal(at.Extra, []string{copied}) {
		t.Errorf("got %+v", at)
	}
	if err := b.ring.MoveEscrow(t.Context(), id, "transit"); err != nil {
		t.Fatal(err)
	}
	if at := b.at(); at.Extra != nil {
		t.Errorf("got %+v", at)
	}
}

// A key is made where it is to be, or not at all.
func TestMadeNowhere(t *testing.T) {
	b := newBank(t, 0)
	before := b.files()
	b.Seal(true)
	if _, err := b.ring.AddEscrow(); !errors.Is(err, transit.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	if got := b.files(); !slices.Equal(got, before) || len(b.ring.Escrow()) != 1 {
		t.Errorf("got %v and %v", got, b.ring.Escrow())
	}
	b.Seal(false)
	if _, err := b.ring.AddEscrow(); err != nil {
		t.Fatal(err)
	}
	old := b.ring.Retiring()[0]
	if err := b.ring.DestroyEscrow(old); err != nil {
		t.Fatal(err)
	}
	if got := b.files(); !slices.Equal(got, []string{"transit.age"}) {
		t.Errorf("files: got %v", got)
	}
}
