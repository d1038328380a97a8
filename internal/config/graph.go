package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// Graph is whose tokens open the API for tools made for Intune, besides our own.
type Graph struct {
	Issuer   string `toml:"issuer" doc:"Issuer of tokens, exactly as they name it, whose programs and people may import certificates over /graph: for Microsoft Entra https://sts.windows.net/TENANT/ (tokens of version 1) or https://login.microsoftonline.com/TENANT/v2.0 (version 2). Empty: only tokens of Signet's own count."`
	Audience string `toml:"audience" doc:"What tokens of graph.issuer name as their audience: the application id URI of Signet's app registration (version 1) or its client id (version 2). Several with commas between."`
	Tenant   string `toml:"tenant" doc:"Tenant id (tid) that tokens of graph.issuer must have. Empty: it is not looked at, which is right only for other issuers than Entra."`
	Programs string `toml:"programs" doc:"Client ids of the programs whose tokens of graph.issuer count, with commas between."`
	Role     string `toml:"role" default:"Certificates.Import" doc:"The app role that a token of graph.issuer must have, of a program or of a person."`
	Scope    string `toml:"scope" default:"Certificates.Import" doc:"The scope that the token of a person needs besides the role."`
	Networks string `toml:"networks" doc:"Networks, such as 10.1.0.0/16, in which graph.issuer may be; with commas between. Empty: it is on the Internet, and no other address is asked. Where HTTPS_PROXY is set, it is about the proxy."`
	TLSCA    string `toml:"tls_ca" doc:"PEM file of the CA certificates under which graph.issuer is trusted. Empty: those of the system."`
}

// List reads a setting that holds several values.
func List(text string) (list []string) {
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// check judges the section; an empty one is good.
func (g Graph) check() (list []Problem) {
	for _, s := range List(g.Networks) {
		if _, err := netip.ParsePrefix(s); err != nil {
			list = append(list, Problem{"graph.networks", "This is no list of networks.", "Give such as 10.1.0.0/16, with commas between."})
		}
	}
	if g.Issuer == "" && g.Audience == "" && g.Tenant == "" && g.Programs == "" {
		return list
	}
	for _, f := range [][2]string{{"graph.issuer", g.Issuer}, {"graph.audience", g.Audience}, {"graph.programs", g.Programs}, {"graph.role", g.Role}} {
		if len(List(f[1])) == 0 {
			list = append(list, Problem{f[0], "Without it no token of an issuer is believed.", "Set graph.issuer, graph.audience, graph.programs and graph.role, or no issuer at all."})
		}
	}
	u, err := url.Parse(g.Issuer)
	if g.Issuer != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		list = append(list, Problem{"graph.issuer", "This is no issuer.", "Give its name as it stands in tokens (iss), which starts with https://."})
	}
	if err == nil && g.Tenant == "" && (u.Host == "sts.windows.net" || u.Host == "login.microsoftonline.com") {
		list = append(list, Problem{"graph.tenant", "Entra issues for all tenants.", "Set the id of yours."})
	}
	return list
}
