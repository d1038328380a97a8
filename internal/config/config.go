// Package config has what differs between installations and cannot live in
// the database: one struct, whose tags are the documentation. A flag beats an
// environment variable, which beats the file signet.toml. Start at [Config]
// and [Load].
package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything that can be set. Each field's key in the file is its
// toml tag, with the section in front ("tls.cert"); flag and environment
// variable follow from that (--tls-cert, SIGNET_TLS_CERT).
type Config struct {
	URL    string `toml:"url" doc:"The address under which devices and people reach this server, such as https://mdm.example.org. It goes into every profile, link and certificate, and other names are not answered. Changing it later cuts off the devices that are enrolled."`
	Listen string `toml:"listen" default:":8443" doc:"Address of the HTTPS listener, host:port."`

	HTTPListen   string `toml:"http_listen" doc:"Address of a plain HTTP listener for what needs no TLS: SCEP, CRLs, OCSP, CA certificates. Empty for none."`
	OpsListen    string `toml:"ops_listen" doc:"Address of the operations listener (/healthz, /readyz, /metrics), without TLS: keep it private. Empty for none."`
	Data         string `toml:"data" default:"signet-data" doc:"The data directory: database, keys, socket."`
	Roles        string `toml:"roles" default:"front,worker,admin,keeper" doc:"What this process does: front faces the network, worker plans and tells, admin serves the API, keeper has the keys of the CAs and of the users. Several processes need MariaDB."`
	Organization string `toml:"organization" doc:"Your organisation's name, shown on pages, profiles and certificates."`

	TLS    TLS    `toml:"tls"`
	Enroll Enroll `toml:"enroll"`

	Approval Approval `toml:"approval"`

	Help   Help   `toml:"help"`
	SCEP   SCEP   `toml:"scep"`
	CA     CA     `toml:"ca"`
	MDM    MDM    `toml:"mdm"`
	Mail   Mail   `toml:"mail"`
	Push   Push   `toml:"push"`
	Keys   Keys   `toml:"keys"`
	PKCS11 PKCS11 `toml:"pkcs11"`
	Keeper Keeper `toml:"keeper"`

	Transit Transit `toml:"transit"`

	Database Database `toml:"database"`

	Upstream Upstream `toml:"upstream"`
	Intune   Intune   `toml:"intune"`
	Graph    Graph    `toml:"graph"`
	Tenant   Tenant   `toml:"tenant"`

	Console Console `toml:"console"`

	Log    Log    `toml:"log"`
	Limits Limits `toml:"limits"`
}

// TLS is the server's own certificate.
type TLS struct {
	Cert string `toml:"cert" doc:"PEM file of the server's certificate and its chain. Empty: one of our own CA, which devices trust only after they are told to."`
	Key  string `toml:"key" doc:"PEM file of the private key of tls.cert."`
}

// Enroll is how devices come in.
type Enroll struct {
	Auth        string `toml:"auth" default:"code" doc:"What an invited person needs: code (the link and a code that travels another way) or lab (the link alone; for tests only, and every page says so)."`
	SignProfile bool   `toml:"sign_profile" default:"true" doc:"Whether enrollment profiles are signed."`

	InvitationDays int `toml:"invitation_days" default:"7" doc:"How many days an invitation is good for."`
}

// Help is whom people turn to. It stands on every page for users and in mails.
type Help struct {
	Name  string `toml:"name" doc:"Whom users ask for help, such as \"the IT service desk\"."`
	Phone string `toml:"phone" doc:"Their telephone number, such as +49 30 12345."`
	Mail  string `toml:"mail" doc:"Their mail address."`
	URL   string `toml:"url" doc:"Their web page, https://…"`
}

// SCEP is how certificates are issued.
type SCEP struct {
	AllowLegacyAlgorithms bool `toml:"allow_legacy_algorithms" doc:"Whether SCEP clients may use DES, triple DES and SHA-1. iPhones and iPads do not need it."`

	LabChallengeFile string `toml:"lab_challenge_file" doc:"For laboratories, with enroll.auth = lab only: file of a static challenge, of 16 characters at least. Whoever knows it gets as many certificates of scep.lab_profile as he likes. Empty for none."`
	LabProfile       string `toml:"lab_profile" doc:"The certificate profile of scep.lab_challenge_file; none for device identities."`
	LabUser          string `toml:"lab_user" doc:"The user, by address, UPN or id, in whose name certificates for scep.lab_challenge_file are."`
}

