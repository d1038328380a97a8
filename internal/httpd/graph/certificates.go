package graph

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// inBatch is how many users are looked at at a time.
const inBatch = 500

// users answers whose user principal name it is.
func (a api) users(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	f, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if f.user == "" || f.thumbprint != "" {
		return ErrFilter
	}
	type person struct {
		ID   string `json:"id"`
		UPN  string `json:"userPrincipalName"`
		Name string `json:"displayName"`
		Mail string `json:"mail"`
	}
	found := []person{}
	u, known, err := a.user(r.Context(), f.user)
	if err != nil {
		return err
	}
	if known {
		found = append(found, person{string(u.ID), u.UPN, u.Name, u.Mail})
	}
	return answer(w, http.StatusOK, map[string]any{"value": found})
}

// user looks somebody up.
func (a api) user(ctx context.Context, key string) (u subject.User, known bool, err error) {
	u, err = a.Users.User(ctx, userKey(key))
	if f := fault.Of(err); f != nil && f.Kind == fault.NotFound {
		return u, false, nil
	}
	return u, err == nil, err
}

// list answers with all that is wanted, in one piece.
//
// Quirk: Intune's module does not read @odata.nextLink.
func (a api) list(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	f, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if f.user == "" {
		return a.everybody(w, r)
	}
	found := []answered{}
	u, known, err := a.user(r.Context(), f.user)
	if err != nil {
		return err
	}
	if known {
		if found, err = a.of(r.Context(), u, f.thumbprint); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, map[string]any{"value": found})
}

// of gives what a user has; with a thumbprint, only that.
func (a api) of(ctx context.Context, u subject.User, thumbprint string) ([]answered, error) {
	held, err := a.Keys.Held(ctx, []subject.UserID{u.ID})
	if err != nil {
		return nil, err
	}
	list := []answered{}
	for _, r := range held[u.ID] {
		if thumbprint == "" || thumbprintOf(r) == thumbprint {
			list = append(list, newAnswered(u, r))
		}
	}
	return list, nil
}

// everybody writes as it reads: the answer may be longer than what should be in
// memory at once.
func (a api) everybody(w http.ResponseWriter, r *http.Request) error {
	before, after := `{"value":[`, ""
	for begun := false; ; begun = true {
		users, err := a.Users.Users(r.Context(), after, inBatch)
		var found []answered
		if err == nil {
			found, err = a.ofAll(r.Context(), users)
		}
		switch {
		case err != nil && begun:
			panic(httpd.Cut{Err: err})
		case err != nil:
			return err
		case !begun:
			w.Header().Set("Content-Type", jsonType)
		}
		for _, o := range found {
			b, err := json.Marshal(o)
			if err != nil {
				panic(httpd.Cut{Err: err})
			}
			io.WriteString(w, before)
			w.Write(b)
			before = ","
		}
		if len(users) < inBatch {
			io.WriteString(w, strings.TrimPrefix(before, ",")+`]}`)
			return nil
		}
		after = users[len(users)-1].Mail
	}
}

// ofAll gives what some users have.
func (a api) ofAll(ctx context.Context, users []subject.User) (list []answered, err error) {
	ids := make([]subject.UserID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	held, err := a.Keys.Held(ctx, ids)
	for _, u := range users {
		for _, r := range held[u.ID] {
			list = append(list, newAnswered(u, r))
		}
	}
	return list, err
}

// one gives the certificate that the address names, and its owner.
func (a api) one(r *http.Request) (subject.User, cert.Record, error) {
	key, err := parseKey(mux.Vars(r)["id"])
	if err != nil {
		return subject.User{}, cert.Record{}, err
	}
	u, err := a.Users.User(r.Context(), key.user)
	if err != nil {
		return u, cert.Record{}, err
	}
	c, err := a.held(r.Context(), u, key.thumbprint)
	return u, c, err
}

// held gives a certificate of a user; ErrKeyUnknown.
func (a api) held(ctx context.Context, u subject.User, thumbprint string) (cert.Record, error) {
	held, err := a.Keys.Held(ctx, []subject.UserID{u.ID})
	if err != nil {
		return cert.Record{}, err
	}
	for _, r := range held[u.ID] {
		if thumbprintOf(r) == thumbprint {
			return r, nil
		}
	}
	return cert.Record{}, pfxconnector.ErrKeyUnknown
}

// get answers with one certificate: as itself, for who reads what OData says,
// and within value, for who reads what the documentation shows.
func (a api) get(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	u, c, err := a.one(r)
	if err != nil {
		return err
	}
	o := newAnswered(u, c)
	return answer(w, http.StatusOK, struct {
		answered
		Value answered `json:"value"`
	}{o, o})
}

// remove destroys a key.
func (a api) remove(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	u, c, err := a.one(r)
	if err != nil {
		return err
	}
	if err := a.Keys.Remove(r.Context(), by.Actor, u, c.Fingerprint); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
