package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Users is the directory.
type Users interface {
	// Add creates a user and gives him as stored.
	Add(ctx context.Context, by journal.Actor, u subject.User) (subject.User, error)
	// User finds a user by our id, an address or a UPN.
	User(ctx context.Context, key string) (subject.User, error)
	// Users lists at most limit, ordered by address, those whose address
	// follows after; never nil.
	Users(ctx context.Context, after string, limit int) ([]subject.User, error)
	// Search lists as Users does those whose name, address or UPN has text in it.
	Search(ctx context.Context, text, after string, limit int) ([]subject.User, error)
	// Update replaces the properties of a user who is still as was says.
	Update(ctx context.Context, by journal.Actor, was, u subject.User) (subject.User, error)
	// SetGroup makes the group have exactly these members.
	SetGroup(ctx context.Context, by journal.Actor, name string, members []subject.UserID) (subject.GroupID, error)
	// Groups lists at most limit, ordered by name, those whose name follows
	// after; never nil.
	Groups(ctx context.Context, after string, limit int) ([]directory.Group, error)
	// Group finds a group by its name or our id.
	Group(ctx context.Context, key string) (directory.Group, error)
	// GroupNames gives the names of a user's groups, in order; never nil.
	GroupNames(ctx context.Context, u subject.User) ([]string, error)
}

// NewUser is what is told of a new user.
type NewUser struct {
	Mail      string   `json:"mail" maxLength:"320" doc:"Primary address"`
	UPN       string   `json:"upn,omitempty" maxLength:"320" doc:"User principal name; the address when left out"`
	Aliases   []string `json:"aliases,omitempty" maxItems:"100" doc:"Other addresses that certificates may name"`
	Name      string   `json:"name,omitempty" maxLength:"200" doc:"Display name; the address when left out"`
	GivenName string   `json:"givenName,omitempty" maxLength:"200" doc:"For the certificate"`
	Surname   string   `json:"surname,omitempty" maxLength:"200" doc:"For the certificate"`
	OnPremises
}

// OnPremises is what an organisation's own directory says of a user; only
// certificate profiles and policies use it, as variables.
type OnPremises struct {
	Department        string `json:"department,omitempty" maxLength:"200" doc:"{{Department}}"`
	SAMAccountName    string `json:"samAccountName,omitempty" maxLength:"200" doc:"{{OnPremisesSamAccountName}}"`
	OnPremisesUPN     string `json:"onPremisesUpn,omitempty" maxLength:"320" doc:"{{OnPremisesUserPrincipalName}}"`
	DistinguishedName string `json:"distinguishedName,omitempty" maxLength:"2000" doc:"{{OnPrem_Distinguished_Name}}, RFC 4514"`
	SID               string `json:"sid,omitempty" maxLength:"200" doc:"{{OnPremisesSecurityIdentifier}}"`
}

// User is a person whose certificates we hold.
type User struct {
	ID        string   `json:"id" doc:"Our id, for ever"`
	Mail      string   `json:"mail" doc:"Primary address"`
	UPN       string   `json:"upn" doc:"User principal name"`
	Aliases   []string `json:"aliases" nullable:"false" doc:"Other addresses that certificates may name"`
	Name      string   `json:"name" doc:"Display name"`
	GivenName string   `json:"givenName,omitempty" doc:"First name"`
	Surname   string   `json:"surname,omitempty" doc:"Last name"`
	OnPremises
	Groups   []string  `json:"groups" nullable:"false" doc:"Ids of groups"`
	Disabled bool      `json:"disabled" doc:"Gets nothing new and cannot open the pages"`
	Created  time.Time `json:"created" doc:"When he was added"`
}

func newUser(u subject.User) User {
	groups := make([]string, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = string(g)
	}
	return User{ID: string(u.ID), Mail: u.Mail, UPN: u.UPN, Aliases: append([]string{}, u.Aliases...), Name: u.Name,
		GivenName: u.GivenName, Surname: u.Surname, OnPremises: OnPremises(u.OnPremises), Groups: groups, Disabled: u.Disabled, Created: u.CreatedAt}
}

