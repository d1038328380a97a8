package msgraph

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

const (
	maxTokenLife  = 24 * time.Hour  // whatever is said
	assertionLife = 5 * time.Minute // of what a certificate signs
)

// Check signs in anew.
func (c *Client) Check(ctx context.Context) error {
	c.forget()
	_, err := c.signedIn(ctx)
	return err
}

func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
}

// signedIn gives a token: that of before while it lasts.
//
// Spec: RFC 6749 section 4.4
func (c *Client) signedIn(ctx context.Context) (seal.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Now().Before(c.until) {
		return c.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "scope": {c.Scope}}
	if err := c.prove(form); err != nil {
		return seal.Secret{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return seal.Secret{}, tenant.ErrSignIn.With(errors.New("tenant.token_url is no address"))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
	}
	err = c.exchange(r, &got)
	switch s, answered := plain(err); {
	case answered && (s.code == http.StatusTooManyRequests || s.code >= http.StatusInternalServerError):
		return seal.Secret{}, tenant.ErrBusy.With(fmt.Errorf("signing in: %w", s))
	case answered:
		return seal.Secret{}, tenant.ErrSignIn.With(s)
	case err != nil:
		return seal.Secret{}, err
	case got.Token == "" || !strings.EqualFold(got.Type, "Bearer"):
		return seal.Secret{}, tenant.ErrSignIn.With(errors.New("no bearer token in the answer"))
	}
	life := time.Duration(min(max(got.Expires, 0), int64(maxTokenLife/time.Second))) * time.Second
	c.token, c.until = seal.SecretString(got.Token), c.Now().Add(life-time.Minute)
	return c.token, nil
}

// prove adds the secret, or what the certificate signs instead.
//
// Spec: RFC 7523 section 2.2; Microsoft identity platform, certificate credentials
func (c *Client) prove(form url.Values) error {
	if c.Certificate == nil {
		form.Set("client_secret", c.Secret.RevealString())
		return nil
	}
	now, sum := c.Now(), sha256.Sum256(c.Certificate.Certificate[0])
	input := encode(map[string]string{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}) + "." +
		encode(map[string]any{"aud": c.Token, "iss": c.ClientID, "sub": c.ClientID, "jti": uuid.NewString(),
			"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix()})
	key, ok := c.Certificate.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return tenant.ErrSignIn.With(errors.New("the key of tenant.cert is no RSA key"))
	}
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return fmt.Errorf("signing in with a certificate: %w", err)
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", input+"."+base64.RawURLEncoding.EncodeToString(sig))
	return nil
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("msgraph: a claim that cannot be encoded") // there is none
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
