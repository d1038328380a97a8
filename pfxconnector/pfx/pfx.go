// Package pfx reads PKCS #12 files of any program, and keys with certificates in
// PEM, and writes the one kind that iOS takes. It is bytes in, bytes out: no users, no store, no files.
//
// Reading promises: no input panics, waits for ever or takes memory beyond its
// own size times a small number; every key derivation is paid from a budget
// before it runs; a password is tried as given and never trimmed; keys and
// certificates are paired by public key, never by order or label; one bag that
// cannot be used costs that bag only. Decrypted buffers are overwritten.
//
// Start at [Read] and [Write]; what may be refused stands in errors.go, what is
// bounded in [Limits].
//
// Spec: RFC 7292, RFC 7468, RFC 8018, RFC 9579
package pfx

import (
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Limits bounds the work one file may cost. Start from [Default]: a zero limit
// refuses everything.
type Limits struct {
	FileBytes        int           // of the file as uploaded
	KDFIterations    int64         // of one key derivation
	FileIterations   int64         // of all key derivations of a file together
	RSABits          int           // of a modulus, in keys and certificates
	Time             time.Duration // from the start of the work, waiting for a free decoder not counted
	Depth            int           // of nested ASN.1 elements
	Nodes            int           // ASN.1 elements in all layers together
	Safes            int           // items of the AuthenticatedSafe
	Bags             int           // in all safes together
	CertificateBytes int           // of one certificate
	AllowNoMAC       bool          // take files without an integrity check
}

// Default is what an import uses. A Thunderbird backup of twenty identities
// costs 13 million iterations, so the file budget must be generous.
var Default = Limits{
	FileBytes:        1 << 20,
	KDFIterations:    5_000_000,
	FileIterations:   50_000_000,
	RSABits:          8192,
	Time:             20 * time.Second,
	Depth:            24,
	Nodes:            200_000,
	Safes:            32,
	Bags:             256,
	CertificateBytes: 64 << 10,
}

// Result is what a file holds.
type Result struct {
	Identities   []Identity          // one for each pair of key and matching certificate
	Problems     []Problem           // bags that cannot be used; the rest was read
	UnpairedKeys int                 // keys without a certificate in the file
	Unpaired     []*x509.Certificate // certificates with neither a key nor a place in a chain
	Notes        []Note              // what is odd about the file, each once
}

// Identity is a private key with its certificate.
type Identity struct {
	Key          crypto.PrivateKey   // a crypto.Signer, or *ecdh.PrivateKey for X25519
	PKCS8        seal.Secret         // the key as minimal DER
	Certificate  *x509.Certificate   //
	Chain        []*x509.Certificate // CA certificates of the file that lead upwards, the issuer first; not verified to any root
	FriendlyName string              // a label from the file: foreign text
}

// Problem is one bag that cannot be used.
type Problem struct {
	Item string       // which, such as "bag 3 (certificate)"
	Err  *fault.Error // why
}

// Note is an oddity worth telling, not an error.
type Note string

// The notes.
const (
	NotePEM      Note = "pem"            // is keys and certificates in PEM, no PKCS #12
	NoteArmour   Note = "armour"         // was wrapped in PEM or base64
	NoteNoMAC    Note = "no_mac"         // has no integrity check
	NoteTrailing Note = "trailing_bytes" // goes on after its end
	NoteSecret   Note = "secret_skipped" // holds a secret that is no private key
	NoteCRL      Note = "crl_skipped"    // holds a revocation list
	NoteUnknown  Note = "bag_skipped"    // holds something of an unknown kind
	NoteKeyTwice Note = "key_twice"      // holds a key more than once
	NoteChainCut Note = "chain_cut"      // so many CA certificates that not all links were tried
)

// Mismatch tells whether keys without certificate and certificates of people
// without key are both there: they were put together wrongly.
func (r *Result) Mismatch() bool {
	return r.UnpairedKeys > 0 && slices.ContainsFunc(r.Unpaired, func(c *x509.Certificate) bool { return !c.IsCA })
}

// Only gives the identity of a file that must hold exactly one. The error says
// what it lacks, or ErrSeveral.
func (r *Result) Only() (Identity, error) {
	switch {
	case len(r.Identities) == 1:
		return r.Identities[0], nil
	case len(r.Identities) > 1:
		return Identity{}, ErrSeveral
	case len(r.Problems) > 0:
		return Identity{}, r.Problems[0].Err
	case r.Mismatch():
		return Identity{}, ErrMismatch
	case r.UnpairedKeys > 0:
		return Identity{}, ErrNoCertificate
	}
	return Identity{}, ErrNoKey
}

// Wipe overwrites the PKCS #8 bytes of every identity. The parsed keys stay in
// memory until collected: the standard library keeps its own copies.
func (r *Result) Wipe() {
	for i := range r.Identities {
		r.Identities[i].PKCS8.Wipe()
	}
}