// UserChange is what changes of a user; what is left out stays.
type UserChange struct {
	Mail      *string   `json:"mail,omitempty" maxLength:"320" doc:"Primary address"`
	UPN       *string   `json:"upn,omitempty" maxLength:"320" doc:"User principal name"`
	Aliases   *[]string `json:"aliases,omitempty" maxItems:"100" nullable:"false" doc:"All other addresses that certificates may name"`
	Name      *string   `json:"name,omitempty" maxLength:"200" doc:"Display name"`
	GivenName *string   `json:"givenName,omitempty" maxLength:"200" doc:"For the certificate"`
	Surname   *string   `json:"surname,omitempty" maxLength:"200" doc:"For the certificate"`

	Department        *string `json:"department,omitempty" maxLength:"200" doc:"{{Department}}"`
	SAMAccountName    *string `json:"samAccountName,omitempty" maxLength:"200" doc:"{{OnPremisesSamAccountName}}"`
	OnPremisesUPN     *string `json:"onPremisesUpn,omitempty" maxLength:"320" doc:"{{OnPremisesUserPrincipalName}}"`
	DistinguishedName *string `json:"distinguishedName,omitempty" maxLength:"2000" doc:"{{OnPrem_Distinguished_Name}}, RFC 4514"`
	SID               *string `json:"sid,omitempty" maxLength:"200" doc:"{{OnPremisesSecurityIdentifier}}"`

	Disabled *bool `json:"disabled,omitempty" doc:"Gets nothing new and cannot open the pages"`
}

