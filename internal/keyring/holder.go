package keyring

import (
	"context"
	"crypto/hpke"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Failures of what holds escrow keys.
var (
	ErrHolderUnset = fault.New(fault.Unavailable, "escrow_holder_unset",
		"An escrow key is held elsewhere, and that is not configured.", "Set what signet keys escrow list names, as transit.address.")
	ErrHolderAway = fault.New(fault.Unavailable, "escrow_holder_away",
		"What holds the escrow key does not give it now.", "Deliveries wait and go on by themselves.")
	ErrHolderWrong = fault.New(fault.Unavailable, "escrow_holder_wrong",
		"What holds the escrow key does not open it.", "It is another key or another server, or the version of its key was retired; nothing was changed.")
)

// Holder has a key of its own, elsewhere, under which the private halves of
// escrow keys are encrypted.
type Holder interface {
	// Name is how the ring calls it, such as "transit".
	Name() string
	// Wrap encrypts under the newest version of the holder's key. What it gives
	// opens with the same binding only.
	Wrap(ctx context.Context, plain seal.Secret, bound []byte) (string, error)
	// Unwrap opens that. A fault of kind Denied when it does not open; of kind
	// Unavailable when the holder cannot be asked now.
	Unwrap(ctx context.Context, text string, bound []byte) (seal.Secret, error)
	// Version tells under which version of the holder's key a text is.
	Version(text string) int
	// Check looks whether the holder could be asked now.
	Check(ctx context.Context) error
}

// HeldBy says who may hold escrow keys, and for how long what a holder gave is
// kept before it is asked again.
func HeldBy(h Holder, keep time.Duration) Option {
	return func(w *ways) { w.holders = append(w.holders, holding{h, keep}) }
}

// EscrowIn says who holds escrow keys that are made, "" and [File] for nobody.
func EscrowIn(name string) Option { return func(w *ways) { w.escrowIn = name } }

// File is where an escrow key is that nobody else holds.
const File = "file"

// holding is a holder and what we have of it.
type holding struct {
	Holder
	keep time.Duration
}

// opened is an escrow key that its holder gave, or why it did not.
type opened struct {
	private hpke.PrivateKey
	err     error
	until   time.Time
}

// restTime is how long a holder that failed is not asked again.
const restTime = time.Second

// bound is what an escrow key is bound to at its holder's.
func bound(id escrow.KeyID) []byte { return []byte("signet/escrow-key/v1" + string(id)) }

// holder gives the one of that name.
func (r *Ring) holder(name string) (holding, error) {
	for _, h := range r.holders {
		if h.Name() == name {
			return h, nil
		}
	}
	return holding{}, ErrHolderUnset.Saying("An escrow key is held by " + name + ", which is not configured.")
}

// held gives the private half of a key from its holder. Callers take turns; who
// comes after a failure does not ask at once again.
func (r *Ring) held(ctx context.Context, k escrowKey) (hpke.PrivateKey, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ErrHolderAway.With(ctx.Err())
	}
	if o := r.opened[k.ID]; time.Now().Before(o.until) {
		return o.private, o.err
	}
	delete(r.opened, k.ID)
	h, err := r.holder(k.Holder)
	if err != nil {
		return nil, err
	}
	private, err := r.fetch(ctx, k, h)
	keep := h.keep
	if err != nil {
		keep = restTime
	}
	if ctx.Err() == nil { // who gave up says nothing about the holder
		r.opened[k.ID] = opened{private, err, time.Now().Add(keep)}
	}
	return private, err
}

// fetch asks the holder. What it gives is used only if it opens what was sealed
// to the key. The file is read anew: another process may have wrapped it under
// a newer version.
func (r *Ring) fetch(ctx context.Context, k escrowKey, h holding) (hpke.PrivateKey, error) {
	text, err := r.decrypt(k.file())
	if err != nil {
		return nil, err
	}
	return k.unwrap(ctx, h, text.RevealString())
}

// unwrap has the holder open a text.
func (k escrowKey) unwrap(ctx context.Context, h Holder, text string) (hpke.PrivateKey, error) {
	plain, err := h.Unwrap(ctx, text, bound(k.ID))
	f := fault.Of(err)
	switch {
	case err == nil:
	case f == nil:
		return nil, ErrHolderAway.With(err)
	case f.Kind == fault.Denied:
		return nil, ErrHolderWrong.Saying(f.Msg).With(err)
	case f.Kind != fault.Unavailable: // nothing is wrong with what is sealed
		return nil, ErrHolderAway.Saying(f.Msg).With(err)
	default:
		return nil, err
	}
	private, err := k.parse(plain)
	if err != nil {
		return nil, ErrHolderWrong.With(err)
	}
	k.private = private
	if err := test([]escrowKey{k}); err != nil {
		return nil, ErrHolderWrong.With(err)
	}
	return private, nil
}

