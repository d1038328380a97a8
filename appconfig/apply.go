package appconfig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Store keeps the policies.
type Store interface {
	// Policies lists all policies by name; empty, never nil.
	Policies(ctx context.Context) ([]Policy, error)
	// PoliciesApplied inserts or replaces the policies by name and deletes
	// those that are named. Devices in the scopes that they had, and have now,
	// become due. All or nothing: ErrChanged when the revision of what is there
	// is not that which was seen, "" for any.
	PoliciesApplied(ctx context.Context, seen string, saved []Policy, removed []string, e journal.Entry) error
	// Groups gives every group's id and members by its name.
	Groups(ctx context.Context) (map[string]Members, error)
}

// Members is a group as it is stored.
type Members struct {
	ID    subject.GroupID
	Users []subject.UserID
}

// People is the directory.
type People interface {
	// User finds a user by id, address or UPN; a fault of kind NotFound when
	// there is none.
	User(ctx context.Context, key string) (subject.User, error)
	// Add creates a user and gives him as stored.
	Add(ctx context.Context, by journal.Actor, u subject.User) (subject.User, error)
	// Change replaces the properties of the user with u's id.
	Change(ctx context.Context, by journal.Actor, u subject.User) (subject.User, error)
	// SetGroup makes the group of that name have exactly these members.
	SetGroup(ctx context.Context, by journal.Actor, name string, members []subject.UserID) (subject.GroupID, error)
}

// Kind applies documents that are none of ours, such as certificate profiles.
type Kind interface {
	// Kind is what they begin with.
	Kind() string
	// Revision names the state of what they are about.
	Revision(ctx context.Context) (string, error)
	// Compare reads one document, which stands at its lines of the file, and
	// gives the facts before and after; nil for none.
	Compare(ctx context.Context, text []byte) (name string, before, after map[string]string, err error)
	// Apply does what the documents say, if the state has still that revision;
	// a fault of kind Conflict when not.
	Apply(ctx context.Context, by journal.Actor, revision string, texts [][]byte) error
}

// Service applies documents and explains what holds.
type Service struct {
	store  Store
	people People
	others []Kind
	now    func() time.Time
}

// New makes the service.
func New(store Store, people People, now func() time.Time, others ...Kind) *Service {
	if store == nil || people == nil || now == nil {
		panic("appconfig: nil dependency")
	}
	return &Service{store, people, others, now}
}

// Diff is what an application changes, in the order of the file.
type Diff struct {
	Revision string `json:"revision" doc:"Of the policies before; they are the If-Match of an application that is to change exactly this"`
	Items    []Item `json:"items" nullable:"false" doc:"One a document, in their order"`
}

// Item is one document of a file.
type Item struct {
	Kind    string   `json:"kind" doc:"Policy, User, Group or CertificateProfile"`
	Name    string   `json:"name" doc:"By which the document names it"`
	Action  Action   `json:"action" doc:"What happens to it"`
	Changes []Change `json:"changes" nullable:"false" doc:"Key by key"`
}

// Action is what happens to a thing.
type Action string

// The actions.
const (
	Added     Action = "added"
	Changed   Action = "changed"
	Removed   Action = "removed"
	Unchanged Action = "unchanged"
)

// Change is one key that gets another value; "" is none.
type Change struct {
	Key string `json:"key" doc:"What changes"`
	Old string `json:"old" doc:"Empty for none"`
	New string `json:"new" doc:"Empty for none"`
}

// Empty tells whether nothing changes.
func (d Diff) Empty() bool {
	return !slices.ContainsFunc(d.Items, func(i Item) bool { return i.Action != Unchanged })
}

// String shows the difference as text, one line a change.
func (d Diff) String() string {
	sign := map[Action]string{Added: "+", Changed: "~", Removed: "-", Unchanged: " "}
	var b strings.Builder
	for _, i := range d.Items {
		fmt.Fprintf(&b, "%s %s %s\n", sign[i.Action], strings.ToLower(i.Kind), i.Name)
		for _, c := range i.Changes {
			switch {
			case c.Old == "":
				fmt.Fprintf(&b, "    + %s: %s\n", c.Key, c.New)
			case c.New == "":
				fmt.Fprintf(&b, "    - %s: %s\n", c.Key, c.Old)
			default:
				fmt.Fprintf(&b, "    ~ %s: %s → %s\n", c.Key, c.Old, c.New)
			}
		}
	}
	return b.String()
}

// Apply makes users, groups and policies be as the documents say and gives
// what that changes; with dryRun it only tells. What the documents do not name
// stays as it is. Applying the same again changes nothing. Everything is
// checked before anything is written; see [Parse] for what is refused, and
// ErrSubject.
func (s *Service) Apply(ctx context.Context, by journal.Actor, docs []byte, dryRun bool) (Diff, error) {
	return s.ApplyTo(ctx, by, "", docs, dryRun)
}

