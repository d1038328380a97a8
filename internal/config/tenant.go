package config

import (
	"net/url"
	"regexp"
)

// Tenant is the Microsoft Intune tenant that users' certificates are handed to.
type Tenant struct {
	ID         string `toml:"id" doc:"Id (a GUID) of the Microsoft Entra tenant to whose Intune the encryption certificates of users are handed, with their keys, sealed to a key that several people agreed to (docs/intune-tenant.md). Keeper, worker and admin need it. Empty: nothing is handed to anybody."`
	Groups     string `toml:"groups" doc:"Whose: the members of these groups, by name, with commas between."`
	Everybody  bool   `toml:"everybody" doc:"Whether it is those of all users, whatever tenant.groups says."`
	Remove     bool   `toml:"remove" doc:"Whether what is removed here, or is of users who are not meant any more, is taken away in the tenant too. Otherwise it stays there."`
	ClientID   string `toml:"client_id" doc:"Application (client) id of the app registration, which needs DeviceManagementConfiguration.ReadWrite.All and User.Read.All of Microsoft Graph. Only the worker needs what follows."`
	SecretFile string `toml:"secret_file" doc:"File with the client secret of the app registration."`
	Cert       string `toml:"cert" doc:"PEM file of the certificate of the app registration, instead of a secret."`
	Key        string `toml:"key" doc:"PEM file of the RSA key of tenant.cert."`
	TokenURL   string `toml:"token_url" doc:"Where Signet signs in. Empty: https://login.microsoftonline.com/ID/oauth2/v2.0/token; sovereign clouds have another."`
	GraphURL   string `toml:"graph_url" default:"https://graph.microsoft.com/beta" doc:"Where Graph is, with the version; sovereign clouds have another, such as https://graph.microsoft.us/beta."`
	TLSCA      string `toml:"tls_ca" doc:"PEM file of the CA certificates under which these are trusted, where something between intercepts TLS. Empty: those of the system."`
}

var tenantForm = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// SignIn is where tokens for the tenant are had.
func (t Tenant) SignIn() string {
	if t.TokenURL != "" {
		return t.TokenURL
	}
	return "https://login.microsoftonline.com/" + t.ID + "/oauth2/v2.0/token"
}

// Scope is what tokens for the tenant are good for.
func (t Tenant) Scope() string {
	u, err := url.Parse(t.GraphURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/.default"
}

// checkTenant judges the section; an empty one is good.
func (c Config) checkTenant() (list []Problem) {
	t := c.Tenant
	if t.ID == "" {
		if t.ClientID != "" || t.SecretFile != "" || t.Cert != "" || t.Everybody || t.Groups != "" {
			list = append(list, Problem{"tenant.id", "Without it nothing is handed to an Intune tenant.", "Set the id of the tenant, or leave the whole section out."})
		}
		return list
	}
	if !tenantForm.MatchString(t.ID) {
		list = append(list, Problem{"tenant.id", "This is no id of a tenant.", "Give the GUID that the Entra portal shows as Tenant ID."})
	}
	if !t.Everybody && len(List(t.Groups)) == 0 && c.Plays(WorkerRole) {
		list = append(list, Problem{"tenant.groups", "Nobody's certificates are meant.", "Name groups, or set tenant.everybody."})
	}
	if (t.Cert == "") != (t.Key == "") {
		list = append(list, Problem{"tenant.cert", "A certificate needs its key, and a key its certificate.", "Set both tenant.cert and tenant.key, or neither."})
	}
	if c.Plays(WorkerRole) && (t.ClientID == "" || (t.SecretFile == "") == (t.Cert == "")) {
		list = append(list, Problem{"tenant.client_id", "The worker cannot sign in to the tenant.", "Set tenant.client_id, and either tenant.secret_file or tenant.cert and tenant.key."})
	}
	for _, f := range [][2]string{{"tenant.token_url", t.SignIn()}, {"tenant.graph_url", t.GraphURL}} {
		if u, err := url.Parse(f[1]); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			list = append(list, Problem{f[0], "This is no address that a secret may go to.", "Give one that starts with https://, or leave it out."})
		}
	}
	return list
}
