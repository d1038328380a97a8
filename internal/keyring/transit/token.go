package transit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
)

// auth is what the server says of a token that it gives or renews.
type auth struct {
	Token string `json:"client_token"`
}

// token gives what signs us in: that of the file, or of the role.
//
// Spec: OpenBao HTTP API, AppRole auth method
func (c *Client) token(ctx context.Context) (seal.Secret, error) {
	if c.RoleID == "" {
		t, err := c.Token()
		if err != nil {
			return t, ErrCredential.With(err)
		}
		return t, nil
	}
	c.mu.Lock()
	t := c.login
	c.mu.Unlock()
	if !t.Empty() {
		return t, nil
	}
	secret, err := c.SecretID()
	if err != nil {
		return secret, ErrCredential.With(err)
	}
	defer secret.Wipe()
	in := map[string]string{"role_id": c.RoleID, "secret_id": secret.RevealString()}
	var out answer
	err = c.exchange(ctx, http.MethodPost, "auth/approle/login", seal.Secret{}, in, &out)
	if f, ok := errors.AsType[statusError](err); ok && f.status == http.StatusBadRequest { // the role or its secret id is none
		return seal.Secret{}, ErrToken.With(f)
	}
	if err == nil && (out.Auth == nil || out.Auth.Token == "") {
		err = ErrAnswer.With(errors.New("no token"))
	}
	if err != nil {
		return seal.Secret{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = seal.SecretString(out.Auth.Token)
	return c.login, nil
}

// forget drops the token of the role.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = seal.Secret{}
}

// Token is what the server says about the token in use.
type Token struct {
	Left      int64 `json:"ttl"`          // seconds; 0: it does not end
	Whole     int64 `json:"creation_ttl"` // seconds that it had
	Renewable bool  `json:"renewable"`
}

// Life is how long the token lasts from now on.
func (t Token) Life() time.Duration { return time.Duration(t.Left) * time.Second }

// Signed looks at the token in use.
func (c *Client) Signed(ctx context.Context) (t Token, err error) {
	err = c.call(ctx, http.MethodGet, "auth/token/lookup-self", nil, &t)
	return t, err
}

// Renew renews the token when half of its life is over. One that cannot be
// renewed is left alone.
func (c *Client) Renew(ctx context.Context) error {
	t, err := c.Signed(ctx)
	if err != nil || t.Left == 0 || !t.Renewable || 2*t.Left > t.Whole {
		return err
	}
	return c.call(ctx, http.MethodPost, "auth/token/renew-self", struct{}{}, nil)
}