// ApplyTo is Apply for policies that still have that revision, as a difference
// told it; "" for any. ErrChanged when they have another.
func (s *Service) ApplyTo(ctx context.Context, by journal.Actor, revision string, docs []byte, dryRun bool) (Diff, error) {
	parsed, err := Parse(docs)
	if err != nil {
		return Diff{}, err
	}
	a := &application{Service: s, ctx: ctx, by: by, docs: parsed}
	if err := a.look(); err != nil {
		return Diff{}, err
	}
	if revision != "" && revision != a.whole() {
		return Diff{}, ErrChanged
	}
	diff, err := a.compare()
	if err != nil || dryRun || diff.Empty() {
		return diff, err
	}
	return diff, a.write(diff)
}

// application is one call of Apply.
type application struct {
	*Service
	ctx  context.Context
	by   journal.Actor
	docs Documents

	revision string // of the policies
	states   []state
	made     map[string]map[string]string // facts of the profiles of this file, by name; nil for one that goes
	policies map[string]Policy
	groups   map[string]Members
	users    map[string]subject.User // by the name under which they were asked for
}

// look reads what is there.
func (a *application) look() (err error) {
	list, err := a.store.Policies(a.ctx)
	if err != nil {
		return fmt.Errorf("reading policies: %w", err)
	}
	a.revision = Revision(list)
	a.policies, a.users, a.made = map[string]Policy{}, map[string]subject.User{}, map[string]map[string]string{}
	for _, p := range list {
		a.policies[p.Name] = p
	}
	if a.groups, err = a.store.Groups(a.ctx); err != nil {
		return fmt.Errorf("reading groups: %w", err)
	}
	return a.lookAtOthers()
}

// user finds a user; the zero user when there is none.
func (a *application) user(key string) (subject.User, error) {
	if u, known := a.users[key]; known {
		return u, nil
	}
	u, err := a.people.User(a.ctx, key)
	if f := fault.Of(err); f != nil && f.Kind == fault.NotFound {
		return subject.User{}, nil
	}
	if err != nil {
		return u, fmt.Errorf("looking for a user: %w", err)
	}
	a.users[key] = u
	return u, nil
}

func (a *application) compare() (Diff, error) {
	d := Diff{Revision: a.whole(), Items: []Item{}}
	for _, u := range a.docs.Users {
		item, err := a.compareUser(u)
		if err != nil {
			return d, err
		}
		d.Items = append(d.Items, item)
	}
	for _, g := range a.docs.Groups {
		item, err := a.compareGroup(g)
		if err != nil {
			return d, err
		}
		d.Items = append(d.Items, item)
	}
	if err := a.compareOthers(&d); err != nil {
		return d, err
	}
	for i := range a.docs.Policies {
		item, err := a.comparePolicy(&a.docs.Policies[i])
		if err != nil {
			return d, err
		}
		d.Items = append(d.Items, item)
	}
	return d, nil
}

// write stores what differs: users before groups, groups before policies.
func (a *application) write(d Diff) error {
	touched := func(kind, name string) bool {
		return slices.ContainsFunc(d.Items, func(i Item) bool { return i.Kind == kind && i.Name == name && i.Action != Unchanged })
	}
	var errs []error
	for _, u := range a.docs.Users {
		if touched("User", u.Mail) {
			errs = append(errs, a.writeUser(u))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, g := range a.docs.Groups {
		if touched("Group", g.Name) {
			errs = append(errs, a.writeGroup(g))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := a.writeOthers(d); err != nil {
		return err
	}
	return a.writePolicies(func(name string) bool { return touched("Policy", name) })
}

func (a *application) writePolicies(touched func(string) bool) error {
	var saved []Policy
	var removed []string
	for i := range a.docs.Policies {
		doc := &a.docs.Policies[i]
		switch {
		case !touched(doc.Name):
		case doc.Remove:
			removed = append(removed, doc.Name)
		default:
			if err := a.place(doc, true); err != nil { // ids of what was just made
				return err
			}
			saved = append(saved, doc.Policy)
		}
	}
	if len(saved)+len(removed) == 0 {
		return nil
	}
	e := journal.Entry{At: a.now(), Actor: a.by, Action: journal.PolicyApplied, Detail: map[string]string{
		"saved": strconv.Itoa(len(saved)), "removed": strconv.Itoa(len(removed))}}
	if err := a.store.PoliciesApplied(a.ctx, a.revision, saved, removed, e); err != nil {
		return fmt.Errorf("storing policies: %w", err)
	}
	return nil
}
