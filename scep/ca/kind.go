package ca

import (
	"crypto/x509"
	"time"
)

// Kind is what a certificate is for. It decides usages and the longest life.
type Kind string

// The kinds.
const (
	Root           Kind = "root"
	DeviceCA       Kind = "device-ca"       // issues device identities
	MailCA         Kind = "mail-ca"         // issues S/MIME certificates
	Registration   Kind = "registration"    // the RA: opens SCEP requests, signs the replies
	ProfileSigner  Kind = "profile-signer"  // signs configuration profiles
	TLSServer      Kind = "tls-server"      //
	DeviceIdentity Kind = "device-identity" // a device's proof of itself; profiles are sealed to it
	MailSigning    Kind = "mail-signing"    // S/MIME, the key is made on the device
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// form is what all certificates of a kind have in common.
type form struct {
	usage    x509.KeyUsage
	extended []x509.ExtKeyUsage
	isCA     bool
	maxLife  time.Duration
	public   bool // strangers verify it: it says where the CRL is
}

const caUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// forms are the kinds. RA and profile signer have no extended key usage: no
// standard value fits, and devices ask for none.
//
// Spec: CA/Browser Forum S/MIME BR 6.3.2, 7.1.2
// Quirk: iOS trusts no TLS certificate that is valid for more than 825 days.
var forms = map[Kind]form{
	Root:           {usage: caUsage, isCA: true, maxLife: 25 * year},
	DeviceCA:       {usage: caUsage, isCA: true, maxLife: 15 * year, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	MailCA:         {usage: caUsage, isCA: true, maxLife: 15 * year, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
	Registration:   {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, maxLife: 3 * year},
	ProfileSigner:  {usage: x509.KeyUsageDigitalSignature, maxLife: 3 * year},
	TLSServer:      {usage: x509.KeyUsageDigitalSignature, maxLife: 825 * day, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	DeviceIdentity: {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, maxLife: 825 * day, public: true, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	MailSigning:    {usage: x509.KeyUsageDigitalSignature, maxLife: 825 * day, public: true, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
}