// of gives the user as he is to be.
func (c UserChange) of(u subject.User) subject.User {
	for _, p := range []struct {
		to   *string
		from *string
	}{{&u.Mail, c.Mail}, {&u.UPN, c.UPN}, {&u.Name, c.Name}, {&u.GivenName, c.GivenName}, {&u.Surname, c.Surname},
		{&u.Department, c.Department}, {&u.SAMAccountName, c.SAMAccountName}, {&u.OnPremisesUPN, c.OnPremisesUPN},
		{&u.DistinguishedName, c.DistinguishedName}, {&u.SID, c.SID}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	if c.Aliases != nil {
		u.Aliases = *c.Aliases
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
	return u
}

// UserDetail is a user with what lists leave out.
type UserDetail struct {
	User
	GroupNames []string `json:"groupNames" nullable:"false" doc:"By which policies know his groups"`
}

// Group is a named set of users.
type Group struct {
	ID      string `json:"id" doc:"Our id, for ever"`
	Name    string `json:"name" doc:"By which policies know it"`
	Members int    `json:"members" doc:"How many"`
}

// body is an answer, or a request, that is nothing but its body.
type body[T any] struct{ Body T }

// userPath is the parameter of operations on one user.
type userPath struct {
	User string `path:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
}

func (a *API) users() {
	register(a, operation{id: "listUsers", tag: "users", method: http.MethodGet, path: "/users", summary: "List users",
		permission: access.UserRead, faults: []*fault.Error{ErrCursor}}, a.listUsers)
	register(a, operation{id: "addUser", once: true, tag: "users", method: http.MethodPost, path: "/users", summary: "Add a user",
		permission: access.UserWrite, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{directory.ErrUserExists, directory.ErrUserName, directory.ErrUserProperty, subject.ErrAddress}}, a.addUser)
	register(a, operation{id: "getUser", tag: "users", method: http.MethodGet, path: "/users/{user}", summary: "Show a user",
		permission: access.UserRead,
		faults:     []*fault.Error{directory.ErrUserUnknown}}, a.getUser)
	register(a, operation{id: "updateUser", tag: "users", method: http.MethodPatch, path: "/users/{user}", summary: "Change a user",
		permission: access.UserWrite, maxBody: small,
		faults: []*fault.Error{directory.ErrUserUnknown, directory.ErrUserExists, directory.ErrUserName, directory.ErrUserProperty, directory.ErrUserChanged, directory.ErrMailBound,
			subject.ErrAddress, httpd.ErrPrecondition}}, a.updateUser)
	register(a, operation{id: "listGroups", tag: "users", method: http.MethodGet, path: "/groups", summary: "List groups",
		permission: access.UserRead, faults: []*fault.Error{ErrCursor}}, a.listGroups)
	register(a, operation{id: "setGroup", tag: "users", method: http.MethodPut, path: "/groups/{group}",
		summary: "Give a group exactly these members", permission: access.UserWrite, maxBody: large,
		faults: []*fault.Error{directory.ErrUserUnknown, directory.ErrUserName}}, a.setGroup)
}

func (a *API) listUsers(ctx context.Context, _ journal.Actor, in *struct {
	Part
	Search string `query:"search" maxLength:"200" doc:"Only those whose name, address or UPN has this in it, in whatever case"`
}) (*body[list[User]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	var users []subject.User
	if in.Search == "" {
		users, err = a.Users.Users(ctx, after, in.Limit+1)
	} else {
		users, err = a.Users.Search(ctx, in.Search, after, in.Limit+1)
	}
	if err != nil {
		return nil, err
	}
	return partOf(users, in.Limit, newUser, func(u subject.User) string { return placeText(u.Mail) }), nil
}

func (a *API) addUser(ctx context.Context, by journal.Actor, in *body[NewUser]) (*body[User], error) {
	n := in.Body
	u, err := a.Users.Add(ctx, by, subject.User{Mail: n.Mail, UPN: n.UPN, Aliases: n.Aliases, Name: n.Name,
		GivenName: n.GivenName, Surname: n.Surname, OnPremises: subject.OnPremises(n.OnPremises)})
	return &body[User]{newUser(u)}, err
}

// shownUser is a user with the name of his state.
type shownUser struct {
	ETag string `header:"ETag" doc:"Of this state, for If-Match"`
	Body UserDetail
}

func (a *API) getUser(ctx context.Context, _ journal.Actor, in *userPath) (*shownUser, error) {
	u, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	return a.showUser(ctx, u)
}

// userID gives the id of a user whom a filter names by id, address or UPN; ""
// for a filter that names nobody.
func (a *API) userID(ctx context.Context, name string) (subject.UserID, error) {
	if name == "" {
		return "", nil
	}
	u, err := a.Users.User(ctx, name)
	return u.ID, err
}

func (a *API) showUser(ctx context.Context, u subject.User) (*shownUser, error) {
	groups, err := a.Users.GroupNames(ctx, u)
	shown := newUser(u)
	return &shownUser{etag(shown), UserDetail{shown, groups}}, err
}

func (a *API) updateUser(ctx context.Context, by journal.Actor, in *struct {
	User    string `path:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The ETag that the user had when you looked: refused when it is another now"`
	Body    UserChange
}) (*shownUser, error) {
	was, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if err := unchanged(in.IfMatch, etag(newUser(was))); err != nil {
		return nil, err
	}
	u, err := a.Users.Update(ctx, by, was, in.Body.of(was))
	if err != nil {
		return nil, err
	}
	return a.showUser(ctx, u)
}

func (a *API) listGroups(ctx context.Context, _ journal.Actor, in *Part) (*body[list[Group]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	groups, err := a.Users.Groups(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	show := func(g directory.Group) Group { return Group{string(g.ID), g.Name, g.Members} }
	return partOf(groups, in.Limit, show, func(g directory.Group) string { return placeText(g.Name) }), nil
}

type setGroupInput struct {
	Group string `path:"group" maxLength:"200" doc:"Its name"`
	Body  struct {
		Members []string `json:"members" maxItems:"10000" nullable:"false" doc:"Users, each by id, address or UPN"`
	}
}

func (a *API) setGroup(ctx context.Context, by journal.Actor, in *setGroupInput) (*body[Group], error) {
	members := make([]subject.UserID, 0, len(in.Body.Members))
	for _, key := range in.Body.Members {
		u, err := a.Users.User(ctx, key)
		if err != nil {
			return nil, err
		}
		members = append(members, u.ID)
	}
	id, err := a.Users.SetGroup(ctx, by, in.Group, members)
	return &body[Group]{Group{string(id), in.Group, len(members)}}, err
}
