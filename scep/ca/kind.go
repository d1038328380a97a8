package ca

import (
	"crypto"
	"crypto/ecdsa"
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
	ServicesCA     Kind = "services-ca"     // issues what we need ourselves, below a root that is elsewhere
	Registration   Kind = "registration"    // the RA: opens SCEP requests, signs the replies
	ProfileSigner  Kind = "profile-signer"  // signs configuration profiles
	TLSServer      Kind = "tls-server"      //
	OCSPSigner     Kind = "ocsp-signer"     // signs what a CA says of its certificates
	DeviceIdentity Kind = "device-identity" // a device's proof of itself; profiles are sealed to it
	MailSigning    Kind = "mail-signing"    // S/MIME, the key is made on the device
	MailEncryption Kind = "mail-encryption" // S/MIME, the key is made in the keeper
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// form is what all certificates of a kind have in common.
type form struct {
	usage    x509.KeyUsage
	usageEC  x509.KeyUsage // with an EC key, where that is another
	more     x509.KeyUsage // what a profile may add
	open     bool          // a profile may add extended usages, and leave addresses out
	extended []x509.ExtKeyUsage
	isCA     bool
	maxLife  time.Duration
	public   bool // it says where the CRL is
	mail     bool // strangers verify it: it must say so
}

const caUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// usageOf gives what a certificate for the key is at least for.
func (f form) usageOf(key crypto.PublicKey) x509.KeyUsage {
	if _, isEC := key.(*ecdsa.PublicKey); isEC && f.usageEC != 0 {
		return f.usageEC
	}
	return f.usage
}

// forms are the kinds. RA and profile signer have no extended key usage: no
// standard value fits, and devices ask for none. A key that encrypts is on
// several devices and in escrow, so that it never signs: no kind is for both.
//
// Spec: CA/Browser Forum S/MIME BR 6.3.2, 7.1.2
// Quirk: iOS trusts no TLS certificate that is valid for more than 825 days.
var forms = map[Kind]form{
	Root:           {usage: caUsage, isCA: true, maxLife: 25 * year},
	DeviceCA:       {usage: caUsage, isCA: true, maxLife: 15 * year, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	MailCA:         {usage: caUsage, isCA: true, maxLife: 15 * year, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
	ServicesCA:     {usage: caUsage, isCA: true, maxLife: 15 * year},
	Registration:   {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, maxLife: 3 * year},
	ProfileSigner:  {usage: x509.KeyUsageDigitalSignature, maxLife: 3 * year},
	TLSServer:      {usage: x509.KeyUsageDigitalSignature, maxLife: 825 * day, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	OCSPSigner:     {usage: x509.KeyUsageDigitalSignature, maxLife: 90 * day, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}},
	DeviceIdentity: {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, maxLife: 825 * day, public: true, open: true, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	MailSigning: {usage: x509.KeyUsageDigitalSignature, more: x509.KeyUsageContentCommitment, maxLife: 825 * day,
		public: true, mail: true, open: true, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
	MailEncryption: {usage: x509.KeyUsageKeyEncipherment, usageEC: x509.KeyUsageKeyAgreement, more: x509.KeyUsageDataEncipherment,
		maxLife: 825 * day, public: true, mail: true, open: true, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
}
