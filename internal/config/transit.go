package config

import (
	"net"
	"net/url"
	"regexp"
)

// Transit is a server with OpenBao's or Vault's secrets engine Transit, which
// keeps what escrow keys are encrypted with. The keeper asks it, and nobody
// else.
type Transit struct {
	Address      string `toml:"address" doc:"Address of an OpenBao (2.4.2 or later) or Vault server whose Transit engine may keep escrow keys, such as https://bao.example.org:8200. Plain http only on this machine. Empty: there is none."`
	Mount        string `toml:"mount" default:"transit" doc:"Where the Transit engine is mounted."`
	Key          string `toml:"key" doc:"Name of the key there, of type aes256-gcm96 or another that takes associated data."`
	Namespace    string `toml:"namespace" doc:"Namespace of the mount, if it has one."`
	TokenFile    string `toml:"token_file" doc:"File with the token. It is read anew each time, so that an agent may write it. Empty: the systemd credential signet-transit-token, unless there is a role."`
	RoleID       string `toml:"role_id" doc:"Role to sign in with (AppRole) in place of a token."`
	SecretIDFile string `toml:"secret_id_file" doc:"File with the secret id of transit.role_id. Empty: the systemd credential signet-transit-secret-id."`
	CA           string `toml:"ca" doc:"PEM file of the CA certificates under which the server is trusted. Empty: those of the system."`
	CacheSeconds int    `toml:"cache_seconds" default:"60" doc:"For how many seconds the keeper keeps an escrow key that it was given before it asks again; 0: it asks for each private key that is opened. So long deliveries go on after access was taken away."`
}

// check judges the section; an empty one is good, unless escrow keys are to be
// there.
func (t Transit) check(wanted bool) (list []Problem) {
	if t.Address == "" && !wanted {
		return nil
	}
	if u, err := url.Parse(t.Address); err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && !(u.Scheme == "http" && onThisMachine(u.Hostname())) {
		list = append(list, Problem{"transit.address", "This is no address that a token may go to.", "Give one that starts with https://; http:// only for 127.0.0.1 and its like."})
	}
	if !transitMount.MatchString(t.Mount) {
		list = append(list, Problem{"transit.mount", "This is no path of a mount.", "The usual one is transit."})
	}
	if !transitKey.MatchString(t.Key) {
		list = append(list, Problem{"transit.key", "This is no name of a key.", "Give the name under which bao write -f transit/keys/NAME made it."})
	}
	if t.RoleID != "" && t.TokenFile != "" {
		list = append(list, Problem{"transit.role_id", "There is a token as well as a role.", "Set one of transit.token_file and transit.role_id."})
	}
	if t.RoleID == "" && t.SecretIDFile != "" {
		list = append(list, Problem{"transit.secret_id_file", "A secret id needs its role.", "Set transit.role_id."})
	}
	if t.CacheSeconds < 0 || t.CacheSeconds > 24*60*60 {
		list = append(list, Problem{"transit.cache_seconds", "This is out of range.", "It is a number from 0 to 86400."})
	}
	return list
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// What may stand in the path of a request.
var (
	transitMount = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
	transitKey   = regexp.MustCompile(`^[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?$`)
)
