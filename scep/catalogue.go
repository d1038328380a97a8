package scep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep/ca"
)

// ProfileStore keeps the profiles that documents made.
type ProfileStore interface {
	// CertificateProfiles lists them by name; empty, never nil.
	CertificateProfiles(ctx context.Context) ([]Profile, error)
	// CertificateProfilesApplied inserts or replaces profiles by name and deletes
	// those that are named. All or nothing: ErrProfilesChanged when the revision
	// of what is there is not that which was seen, a fault of kind Conflict when a
	// policy names one that is to be deleted.
	CertificateProfilesApplied(ctx context.Context, seen string, saved []Profile, removed []string, e journal.Entry) error
}

// Book is the catalogue of an installation: the shipped profiles, as they are or
// as documents changed them, and those that documents added. Another process
// sees a change within two seconds.
type Book struct {
	store   ProfileStore
	shipped []Profile
	issuer  func(authority string) (*ca.Public, bool)
	now     func() time.Time

	mu   sync.Mutex
	list []Profile
	read time.Time
}

var _ Catalogue = (*Book)(nil)

// NewBook makes the catalogue; issuer gives the CA that a profile names, as it
// is now.
func NewBook(store ProfileStore, shipped []Profile, issuer func(authority string) (*ca.Public, bool), now func() time.Time) *Book {
	if store == nil || issuer == nil || now == nil {
		panic("scep: nil dependency")
	}
	return &Book{store: store, shipped: shipped, issuer: issuer, now: now}
}

// How long what was read is believed, and how long nobody looks again for a
// profile that was not there.
const (
	fresh   = 2 * time.Second
	missing = 200 * time.Millisecond
)

// Profile implements [Catalogue].
func (b *Book) Profile(ctx context.Context, name string) (Profile, error) {
	for _, age := range []time.Duration{fresh, missing} {
		list, err := b.profiles(ctx, age)
		if err != nil {
			return Profile{}, err
		}
		if p, err := Fixed(list).Profile(ctx, name); err == nil {
			return p, nil
		}
	}
	return Profile{}, ErrProfileUnknown
}

// Profiles implements [Catalogue]: the shipped ones, then the others by name.
func (b *Book) Profiles(ctx context.Context) ([]Profile, error) {
	return b.profiles(ctx, fresh)
}

// profiles gives what was read not longer ago than age.
func (b *Book) profiles(ctx context.Context, age time.Duration) ([]Profile, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.list != nil && now.Sub(b.read).Abs() < age {
		return b.list, nil
	}
	own, err := b.store.CertificateProfiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading certificate profiles: %w", err)
	}
	b.list, b.read = b.over(own), now
	return b.list, nil
}

// over gives the shipped profiles with own in their place or added.
func (b *Book) over(own []Profile) []Profile {
	list := slices.Clone(b.shipped)
	for _, p := range own {
		if i := slices.IndexFunc(list, func(s Profile) bool { return s.Name == p.Name }); i >= 0 {
			list[i] = p
		} else {
			list = append(list, p)
		}
	}
	return list
}

// Shipped gives a profile as it was shipped.
func (b *Book) Shipped(name string) (Profile, bool) {
	p, err := Fixed(b.shipped).Profile(context.Background(), name)
	return p, err == nil
}

// ProfileRevision names a state of profiles in the order of their names.
func ProfileRevision(profiles []Profile) string {
	h := sha256.New()
	for _, p := range profiles {
		text, err := json.Marshal(p)
		if err != nil {
			panic(fmt.Sprintf("scep: profile %s: %v", p.Name, err)) // texts, numbers and lists of them
		}
		h.Write(append(text, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Kind is what documents about profiles begin with.
func (b *Book) Kind() string { return DocumentKind }

// Revision names the state of the profiles.
func (b *Book) Revision(ctx context.Context) (string, error) {
	own, err := b.store.CertificateProfiles(ctx)
	return ProfileRevision(own), err
}

// Compare reads one document, whose text stands at its lines of the file, and
// gives the facts of the profile before and after; nil for none. Nothing is
// written. ErrProfileInvalid, ErrProfileBroken and ErrProfileFixed say what is
// wrong with it.
func (b *Book) Compare(ctx context.Context, text []byte) (name string, before, after map[string]string, err error) {
	own, err := b.store.CertificateProfiles(ctx)
	if err != nil {
		return "", nil, nil, fmt.Errorf("reading certificate profiles: %w", err)
	}
	list := b.over(own)
	d, err := readDocument(text)
	if err != nil {
		return "", nil, nil, err
	}
	old, unknown := Fixed(list).Profile(ctx, d.Name)
	if unknown == nil {
		before = old.facts()
	}
	if d.Remove {
		if shipped, is := b.Shipped(d.Name); is {
			after = shipped.facts()
		}
		return d.Name, before, after, nil
	}
	p, err := b.make(d)
	switch {
	case err != nil:
		return d.Name, nil, nil, err
	case unknown == nil && (old.Use != p.Use || old.Issuer != p.Issuer && old.Use == cert.Identity || old.Delivered != p.Delivered):
		return d.Name, nil, nil, ErrProfileFixed
	}
	return d.Name, before, p.facts(), nil
}

// Deliverable tells why no policy can name that profile for the keys that devices
// make; nil when one can.
func (b *Book) Deliverable(ctx context.Context, name string) error {
	p, err := b.Profile(ctx, name)
	if err == nil && !p.Delivers() {
		err = ErrUndelivered
	}
	return err
}

// make gives the profile of a document and sees that its CA would issue it.
func (b *Book) make(d document) (Profile, error) {
	base, shipped := b.Shipped(d.Name)
	if !shipped {
		template := MailSigning
		if d.For == "encryption" {
			template = MailEncryption
		}
		base, _ = b.Shipped(template)
	}
	p, err := d.over(base)
	if err != nil {
		return p, err
	}
	issuer, known := b.issuer(p.Issuer)
	if !known {
		return p, invalid("issuer is no CA of this installation")
	}
	if !issuer.MayIssue(p.kind()) {
		return p, invalid("issuer is a CA for other certificates")
	}
	u := sampleUser
	if domains := issuer.Certificate().PermittedEmailAddresses; len(domains) > 0 {
		u.Mail = "alice@" + strings.TrimPrefix(domains[0], ".")
	}
	names, err := p.names(u, sampleDevice)
	if err != nil {
		return p, err
	}
	return p, p.rehearse(issuer, names, b.now())
}

// Apply makes the profiles be as documents say, which Compare has seen in a state
// of that revision. ErrProfilesChanged when it is another now.
func (b *Book) Apply(ctx context.Context, by journal.Actor, revision string, texts [][]byte) error {
	var saved []Profile
	var removed, names []string
	for _, text := range texts {
		d, err := readDocument(text)
		if err != nil {
			return err
		}
		names = append(names, d.Name)
		if d.Remove {
			removed = append(removed, d.Name)
			continue
		}
		p, err := b.make(d)
		if err != nil {
			return err
		}
		saved = append(saved, p)
	}
	e := journal.Entry{At: b.now(), Actor: by, Action: journal.ProfilesApplied, Detail: map[string]string{
		"saved": strconv.Itoa(len(saved)), "removed": strconv.Itoa(len(removed)), "profiles": shorten(strings.Join(names, " "))}}
	if err := b.store.CertificateProfilesApplied(ctx, revision, saved, removed, e); err != nil {
		return fmt.Errorf("storing certificate profiles: %w", err)
	}
	b.mu.Lock()
	b.list = nil
	b.mu.Unlock()
	return nil
}

func shorten(s string) string { return s[:min(len(s), 500)] }
