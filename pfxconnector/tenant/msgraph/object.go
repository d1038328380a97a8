package msgraph

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// object is a userPFXCertificate as Intune's module sends it.
//
// Spec: Intune S/MIME, userPFXCertificate
type object struct {
	Thumbprint string    `json:"thumbprint"`
	Purpose    string    `json:"intendedPurpose"`
	User       string    `json:"userPrincipalName"`
	Start      time.Time `json:"startDateTime"`
	Expiration time.Time `json:"expirationDateTime"`
	Provider   string    `json:"providerName"`
	Key        string    `json:"keyName"`
	Padding    string    `json:"paddingScheme"`
	Blob       []byte    `json:"encryptedPfxBlob"`
	Password   []byte    `json:"encryptedPfxPassword"`
	Created    time.Time `json:"createdDateTime"`
	Modified   time.Time `json:"lastModifiedDateTime"`
}

// Quirk: the module sends the names of values with a capital letter in front.
var paddings = map[transport.Padding]string{transport.OAEPSHA256: "OaepSha256", transport.OAEPSHA384: "OaepSha384", transport.OAEPSHA512: "OaepSha512"}

// purpose names what a certificate is for. There is no name for both; it is the
// profile for encryption that brings histories.
func purpose(u cert.Use) string {
	if u == cert.Signing {
		return "SmimeSigning"
	}
	return "SmimeEncryption"
}

const certificates = "/deviceManagement/userPfxCertificates"

// idOf names an object.
//
// Quirk: the hyphens of the account's id are left out.
func idOf(account, thumbprint string) string {
	return strings.ReplaceAll(account, "-", "") + "-" + strings.ToLower(thumbprint)
}

var accountForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Account implements [tenant.Graph].
func (c *Client) Account(ctx context.Context, upn string) (tenant.Account, error) {
	var found struct {
		Value []struct {
			ID      string   `json:"id"`
			UPN     string   `json:"userPrincipalName"`
			Mail    string   `json:"mail"`
			Proxies []string `json:"proxyAddresses"`
		} `json:"value"`
	}
	filter := "userPrincipalName eq '" + strings.ReplaceAll(upn, "'", "''") + "'"
	err := c.call(ctx, http.MethodGet, "/users?$filter="+strings.ReplaceAll(url.QueryEscape(filter), "+", "%20")+
		"&$select=id,userPrincipalName,mail,proxyAddresses", nil, &found)
	switch _, refused := plain(err); {
	case refused:
		return tenant.Account{}, tenant.ErrAccount.With(err)
	case err != nil:
		return tenant.Account{}, err
	case len(found.Value) == 0:
		return tenant.Account{}, tenant.ErrAccount
	}
	u := found.Value[0]
	if len(found.Value) > 1 || !strings.EqualFold(u.UPN, upn) || !accountForm.MatchString(u.ID) {
		return tenant.Account{}, tenant.ErrAnswer.With(errors.New("another account than the one that was asked for"))
	}
	a := tenant.Account{ID: u.ID, Addresses: []string{u.UPN, u.Mail}}
	for _, p := range u.Proxies {
		if kind, mail, _ := strings.Cut(p, ":"); strings.EqualFold(kind, "smtp") {
			a.Addresses = append(a.Addresses, mail)
		}
	}
	return a, nil
}

// Put implements [tenant.Graph]. Graph refuses what is there already as it does
// what is wrong, without saying which; so it is looked for then, and replaced.
func (c *Client) Put(ctx context.Context, o tenant.Object) error {
	body := object{Thumbprint: strings.ToLower(o.Thumbprint), Purpose: purpose(o.Use), User: o.UPN, Start: o.NotBefore.UTC(), Expiration: o.NotAfter.UTC(),
		Provider: o.Recipient.Provider, Key: o.Recipient.Name, Padding: paddings[o.Recipient.Padding], Blob: o.Package.Blob, Password: o.Package.Password,
		Created: o.Created.UTC(), Modified: o.Created.UTC()}
	err := c.call(ctx, http.MethodPost, certificates, body, nil)
	if !is(err, http.StatusBadRequest) && !is(err, http.StatusConflict) {
		return refused(err)
	}
	id := idOf(o.Account, o.Thumbprint)
	there, looked := c.there(ctx, id, body.Thumbprint)
	switch {
	case looked != nil:
		return looked
	case !there:
		return refused(err)
	}
	return refused(c.call(ctx, http.MethodPatch, certificates+"("+id+")", body, nil))
}

// there tells whether the tenant has the object of that id.
//
// Quirk: Graph puts one object into value, against the rules of OData.
func (c *Client) there(ctx context.Context, id, thumbprint string) (bool, error) {
	var found struct {
		object
		Value *object `json:"value"`
	}
	err := c.call(ctx, http.MethodGet, certificates+"/"+id, nil, &found)
	switch _, answered := plain(err); {
	case answered:
		return false, nil
	case err != nil:
		return false, err
	}
	o := found.object
	if found.Value != nil {
		o = *found.Value
	}
	if !strings.EqualFold(o.Thumbprint, thumbprint) {
		return false, tenant.ErrAnswer.With(errors.New("another certificate than the one that was asked for"))
	}
	return true, nil
}

// refused is what is left of a failure that says nothing.
func refused(err error) error {
	if s, ok := plain(err); ok {
		return tenant.ErrRefused.With(s)
	}
	return err
}

// Remove implements [tenant.Graph].
func (c *Client) Remove(ctx context.Context, account, thumbprint string) error {
	err := c.call(ctx, http.MethodDelete, certificates+"/"+idOf(account, thumbprint), nil, nil)
	if is(err, http.StatusNotFound) {
		return nil
	}
	return refused(err)
}
