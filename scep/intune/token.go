package intune

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
)

// token is what signs us in, until it ends.
type token struct {
	secret seal.Secret
	until  time.Time
}

// maxTokenLife is how long a token is believed to last, whatever is said.
const maxTokenLife = 24 * time.Hour

// token gives one for a resource: that of before while it lasts.
//
// Spec: RFC 6749 section 4.4
// Quirk: the resource of Intune ends in a slash, and its scope has two.
func (c *Client) token(ctx context.Context, resource string) (seal.Secret, error) {
	c.mu.Lock()
	t := c.tokens[resource]
	c.mu.Unlock()
	if c.Now().Before(t.until) {
		return t.secret, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID},
		"client_secret": {c.Secret.RevealString()}, "scope": {resource + "/.default"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Login+"/"+url.PathEscape(c.Tenant)+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()))
	if err != nil {
		return seal.Secret{}, ErrSignIn.With(errors.New("intune.login_url is none"))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	err = c.exchange(r, &got)
	switch {
	case errors.Is(err, ErrUnreachable):
		return seal.Secret{}, fmt.Errorf("signing in: %w", err)
	case err != nil:
		return seal.Secret{}, ErrSignIn.With(errors.Unwrap(err))
	case got.Token == "":
		return seal.Secret{}, ErrSignIn.With(errors.New("no token in the answer"))
	}
	life := time.Duration(min(max(got.Expires, 0), int64(maxTokenLife/time.Second))) * time.Second
	t = token{seal.SecretString(got.Token), c.Now().Add(life - time.Minute)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[resource] = t
	return t.secret, nil
}

// forget drops what may have become wrong.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
	c.services = nil
}

// Services of Intune, the versions of their interfaces, and where Graph lists
// their addresses.
const (
	scepService = "ScepRequestValidationFEService"
	scepVersion = "2018-02-20"
	pkiService  = "PkiConnectorFEService"
	pkiVersion  = "5019-05-05"
	discovery   = "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
)

// service gives the address of a service: that of before until a call failed.
func (c *Client) service(ctx context.Context, name string) (string, error) {
	c.mu.Lock()
	known := c.services
	c.mu.Unlock()
	if known == nil {
		var err error
		if known, err = c.discover(ctx); err != nil {
			return "", fmt.Errorf("looking for Intune's services: %w", err)
		}
	}
	if known[name] == "" {
		return "", ErrService.With(fmt.Errorf("%s is not listed", name))
	}
	return known[name], nil
}

func (c *Client) discover(ctx context.Context) (map[string]string, error) {
	t, err := c.token(ctx, c.Graph)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Graph+discovery, nil)
	if err != nil {
		return nil, ErrService.With(errors.New("intune.graph_url is none"))
	}
	r.Header.Set("Authorization", "Bearer "+t.RevealString())
	r.Header.Set("Accept", "application/json")
	var list struct {
		Value []struct {
			Provider string `json:"providerName"`
			Service  string `json:"serviceName"`
			URI      string `json:"uri"`
		} `json:"value"`
	}
	if err := c.exchange(r, &list); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, s := range list.Value {
		if u, err := url.Parse(s.URI); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			continue
		}
		for _, name := range []string{s.Service, s.Provider} {
			if name == scepService || name == pkiService {
				found[name] = strings.TrimRight(s.URI, "/")
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services = found
	return found, nil
}
