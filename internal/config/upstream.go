package config

import "net/url"

// Upstream is the organisation's own CA, in front of which Signet stands.
type Upstream struct {
	URL          string `toml:"url" doc:"Address of the SCEP service of your own certification authority (NDES, EJBCA, step-ca, scepserver), such as https://ca.example.org/scep. The shipped profile smime-signing is then issued by it; Signet checks each request and hands it on. Empty: our own CA issues."`
	CA           string `toml:"ca" doc:"PEM file of the certificate of the CA that issues there, followed by those above it up to the root. Nothing else is believed."`
	TLSCA        string `toml:"tls_ca" doc:"PEM file of the CA certificates under which the web server of upstream.url is trusted. Empty: those of the system."`
	Legacy       bool   `toml:"legacy" doc:"Whether triple DES may be used towards upstream.url, and DES and SHA-1 be accepted from it. NDES without AES and scepserver need it."`
	Challenge    string `toml:"challenge" default:"none" doc:"Where the challenges of the other server come from: none (it wants none, and only Signet may reach it), command (a program prints one) or ndes (the page of its administrator shows one). Each must be good for one certificate."`
	Command      string `toml:"command" doc:"Program that prints a challenge: it reads a JSON object with profile, user, device, commonName and mail, and tells the other server, as EJBCA wants it."`
	Page         string `toml:"page" doc:"Address of the page of NDES's administrator, such as https://ndes.example.org/certsrv/mscep_admin/. It must take Basic authentication."`
	Username     string `toml:"username" doc:"Who may see upstream.page, such as EXAMPLE\\svc-signet."`
	PasswordFile string `toml:"password_file" doc:"File with the password of upstream.username."`
}

// check judges the section; an empty one is good.
func (u Upstream) check() (list []Problem) {
	if u.URL == "" {
		return nil
	}
	if !webAddress(u.URL) {
		list = append(list, Problem{"upstream.url", "This is not an address of a SCEP service.", "Give it without a query, such as https://ca.example.org/scep."})
	}
	if u.CA == "" {
		list = append(list, Problem{"upstream.ca", "It is not said which CA is believed.", "Name a PEM file with its certificate and those above it."})
	}
	switch u.Challenge {
	case "none":
	case "command":
		if u.Command == "" {
			list = append(list, Problem{"upstream.command", "There is no program that prints challenges.", "Name one, or set upstream.challenge to none."})
		}
	case "ndes":
		if p, err := url.Parse(u.Page); !webAddress(u.Page) || err != nil || p.Scheme != "https" {
			list = append(list, Problem{"upstream.page", "This is no page of NDES's administrator.", "Give an address that starts with https://: the password goes there."})
		}
		if u.Username == "" || u.PasswordFile == "" {
			list = append(list, Problem{"upstream.username", "It is not said who may see the page.", "Set both upstream.username and upstream.password_file."})
		}
	default:
		list = append(list, Problem{"upstream.challenge", "This source of challenges is not known.", "It is one of none, command, ndes."})
	}
	return list
}

func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}
