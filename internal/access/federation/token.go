package federation

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
)

// maxToken bounds a token; those of Entra have two to four KiB.
const maxToken = 16 << 10

// algorithms are those that are believed: no "none", and none with a secret.
var algorithms = []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA}

// claims is what is read of a token; those of Entra come in two shapes.
//
// Spec: Microsoft identity platform, access token claims, versions 1.0 and 2.0
type claims struct {
	Program  string   `json:"azp"`   // version 2
	Program1 string   `json:"appid"` // version 1
	Tenant   string   `json:"tid"`
	Object   string   `json:"oid"`
	Subject  string   `json:"sub"`
	Roles    []string `json:"roles"`
	Scopes   *string  `json:"scp"` // with a space between two; only in tokens of people
}

// Token gives the caller that the issuer vouches for: access.ErrUnauthenticated
// for a token that is not good, access.ErrDenied for a good one without the
// right, [ErrAway].
//
// Spec: RFC 9068 section 4
func (v *Verifier) Token(ctx context.Context, presented, remote string) (access.Caller, error) {
	if len(presented) > maxToken {
		return access.Caller{}, refused("too long")
	}
	token, err := v.verify(ctx, presented)
	if err != nil {
		return access.Caller{}, err
	}
	var c claims
	if token.Claims(&c) != nil {
		return access.Caller{}, refused("a claim has another form")
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(v.Audiences, a) }) {
		return access.Caller{}, refused("for another audience")
	}
	who, err := v.caller(c)
	if err != nil {
		return access.Caller{}, err
	}
	return access.Caller{Actor: journal.Actor{Kind: journal.Federated, ID: who, Remote: remote}, Role: access.Importer}, nil
}

// refused says in the log, and only there, what is wrong with a token.
func refused(why string) error {
	return access.ErrUnauthenticated.With(errors.New("token of the issuer: " + why))
}

// verify checks signature, issuer and times.
func (v *Verifier) verify(ctx context.Context, presented string) (*oidc.IDToken, error) {
	a := &attempt{keys: v.keys}
	token, err := oidc.NewVerifier(v.Issuer, a, &oidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: algorithms, Now: v.Now}).
		Verify(ctx, presented)
	switch _, expired := errors.AsType[*oidc.TokenExpiredError](err); {
	case err == nil:
		return token, nil
	case a.err != nil:
		return nil, a.err
	case expired:
		return nil, refused("expired")
	case !a.signed:
		return nil, refused("no JWT under an algorithm that is believed")
	}
	return nil, refused("of another issuer, or not yet good")
}

// attempt is the key set for one token, and what became of that: the library
// gives its errors on as text.
type attempt struct {
	keys   *keys
	signed bool
	err    error
}

// VerifySignature implements [oidc.KeySet]. A signature that fits no key may be
// by one that is new.
func (a *attempt) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	now := a.keys.now()
	set, _, err := a.keys.get(ctx, now.Add(-freshFor))
	if err != nil {
		a.err = err
		return nil, err
	}
	payload, err := set.VerifySignature(ctx, jwt)
	if err != nil {
		if set, newer, again := a.keys.get(ctx, now); again == nil && newer {
			payload, err = set.VerifySignature(ctx, jwt)
		}
	}
	if err != nil {
		a.err = refused("the signature is by no key of the issuer")
		return nil, a.err
	}
	a.signed = true
	return payload, nil
}

// nameForm is what an identifier looks like that goes into the journal.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,99}$`)

// caller says who it is, if that one may import. A token with scopes is a
// person's: he needs the role himself, else anybody who can sign in to an
// allowed program could import.
func (v *Verifier) caller(c claims) (string, error) {
	program := c.Program
	if program == "" {
		program = c.Program1
	}
	switch {
	case c.Program1 != "" && c.Program1 != program:
		return "", refused("it names two programs")
	case v.Tenant != "" && !strings.EqualFold(c.Tenant, v.Tenant):
		return "", refused("of another tenant")
	case !slices.Contains(v.Programs, program) || !nameForm.MatchString(program):
		return "", refused("given to a program that is not allowed")
	case !slices.Contains(c.Roles, v.Role):
		return "", access.ErrDenied.With(errors.New("the token lacks the role"))
	}
	if c.Scopes == nil {
		// Quirk: an ID token of Entra has roles too; only a program's own token
		// has the program as its subject.
		if c.Object != "" && c.Object != c.Subject {
			return "", refused("neither a program's nor a person's access token")
		}
		return "program " + program, nil
	}
	if v.Scope == "" || !slices.Contains(strings.Fields(*c.Scopes), v.Scope) {
		return "", access.ErrDenied.With(errors.New("the token lacks the scope"))
	}
	person := c.Object
	if person == "" {
		person = c.Subject
	}
	if !nameForm.MatchString(person) {
		return "", refused("it names no person")
	}
	return "person " + person + " by " + program, nil
}

// Check fetches the issuer's keys now: ErrAway says why that cannot be done.
func (v *Verifier) Check(ctx context.Context) error {
	_, newer, err := v.keys.get(ctx, v.Now().Add(-time.Minute))
	if err == nil && !newer {
		err = ErrAway.With(v.keys.err)
	}
	return err
}
