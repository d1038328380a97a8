package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Problem is a setting that cannot be used, with the way out.
type Problem struct {
	Key  string
	Msg  string
	Hint string
}

func (p Problem) Error() string { return p.Key + ": " + p.Msg + " " + p.Hint }

// Check judges the settings as a whole, in the order of their keys; nothing
// found is nil.
func (c Config) Check() []Problem {
	list := slices.Concat(c.checkNames(), c.checkFiles(), c.checkChoices(), c.checkLab(), c.checkApproval(), c.checkNumbers(), c.checkMail(), c.checkPKCS11(), c.checkKeeper(), c.CA.check(), c.Upstream.check(), c.Intune.check(), c.Graph.check(), c.checkTenant(), c.Transit.check(c.Keys.EscrowIn == "transit"))
	slices.SortFunc(list, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func (c Config) checkNames() (list []Problem) {
	if msg := urlProblem(c.URL); msg != "" {
		list = append(list, Problem{"url", msg, "Give the address that devices use, such as https://mdm.example.org."})
	}
	if u, err := url.Parse(c.Help.URL); c.Help.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		list = append(list, Problem{"help.url", "This is not a web page.", "Give an address that starts with https://, or none."})
	}
	if u, err := url.Parse(c.CA.URL); c.CA.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil) {
		list = append(list, Problem{"ca.url", "This is not the address of a server.", "Give http:// and a host, with a port or without, or nothing."})
	}
	if c.Help.Mail != "" && !strings.Contains(c.Help.Mail, "@") {
		list = append(list, Problem{"help.mail", "This is not a mail address.", "Give one such as help@example.com, or none."})
	}
	if c.Data == "" {
		list = append(list, Problem{"data", "There is no data directory.", "Name one; it is made when needed."})
	}
	for key, addr := range map[string]string{"listen": c.Listen, "http_listen": c.HTTPListen, "ops_listen": c.OpsListen} {
		if addr == "" && key != "listen" {
			continue
		}
		if !listenable(addr) {
			list = append(list, Problem{key, fmt.Sprintf("%q is no address to listen on.", addr), "Give host:port, or :port for all addresses."})
		}
	}
	if host, port, err := net.SplitHostPort(c.Push.Gateway); err != nil || host == "" || port == "" {
		list = append(list, Problem{"push.gateway", fmt.Sprintf("%q is no address to connect to.", c.Push.Gateway), "Give host:port; Apple's is api.push.apple.com:443."})
	}
	return list
}

// listenable tells whether addr is host:port with a port that exists; host may
// be empty.
func listenable(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

func (c Config) checkFiles() (list []Problem) {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		list = append(list, Problem{"tls.cert", "A certificate needs its key, and a key its certificate.", "Set both tls.cert and tls.key, or neither."})
	}
	for key, file := range map[string]string{"tls.cert": c.TLS.Cert, "tls.key": c.TLS.Key, "keys.unlock_file": c.Keys.UnlockFile, "keys.passphrase_file": c.Keys.PassphraseFile, "pkcs11.module": c.PKCS11.Module, "pkcs11.pin_file": c.PKCS11.PINFile,
		"mail.ca": c.Mail.CA, "mail.password_file": c.Mail.PasswordFile,
		"mail.sign_cert": c.Mail.SignCert, "mail.sign_key": c.Mail.SignKey, "database.dsn_file": c.Database.DSNFile, "push.ca": c.Push.CA,
		"upstream.ca": c.Upstream.CA, "upstream.tls_ca": c.Upstream.TLSCA, "upstream.command": c.Upstream.Command, "upstream.password_file": c.Upstream.PasswordFile, "scep.lab_challenge_file": c.SCEP.LabChallengeFile,
		"intune.secret_file": c.Intune.SecretFile, "intune.tls_ca": c.Intune.TLSCA, "graph.tls_ca": c.Graph.TLSCA, "keeper.cert": c.Keeper.Cert, "keeper.key": c.Keeper.Key, "keeper.ca": c.Keeper.CA,
		"tenant.secret_file": c.Tenant.SecretFile, "tenant.cert": c.Tenant.Cert, "tenant.key": c.Tenant.Key, "tenant.tls_ca": c.Tenant.TLSCA,
		"transit.token_file": c.Transit.TokenFile, "transit.secret_id_file": c.Transit.SecretIDFile, "transit.ca": c.Transit.CA} {
		if _, err := os.Stat(file); file != "" && err != nil {
			list = append(list, Problem{key, fmt.Sprintf("The file %s cannot be read.", file), "Check its name and who may read it."})
		}
	}
	return list
}

func (c Config) checkChoices() (list []Problem) {
	for _, o := range []struct {
		key, value string
		allowed    []string
	}{
		{"ca.key_store", c.CA.KeyStore, []string{"file", "pkcs11"}},
		{"keys.escrow_in", c.Keys.EscrowIn, []string{"file", "transit", "pkcs11"}},
		{"ca.root_key", c.CA.RootKey, keyKinds},
		{"ca.device_key", c.CA.DeviceKey, keyKinds},
		{"ca.smime_key", c.CA.MailKey, keyKinds},
		{"enroll.auth", c.Enroll.Auth, []string{"code", "lab"}},
		{"mail.tls", c.Mail.TLS, []string{"starttls", "tls", "none"}},
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
	} {
		if !slices.Contains(o.allowed, o.value) {
			list = append(list, Problem{o.key, fmt.Sprintf("%q is not known.", o.value), "It is one of " + strings.Join(o.allowed, ", ") + "."})
		}
	}
	return list
}

func (c Config) checkNumbers() (list []Problem) {
	for _, n := range []struct {
		key        string
		value, max int
	}{
		{"enroll.invitation_days", c.Enroll.InvitationDays, 90},
		{"ca.crl_shards", c.CA.CRLShards, 4096},
		{"limits.openings_per_hour", c.Limits.OpeningsPerHour, 100_000},
		{"limits.all_openings_per_hour", c.Limits.AllOpeningsPerHour, 10_000_000},
		{"limits.certificates_per_hour", c.Limits.CertificatesPerHour, 100_000},
		{"limits.import_file_kib", c.Limits.ImportFileKiB, 65_536},
	} {
		if n.value < 1 || n.value > n.max {
			list = append(list, Problem{n.key, fmt.Sprintf("%d is out of range.", n.value), fmt.Sprintf("It is a number from 1 to %d.", n.max)})
		}
	}
	return list
}

// urlProblem says what is wrong with the base address, "" when nothing is.
func urlProblem(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "It is not set."
	case err != nil || u.Host == "" || u.Opaque != "":
		return "This is not an address."
	case u.Scheme != "https":
		return "It does not start with https://."
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return "It has more than a host and a port."
	}
	return ""
}

// Base gives the address without a slash at its end.
func (c Config) Base() string { return strings.TrimRight(c.URL, "/") }

// Host gives the host name of the address, without port.
func (c Config) Host() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
