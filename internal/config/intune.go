package config

import "net/url"

// Intune is the tenant whose challenges certificate profiles with validator:
// intune take.
type Intune struct {
	Tenant     string `toml:"tenant" doc:"Id of the Microsoft Entra tenant, or a domain of it. Certificate profiles with validator: intune then take the challenges that Microsoft Intune puts into its SCEP profiles; each request is validated there. Empty: they take none."`
	ClientID   string `toml:"client_id" doc:"Application (client) id of the app registration, which needs Intune's application permission scep_challenge_provider."`
	SecretFile string `toml:"secret_file" doc:"File with the client secret of the app registration."`
	LoginURL   string `toml:"login_url" default:"https://login.microsoftonline.com" doc:"Where Signet signs in; sovereign clouds have another, such as https://login.microsoftonline.us."`
	GraphURL   string `toml:"graph_url" default:"https://graph.microsoft.com" doc:"Where Graph lists Intune's services; sovereign clouds have another, such as https://graph.microsoft.us."`
	Resource   string `toml:"resource" default:"https://api.manage.microsoft.com/" doc:"What Intune is called when Signet signs in; sovereign clouds have another, such as https://api.manage.microsoft.us/."`
	TLSCA      string `toml:"tls_ca" doc:"PEM file of the CA certificates under which these are trusted, where something between intercepts TLS. Empty: those of the system."`
}

// check judges the section; an empty one is good.
func (i Intune) check() (list []Problem) {
	if i.Tenant == "" && i.ClientID == "" && i.SecretFile == "" {
		return nil
	}
	for _, f := range [][2]string{{"intune.tenant", i.Tenant}, {"intune.client_id", i.ClientID}, {"intune.secret_file", i.SecretFile}} {
		if f[1] == "" {
			list = append(list, Problem{f[0], "Without it Intune cannot be asked.", "Set intune.tenant, intune.client_id and intune.secret_file, or none of them."})
		}
	}
	for _, f := range [][2]string{{"intune.login_url", i.LoginURL}, {"intune.graph_url", i.GraphURL}, {"intune.resource", i.Resource}} {
		if u, err := url.Parse(f[1]); err != nil || !webAddress(f[1]) || u.Scheme != "https" {
			list = append(list, Problem{f[0], "This is no address that a secret may go to.", "Give one that starts with https://, or leave it out."})
		}
	}
	return list
}