// wrap has the holder encrypt the key, and makes sure that it gives it back.
func (k escrowKey) wrap(ctx context.Context, h Holder) (seal.Secret, error) {
	plain, err := k.plain()
	if err != nil {
		return seal.Secret{}, err
	}
	defer plain.Wipe()
	text, err := h.Wrap(ctx, plain, bound(k.ID))
	if err != nil {
		return seal.Secret{}, fmt.Errorf("having %s hold an escrow key: %w", h.Name(), err)
	}
	if _, err := k.unwrap(ctx, h, text); err != nil {
		return seal.Secret{}, fmt.Errorf("trying what %s holds: %w", h.Name(), err)
	}
	return seal.SecretString(text), nil
}

// Ready tells whether an escrow key can be used now; it asks the holders for
// what is not here. When none can, it says why not of the active one.
func (r *Ring) Ready(ctx context.Context) error {
	var why error
	for _, k := range r.usable() {
		err := error(nil)
		if k.private == nil {
			_, err = r.held(ctx, k)
		}
		if err == nil {
			return nil
		}
		why = err // the active one is the last
	}
	return why
}

// CheckHolders tries each escrow key that is held elsewhere, and looks whether
// its holder could be asked now; without such keys it does nothing.
func (r *Ring) CheckHolders(ctx context.Context) error {
	for _, k := range r.usable() {
		if k.private != nil {
			continue
		}
		h, err := r.holder(k.Holder)
		if err == nil {
			err = h.Check(ctx)
		}
		if err == nil {
			_, err = r.held(ctx, k)
		}
		if err != nil {
			return fmt.Errorf("escrow key %s: %w", k.ID, err)
		}
	}
	return nil
}

// Holders names those who hold escrow keys that are in use, in alphabetical
// order.
func (r *Ring) Holders() (names []string) {
	for _, k := range r.usable() {
		if k.held && !slices.Contains(names, k.Holder) {
			names = append(names, k.Holder)
		}
	}
	slices.Sort(names)
	return names
}

// usable lists the escrow keys that this process may use, the active one last.
func (r *Ring) usable() (list []escrowKey) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.escrow {
		if k.private != nil || k.held {
			list = append(list, k)
		}
	}
	return list
}

// Held is where an escrow key is.
type Held struct {
	ID      escrow.KeyID
	State   State
	Holder  string
	Version int      // of the holder's key; 0: it has none
	Extra   []string // files of the key that should not be there any more
}

// Where tells of each escrow key where it is, the oldest first.
func (r *Ring) Where() (list []Held, err error) {
	r.mu.RLock()
	keys := r.escrow
	r.mu.RUnlock()
	for _, k := range keys {
		at := Held{ID: k.ID, State: k.State, Holder: k.Holder}
		if at.Holder == "" {
			at.Holder = File
		}
		if k.held {
			text, err := r.decrypt(k.file())
			if err != nil {
				return nil, err
			}
			if h, err := r.holder(k.Holder); err == nil {
				at.Version = h.Version(text.RevealString())
			}
		}
		if at.Extra, err = r.extra(k); err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// extra lists files of the key besides its own, which a crash left.
func (r *Ring) extra(k escrowKey) (list []string, err error) {
	all, err := filepath.Glob(filepath.Join(r.dir, "escrow-"+k.ID.Hex()+".*"))
	for _, path := range all {
		if k.State == Destroyed || filepath.Base(path) != k.file() {
			list = append(list, path)
		}
	}
	return list, err
}

// file gives the name of the key's file.
func (k escrowKey) file() string {
	if k.Holder == "" {
		return keyFile(k.ID)
	}
	return "escrow-" + k.ID.Hex() + "." + k.Holder + ".age"
}

// Renew keeps what signs us in at the holders of keys in use from ending; it is
// to be called every minute.
func (r *Ring) Renew(ctx context.Context) error {
	for _, h := range r.holders {
		signed, ok := h.Holder.(interface {
			Renew(ctx context.Context) error
		})
		if !ok || !slices.Contains(r.Holders(), h.Name()) {
			continue
		}
		if err := signed.Renew(ctx); err != nil {
			return fmt.Errorf("renewing the sign-in at %s: %w", h.Name(), err)
		}
	}
	return nil
}
