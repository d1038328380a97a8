// Package directory has the users and groups: who they are, which addresses
// are theirs, who belongs to what. Start at [Service].
package directory

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Failures that callers tell apart.
var (
	ErrUserUnknown = fault.New(fault.NotFound, "user_unknown",
		"There is no such user.", "signet user list shows them.")
	ErrUserExists = fault.New(fault.Conflict, "user_exists",
		"One of these addresses already belongs to a user.", "signet user show ADDRESS tells whose it is.")
	ErrUserChanged = fault.New(fault.Conflict, "user_changed",
		"Somebody else changed this user at the same time.", "Look at the user, and change it again.")
	ErrMailBound = fault.New(fault.Denied, "user_mail_bound",
		"The user has keys in escrow, so the primary address stays.",
		"Add the new address as an alias. Whoever could move the address could be invited in another's name.")
	ErrGroupUnknown = fault.New(fault.NotFound, "group_unknown",
		"There is no such group.", "signet group list shows them.")
	ErrUserProperty = fault.New(fault.Invalid, "user_property_invalid",
		"A property of the user cannot have this value.", "A SID looks like S-1-5-21-1-2-3-1104, a distinguished name like CN=Alice,DC=example,DC=com.")
	ErrUserName = fault.New(fault.Invalid, "user_name_invalid",
		"A name is at most 200 characters without control characters.", "")
)

// Store keeps users and groups.
type Store interface {
	// UserSaved inserts the user or replaces the one with the same id, its
	// aliases included. ErrUserExists when an address or UPN is another's.
	UserSaved(ctx context.Context, u subject.User, e journal.Entry) error
	// UserChanged is UserSaved for a user who is still as was says, groups
	// aside. ErrUserChanged when not, ErrMailBound when he has keys in escrow
	// and would get another primary address.
	UserChanged(ctx context.Context, was, u subject.User, e journal.Entry) error
	// User gives the user that key names: our id, an address or a UPN, the
	// latter two normalised. ErrUserUnknown when there is none.
	User(ctx context.Context, key string) (subject.User, error)
	// Users lists at most limit users, ordered by address, those whose address
	// follows after; empty, never nil.
	Users(ctx context.Context, after string, limit int) ([]subject.User, error)
	// Search lists as Users does those whose name, address or UPN has text in
	// it, in whatever case.
	Search(ctx context.Context, text, after string, limit int) ([]subject.User, error)
	// GroupSaved inserts the group, or replaces the members of the one with
	// the same name, and gives its id.
	GroupSaved(ctx context.Context, name string, members []subject.UserID, e journal.Entry) (subject.GroupID, error)
	// Groups lists at most limit groups, ordered by name, those whose name
	// follows after; empty, never nil.
	Groups(ctx context.Context, after string, limit int) ([]Group, error)
	// Group gives the group with that name or id. ErrGroupUnknown when there is
	// none.
	Group(ctx context.Context, key string) (Group, error)
	// GroupNames gives the names of groups by id.
	GroupNames(ctx context.Context, ids []subject.GroupID) (map[subject.GroupID]string, error)
}

// Group is a named set of users.
type Group struct {
	ID      subject.GroupID
	Name    string
	Members int
}

// Service is the directory.
type Service struct {
	store Store
	now   func() time.Time
}

// New makes the directory over its store.
func New(store Store, now func() time.Time) *Service {
	if store == nil || now == nil {
		panic("directory: nil dependency")
	}
	return &Service{store, now}
}

// Add creates a user. Mail is required; UPN defaults to it. Addresses are
// normalised. It gives the stored user.
func (s *Service) Add(ctx context.Context, by journal.Actor, u subject.User) (subject.User, error) {
	u.ID, u.CreatedAt = subject.NewUserID(), s.now()
	u, err := tidy(u)
	if err != nil {
		return subject.User{}, err
	}
	return u, s.store.UserSaved(ctx, u, s.entry(by, journal.UserAdded, u.ID))
}

// Change replaces the properties of the user with u's id.
func (s *Service) Change(ctx context.Context, by journal.Actor, u subject.User) (subject.User, error) {
	u, err := tidy(u)
	if err != nil {
		return subject.User{}, err
	}
	return u, s.store.UserSaved(ctx, u, s.entry(by, journal.UserChanged, u.ID))
}

// Update replaces the properties of a user who is still as was says.
// ErrUserChanged when somebody else was quicker, ErrMailBound for another
// primary address of a user with keys.
func (s *Service) Update(ctx context.Context, by journal.Actor, was, u subject.User) (subject.User, error) {
	u.ID, u.CreatedAt, u.Groups = was.ID, was.CreatedAt, was.Groups
	u, err := tidy(u)
	if err != nil {
		return subject.User{}, err
	}
	return u, s.store.UserChanged(ctx, was, u, s.entry(by, journal.UserChanged, u.ID))
}

