package federation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// How old the keys may be. Those that the issuer has withdrawn are good until
// they are fetched anew.
const (
	freshFor = time.Hour
	staleFor = 24 * time.Hour   // while the issuer is away
	pause    = 30 * time.Second // between two questions, whatever strangers send
	maxKeys  = 64
)

// keys are the issuer's public keys, fetched when they are needed and again when
// they are old or a signature fits none of them.
type keys struct {
	issuer string
	http   *http.Client
	now    func() time.Time

	turn  chan struct{} // held by who asks
	tried time.Time     // when somebody asked last; err is of then
	err   error

	mu  sync.Mutex
	set *oidc.StaticKeySet
	at  time.Time // of set
}

func newKeys(c Config) *keys {
	return &keys{issuer: c.Issuer, http: newHTTP(c), now: c.Now, turn: make(chan struct{}, 1)}
}

// get gives keys that were fetched since, if they can be had, and tells whether
// they were. Others are given as long as they may be used: else ErrAway. Who has
// any does not wait for another's question.
func (k *keys) get(ctx context.Context, since time.Time) (*oidc.StaticKeySet, bool, error) {
	set, at := k.held()
	if set != nil && !at.Before(since) {
		return set, true, nil
	}
	spare := set != nil && k.now().Sub(at) <= staleFor
	switch {
	case k.take(ctx, spare):
		defer func() { <-k.turn }()
	case spare:
		return set, false, nil
	default:
		return nil, false, ErrAway.With(ctx.Err())
	}
	if now := k.now(); now.Sub(k.tried) >= pause {
		k.tried = now
		if set, k.err = k.fetch(ctx); k.err == nil {
			k.hold(set, now)
		}
	}
	set, at = k.held()
	if set == nil || k.now().Sub(at) > staleFor {
		return nil, false, ErrAway.With(k.err)
	}
	return set, !at.Before(since), nil
}

// take takes the turn to ask; false when another has it and there is no need to
// wait, or ctx ends.
func (k *keys) take(ctx context.Context, spare bool) bool {
	select {
	case k.turn <- struct{}{}:
		return true
	default:
	}
	if spare {
		return false
	}
	select {
	case k.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *keys) held() (*oidc.StaticKeySet, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.at
}

func (k *keys) hold(set *oidc.StaticKeySet, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set, k.at = set, at
}

// fetch asks the issuer. Who waits for the answer may leave; it counts all the
// same.
//
// Spec: OpenID Connect Discovery 1.0 section 4
func (k *keys) fetch(ctx context.Context) (*oidc.StaticKeySet, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), k.http), 2*askTime)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, k.issuer)
	if err != nil {
		return nil, quiet("asking the issuer about itself", err)
	}
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&about); err != nil {
		return nil, err
	}
	if u, err := url.Parse(about.Keys); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the address of the issuer's keys is none of the form https://")
	}
	return k.fetchSet(ctx, about.Keys)
}

// quiet leaves out what others' answers may have put into an error of the
// library; what happened to the connection stays.
func quiet(doing string, err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w", doing, at.Err)
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("%s: %w", doing, tooLong)
	}
	return fmt.Errorf("%s: not what an OpenID provider of exactly that name answers", doing)
}

// Spec: RFC 7517 section 5
func (k *keys) fetchSet(ctx context.Context, at string) (*oidc.StaticKeySet, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, errors.New("the address of the issuer's keys cannot be asked")
	}
	res, err := k.http.Do(r)
	if err != nil {
		return nil, quiet("fetching the issuer's keys", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching the issuer's keys: %w", err)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetching the issuer's keys: HTTP status %d", res.StatusCode)
	}
	return parseSet(body)
}

// parseSet takes the keys that signatures are checked with; keys of other kinds
// may stand among them.
func parseSet(body []byte) (*oidc.StaticKeySet, error) {
	var list struct{ Keys []json.RawMessage }
	if json.Unmarshal(body, &list) != nil || len(list.Keys) > maxKeys {
		return nil, errors.New("the issuer's keys are no set of keys")
	}
	set := new(oidc.StaticKeySet)
	for _, raw := range list.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.Valid() && (key.Use == "" || key.Use == "sig") && fit(key.Key) {
			set.PublicKeys = append(set.PublicKeys, key.Key)
		}
	}
	if len(set.PublicKeys) == 0 {
		return nil, errors.New("the issuer has no key that signatures are checked with")
	}
	return set, nil
}

// fit tells whether a key is of a kind that is believed. Secrets and private
// keys are not.
func fit(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
