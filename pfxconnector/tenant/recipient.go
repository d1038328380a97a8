package tenant

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// ConsentKind is what several people agree to.
const ConsentKind = "tenant.key"

// Recipient is the public key to which an Intune tenant's connectors have the
// private half, and the names by which they know it.
type Recipient struct {
	Tenant   string // its id
	Provider string
	Name     string
	Padding  transport.Padding
	Public   *rsa.PublicKey
}

// request is a recipient as people agree to it: one text for one recipient.
type request struct {
	Tenant   string `json:"tenant"`
	Provider string `json:"provider"`
	Name     string `json:"name"`
	Padding  string `json:"padding"`
	SPKI     []byte `json:"spki"`
}

var tenantForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// NewRecipient takes a public key as Export-IntunePublicKey writes it. ErrRequest,
// and those of [transport.ParsePublic].
func NewRecipient(tenant, provider, name, padding string, file []byte) (Recipient, error) {
	public, err := transport.ParsePublic(file)
	if err != nil {
		return Recipient{}, err
	}
	p, known := transport.ParsePadding(padding)
	if !known {
		return Recipient{}, ErrRequest
	}
	r := Recipient{strings.ToLower(tenant), provider, name, p, public}
	return r, r.check()
}

func (r Recipient) check() error {
	if !tenantForm.MatchString(r.Tenant) || !named(r.Provider) || !named(r.Name) || r.Padding < transport.OAEPSHA256 || r.Padding > transport.OAEPSHA512 {
		return ErrRequest
	}
	return nil
}

func named(s string) bool {
	return s != "" && len(s) <= 200 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func (r Recipient) spki() []byte {
	der, err := x509.MarshalPKIXPublicKey(r.Public)
	if err != nil {
		panic("tenant: an RSA key that cannot be encoded") // there is none
	}
	return der
}

// Fingerprint is the SHA-256 of the public key, hex.
func (r Recipient) Fingerprint() string {
	sum := sha256.Sum256(r.spki())
	return hex.EncodeToString(sum[:])
}

// Request is exactly what is agreed to.
func (r Recipient) Request() string {
	b, err := json.Marshal(request{r.Tenant, r.Provider, r.Name, r.Padding.String(), r.spki()})
	if err != nil {
		panic("tenant: a recipient that cannot be encoded") // there is none
	}
	return string(b)
}

// Sentence says the same to people.
func (r Recipient) Sentence() string {
	return fmt.Sprintf("Private keys of users are handed to the Intune tenant %s, sealed to its key %q of %q (SHA-256 %s).", r.Tenant, r.Name, r.Provider, r.Fingerprint())
}

// ParseRequest reads what [Recipient.Request] writes, and nothing else.
func ParseRequest(text string) (Recipient, error) {
	var q request
	if json.Unmarshal([]byte(text), &q) != nil {
		return Recipient{}, ErrRequest
	}
	key, err := x509.ParsePKIXPublicKey(q.SPKI)
	public, is := key.(*rsa.PublicKey)
	padding, known := transport.ParsePadding(q.Padding)
	if err != nil || !is || !known {
		return Recipient{}, ErrRequest
	}
	r := Recipient{q.Tenant, q.Provider, q.Name, padding, public}
	if r.Request() != text {
		return Recipient{}, ErrRequest
	}
	return r, r.check()
}

// Registration is a recipient that people agreed to.
type Registration struct {
	ID      string
	Consent string // its id
	Recipient
	At   time.Time
	Mark []byte // shows that we registered it, after they had agreed
}

func (r Registration) aad() string {
	return fmt.Sprintf("tenant recipient %s %s %d %s", r.ID, r.Consent, r.At.UnixMicro(), r.Request())
}

// Register takes the recipient that is in what was agreed to, under the consent
// of that id and digest, in the place of the one before.
func (s *Service) Register(ctx context.Context, by journal.Actor, consent string, digest seal.Hash, request string) (Registration, error) {
	if s.ID == "" {
		return Registration{}, ErrOff
	}
	to, err := ParseRequest(request)
	if err != nil {
		return Registration{}, err
	}
	if !strings.EqualFold(to.Tenant, s.ID) {
		return Registration{}, ErrOtherTenant
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Registration{}, fmt.Errorf("making registration id: %w", err)
	}
	r := Registration{ID: id.String(), Consent: consent, Recipient: to, At: s.Now().Truncate(time.Microsecond)}
	r.Mark = s.Box.Close(seal.Secret{}, r.aad())
	e := s.entry(by, journal.TenantKeyRegistered, map[string]string{"approval": consent, "key": to.Name, "sha256": to.Fingerprint()})
	return r, s.Store.RecipientRegistered(ctx, r, digest, e)
}

// Withdraw ends the registration: nothing is sealed to that key any more.
func (s *Service) Withdraw(ctx context.Context, by journal.Actor) error {
	return s.Store.RecipientWithdrawn(ctx, s.entry(by, journal.TenantKeyWithdrawn, nil))
}

// Recipient gives the key that people agreed to: ErrNoRecipient, ErrOtherTenant,
// and ErrForged, with its id and nothing else, for one that somebody wrote into
// the database.
func (s *Service) Recipient(ctx context.Context) (Registration, error) {
	if s.ID == "" {
		return Registration{}, ErrOff
	}
	r, err := s.Store.Registered(ctx)
	if err == nil {
		if _, e := s.Box.Open(r.Mark, r.aad()); e != nil {
			err = ErrForged
		}
	}
	if err != nil {
		return Registration{ID: r.ID}, err
	}
	if !strings.EqualFold(r.Tenant, s.ID) {
		return Registration{}, ErrOtherTenant
	}
	return r, nil
}

func (s *Service) entry(by journal.Actor, a journal.Action, detail map[string]string) journal.Entry {
	return journal.Entry{At: s.Now(), Actor: by, Action: a, Detail: detail}
}