func (s *Service) entry(by journal.Actor, a journal.Action, id subject.UserID) journal.Entry {
	return journal.Entry{At: s.now(), Actor: by, Action: a, User: id, Due: subject.OfUser(id)}
}

// User finds a user by our id, an address or a UPN.
func (s *Service) User(ctx context.Context, key string) (subject.User, error) {
	if addr, err := subject.NormalizeMail(key); err == nil {
		key = addr
	}
	return s.store.User(ctx, key)
}

// Users lists at most limit users, ordered by address: those whose address
// follows after, which is "" for the first.
func (s *Service) Users(ctx context.Context, after string, limit int) ([]subject.User, error) {
	return s.store.Users(ctx, after, limit)
}

// Search lists as Users does those whose name, address or UPN has text in it, in
// whatever case.
func (s *Service) Search(ctx context.Context, text, after string, limit int) ([]subject.User, error) {
	return s.store.Search(ctx, text, after, limit)
}

// SetGroup makes the group of that name have exactly these members, and makes
// the devices of old and new members due.
func (s *Service) SetGroup(ctx context.Context, by journal.Actor, name string, members []subject.UserID) (subject.GroupID, error) {
	if !plain(name) || name == "" {
		return "", ErrUserName
	}
	e := journal.Entry{At: s.now(), Actor: by, Action: journal.GroupChanged,
		Detail: map[string]string{"group": name}, Due: subject.Scope{Users: members}}
	return s.store.GroupSaved(ctx, name, members, e)
}

// Groups lists at most limit groups, ordered by name: those whose name follows
// after, which is "" for the first.
func (s *Service) Groups(ctx context.Context, after string, limit int) ([]Group, error) {
	return s.store.Groups(ctx, after, limit)
}

// Group finds a group by its name or our id.
func (s *Service) Group(ctx context.Context, key string) (Group, error) {
	return s.store.Group(ctx, key)
}

// GroupNames gives the names of a user's groups, in order.
func (s *Service) GroupNames(ctx context.Context, u subject.User) ([]string, error) {
	if len(u.Groups) == 0 {
		return []string{}, nil
	}
	names, err := s.store.GroupNames(ctx, u.Groups)
	return slices.Sorted(maps.Values(names)), err
}

// tidy normalises a user and refuses what cannot be stored.
func tidy(u subject.User) (subject.User, error) {
	var err error
	if u.Mail, err = subject.NormalizeMail(u.Mail); err != nil {
		return u, fmt.Errorf("address of user: %w", err)
	}
	if u.UPN == "" {
		u.UPN = u.Mail
	}
	if u.UPN, err = subject.NormalizeMail(u.UPN); err != nil {
		return u, fmt.Errorf("UPN of user: %w", err)
	}
	aliases := []string{}
	for _, a := range u.Aliases {
		if a, err = subject.NormalizeMail(a); err != nil {
			return u, fmt.Errorf("alias of user: %w", err)
		}
		if a != u.Mail && !slices.Contains(aliases, a) {
			aliases = append(aliases, a)
		}
	}
	u.Aliases = aliases
	for _, n := range []string{u.Name, u.GivenName, u.Surname, u.Department, u.SAMAccountName} {
		if !plain(n) {
			return u, ErrUserName
		}
	}
	if u.OnPremises, err = tidyOnPremises(u.OnPremises); err != nil {
		return u, err
	}
	if u.Name == "" {
		u.Name = u.Mail
	}
	return u, nil
}

// sid is a security identifier as text.
//
// Spec: MS-DTYP section 2.4.2.1
var sid = regexp.MustCompile(`^S-1-[0-9]{1,15}(-[0-9]{1,10}){1,15}$`)

// maxDN is how long a distinguished name may be, in bytes.
const maxDN = 2000

func tidyOnPremises(p subject.OnPremises) (subject.OnPremises, error) {
	if p.SID = strings.ToUpper(p.SID); p.SID != "" && !sid.MatchString(p.SID) {
		return p, ErrUserProperty.Saying("The SID of the user is none.")
	}
	if _, err := cert.ParseDN(p.DistinguishedName); err != nil || len(p.DistinguishedName) > maxDN {
		return p, ErrUserProperty.Saying("The distinguished name of the user is none.")
	}
	if p.OnPremisesUPN == "" {
		return p, nil
	}
	upn, err := subject.NormalizeMail(p.OnPremisesUPN)
	if err != nil {
		return p, fmt.Errorf("on-premises UPN of user: %w", err)
	}
	p.OnPremisesUPN = upn
	return p, nil
}

// plain tells whether a name can be shown in one line, as it is.
func plain(name string) bool {
	return len(name) <= 200 && utf8.ValidString(name) && !strings.ContainsFunc(name, subject.Unshowable)
}