// MDM is how devices reach us.
type MDM struct {
	TLSHost string `toml:"tls_host" doc:"A host name of its own under which devices prove themselves by a TLS client certificate as well, such as device.mdm.example.org: browsers would ask everybody for one on the shared name. It goes into the enrollment profile; set it before devices enroll. Empty: devices sign their messages, which is enough."`
}

// Push is the way to Apple's push service. The certificate for it is no
// setting: signet push import takes it.
type Push struct {
	Gateway string `toml:"gateway" default:"api.push.apple.com:443" doc:"Address of the push service, host:port. Apple answers on port 2197 as well."`
	CA      string `toml:"ca" doc:"PEM file of the CA certificates under which the push service is trusted. Empty: those of the system, which is right for Apple's."`
}

// Keys is where private keys are unlocked from.
type Keys struct {
	UnlockFile     string `toml:"unlock_file" doc:"File of the key that unlocks all others. Empty: keys/unlock.key in the data directory, or the systemd credential of that name. Keep a copy elsewhere."`
	PassphraseFile string `toml:"passphrase_file" doc:"File with the passphrase of an unlock key that has one (signet keys passphrase set). Empty: the systemd credential signet-passphrase, else it is asked for on the terminal."`
	EscrowIn       string `toml:"escrow_in" default:"file" doc:"Where escrow keys are made: file (encrypted to the unlock key), transit (encrypted by the server of transit.address as well) or pkcs11 (on the token of pkcs11.module as well). Counts when signet init or signet keys escrow rotate makes one; signet keys escrow move moves those that are there."`
	Recovery       string `toml:"recovery" doc:"An age recipient (age1…) to which every imported private key is sealed as well, so that its holder, offline, can open them with the age tool alone. Empty: a lost data directory loses the users' keys."`
}

// Log is what is written to standard error.
type Log struct {
	Level  string `toml:"level" default:"info" doc:"The least that is logged: debug, info, warn or error."`
	Format string `toml:"format" default:"text" doc:"text or json."`
}

// Console is the administrators' pages.
type Console struct {
	On bool `toml:"on" default:"true" doc:"Whether the role admin serves the administrators' pages under /admin/, on the HTTPS listener as the API."`
}

// Limits bound what strangers and broken clients can cost.
type Limits struct {
	OpeningsPerHour     int `toml:"openings_per_hour" default:"200" doc:"How many private keys may be opened for one device in an hour."`
	AllOpeningsPerHour  int `toml:"all_openings_per_hour" default:"10000" doc:"How many private keys may be opened for all devices together in an hour. Twice of what is usual in a busy hour bounds what a stolen front end can have delivered; what is above waits, and is an alarm."`
	CertificatesPerHour int `toml:"certificates_per_hour" default:"50" doc:"How many certificates may be made over SCEP for one device in an hour; for all devices of one user together, ten times as many."`
	ImportFileKiB       int `toml:"import_file_kib" default:"1024" doc:"Largest PKCS#12 file that is imported, in KiB."`
}

// In gives the path of a file in the data directory.
func (c Config) In(name ...string) string {
	return filepath.Join(append([]string{c.Data}, name...)...)
}

// PublicPKI is where verifiers find what CAs publish.
func (c Config) PublicPKI() string {
	if c.CA.URL != "" {
		return strings.TrimSuffix(c.CA.URL, "/")
	}
	return c.PublicHTTP()
}

// PublicHTTP is the address under which SCEP, CRLs and CA certificates are fetched:
// plain HTTP where there is such a listener, since verifiers want no TLS for
// them; else the server's own address.
func (c Config) PublicHTTP() string {
	_, port, err := net.SplitHostPort(c.HTTPListen)
	if c.HTTPListen == "" || err != nil {
		return c.Base()
	}
	if port == "80" {
		return "http://" + c.Host()
	}
	return "http://" + net.JoinHostPort(c.Host(), port)
}

// DeviceBase is the address that devices keep for their management.
func (c Config) DeviceBase() string {
	u, err := url.Parse(c.Base())
	if c.MDM.TLSHost == "" || err != nil {
		return c.Base()
	}
	host := c.MDM.TLSHost
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return "https://" + host
}

// Socket is the path of the socket on which the command line finds a server
// that runs on the data directory.
func (c Config) Socket() string { return c.In("signet.sock") }

// InvitationLife is how long an invitation is good.
func (c Config) InvitationLife() time.Duration {
	return time.Duration(c.Enroll.InvitationDays) * 24 * time.Hour
}
