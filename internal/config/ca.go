package config

import "strings"

// CA is what keys the certification authorities have, which counts when signet
// init makes them, and what their certificates say of revocation.
type CA struct {
	RootKey   string `toml:"root_key" default:"ecdsa-p384" doc:"Kind of key of the root CA: ecdsa-p256, ecdsa-p384, rsa-3072 or rsa-4096. Counts when signet init makes it."`
	DeviceKey string `toml:"device_key" default:"rsa-3072" doc:"Kind of key of the CA of device identities, one of the same."`
	MailKey   string `toml:"smime_key" default:"ecdsa-p256" doc:"Kind of key of the S/MIME CA, one of the same. Mail programs of before 2015 know RSA only."`

	MailDomains string `toml:"mail_domains" doc:"Mail domains that the S/MIME CA may certify, such as \"example.com .example.com\": addresses at that host, and at hosts below it. They become name constraints of the CA certificate when it is made, and cannot be changed afterwards. Empty: any."`
	KeyStore    string `toml:"key_store" default:"file" doc:"Where signet init makes the keys of the CAs: file (encrypted to the unlock key) or pkcs11 (on the token of pkcs11.module, which they never leave). Counts when signet init makes them."`

	OfflineRoot bool `toml:"offline_root" doc:"Whether your organisation has the root CA, and this server CAs below it: signet init then makes their keys, and their certificates are imported before anything is served (signet ca csr, signet ca import). Counts when signet init runs, and must stay."`

	URL       string `toml:"url" doc:"Where verifiers find revocation lists, the OCSP responder and CA certificates, such as http://pki.example.org, when the server is reached there by another name or port than its own. It goes into every new certificate. Empty: the server's name with the port of http_listen; without that listener, url."`
	OCSP      bool   `toml:"ocsp" default:"true" doc:"Whether new certificates name our OCSP responder. It answers for those that name it, whatever is set."`
	CRLShards int    `toml:"crl_shards" default:"64" doc:"Over how many lists the revocations of new certificates are spread, 1 to 4096. Each certificate names its own for ever, so this can be changed at any time. 1: over none, the issuer's whole list alone."`
}

// keyKinds are those that a CA may have.
var keyKinds = []string{"ecdsa-p256", "ecdsa-p384", "rsa-3072", "rsa-4096"}

// Domains lists the mail domains.
func (c CA) Domains() []string {
	return strings.FieldsFunc(c.MailDomains, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c CA) check() (list []Problem) {
	for _, d := range c.Domains() {
		if strings.ContainsFunc(d, func(r rune) bool { return r > '~' || strings.ContainsRune("@/:\\\"", r) }) || !strings.Contains(strings.Trim(d, "."), ".") {
			list = append(list, Problem{"ca.mail_domains", d + " is no mail domain.", "Give names such as example.com, in their ASCII form, or .example.com for the hosts below it."})
		}
	}
	return list
}
