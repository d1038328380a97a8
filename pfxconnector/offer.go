package pfxconnector

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// errCannotProve is the refusal of a key that its file's opener cannot prove to
// have.
var errCannotProve = fault.New(fault.Invalid, "pfx_key_cannot_prove",
	"A key of this kind cannot sign, so it cannot be proved from here that it belongs to its certificate.", "--upload takes it: the server then opens the file itself.")

// Bounds of what is judged or handed in at once.
const (
	MostIdentities = 256
	MostName       = 1024 // bytes of the name of a file
)

// Offer is what a file holds that was opened elsewhere: all but its keys. With
// what was sealed of these it is handed in.
type Offer struct {
	File    string `json:"file" maxLength:"4096" doc:"Its name, for the report"`
	Source  string `json:"sourceSha256" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the file, hex"`
	User    string `json:"user,omitempty" doc:"Whose it is; whom the certificate names when left out"`
	Purpose string `json:"purpose,omitempty" doc:"signing, encryption or both: overrides what the certificate says"`

	AllowSigningEscrow bool `json:"allowSigningEscrow,omitempty" doc:"Take keys that are for signing only"`
	AllowWeak          bool `json:"allowWeak,omitempty" doc:"Take RSA keys that protect nothing any more"`
	NoQuarantine       bool `json:"noQuarantine,omitempty" doc:"Refuse a key whose user is not known, instead of setting it aside"`
	DryRun             bool `json:"dryRun,omitempty" doc:"Look, but change nothing"`

	Identities []Offered `json:"identities" nullable:"false" maxItems:"256" doc:"Those that are whole"`
}

// Offered is the certificate of a key, and the key, if it was sealed.
type Offered struct {
	Certificate []byte   `json:"certificate" doc:"DER, base64"`
	Chain       [][]byte `json:"chain,omitempty" maxItems:"8" doc:"CA certificates of the file that lead upwards, the issuer first"`
	Sealed      *Sealed  `json:"sealed,omitempty" doc:"The key, when it is handed in"`
}

// Sealed is a key that was sealed elsewhere.
type Sealed struct {
	Suite      int    `json:"suite" doc:"How the key is encrypted; 1: AES-256-GCM"`
	Nonce      []byte `json:"nonce" doc:"Of the ciphertext, base64"`
	Ciphertext []byte `json:"ciphertext" doc:"Of the PKCS#8, base64"`
	Wraps      []Wrap `json:"wraps" nullable:"false" maxItems:"16" doc:"For the escrow key, then for each recovery key"`
	Proof      []byte `json:"proof" doc:"Signature of the key over the record, base64"`
}

// Wrap is what the holder of one key needs to open the record.
type Wrap struct {
	Key    string `json:"key" maxLength:"255" doc:"Whose it is"`
	Enc    []byte `json:"enc,omitempty" doc:"HPKE encapsulation, base64"`
	Sealed []byte `json:"sealed" doc:"The data key; for a recovery key an age file, base64"`
}

// Judged is what is thought of a file that was offered.
type Judged struct {
	Code       *string          `json:"code" doc:"Why nothing of it is looked at, else null"`
	Message    string           `json:"message,omitempty" doc:"Of the refusal"`
	Hint       string           `json:"hint,omitempty" doc:"What to do"`
	Identities []JudgedIdentity `json:"identities" nullable:"false" doc:"In the order of the offer"`
}

// JudgedIdentity is what is thought of one.
type JudgedIdentity struct {
	IdentityReport
	For    string `json:"for,omitempty" doc:"Whom to seal it for: the id of the user, or of a place in quarantine"`
	Record string `json:"record,omitempty" doc:"The id to seal its key under; left out when it is not wanted"`
}

// Refused says that a file or its keys are not taken, for a reason that showed
// where it was opened.
func (i *JudgedIdentity) Refused(f *fault.Error) {
	i.refuse(f)
	i.Record, i.For = "", ""
}

// Offered is what others may know of an identity.
func offeredOf(id pfx.Identity) Offered {
	o := Offered{Certificate: id.Certificate.Raw}
	for _, ca := range id.Chain {
		o.Chain = append(o.Chain, ca.Raw)
	}
	return o
}

// Offer gives what is said of the file to who judges it: nothing secret.
func (o *Opened) Offer() []Offered {
	list := []Offered{}
	for _, id := range o.Identities {
		list = append(list, offeredOf(id))
	}
	return list
}

// Unfit tells why the key of a certificate is not to leave the file, as far as
// the certificate and the importer's word go. Whoever is asked to seal a key
// looks himself.
func (f File) Unfit(c *x509.Certificate) *fault.Error {
	_, bad := job{file: f}.purpose(c)
	return bad
}

// SealFor seals a key under the id and for the user that were given with the
// judgement, proves that it is the certificate's, and forgets it. A fault says
// that a key of that kind cannot be proved.
func SealFor(to *escrow.Sealer, id pfx.Identity, record string, user subject.UserID) (Offered, error) {
	defer id.PKCS8.Wipe()
	r, err := to.SealAs(record, escrow.Key{User: user, Certificate: id.Certificate, PKCS8: id.PKCS8.Reveal()})
	if err != nil {
		return Offered{}, fmt.Errorf("sealing a key: %w", err)
	}
	s := &Sealed{Suite: int(r.Suite), Nonce: r.Nonce, Ciphertext: r.Ciphertext}
	for _, w := range r.Wraps {
		s.Wraps = append(s.Wraps, Wrap{string(w.Key), w.Enc, w.Sealed})
	}
	s.Proof, err = r.Prove(id.Key)
	if errors.Is(err, escrow.ErrCannotProve) {
		return Offered{}, errCannotProve.With(err)
	}
	o := offeredOf(id)
	o.Sealed = s
	return o, err
}
