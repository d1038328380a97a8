package notify

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// CertificateStore keeps the push certificates, one a topic.
type CertificateStore interface {
	// PushCertificates lists them, the one that enrolls first.
	PushCertificates(ctx context.Context) ([]Certificate, error)
	// PushTopics counts the devices of each topic.
	PushTopics(ctx context.Context) (map[string]Devices, error)
	// PushCertificateImported makes c its topic's certificate, without trouble.
	// With Enrolls set no other topic enrolls any more.
	PushCertificateImported(ctx context.Context, c Certificate, e journal.Entry) error
	// PushTroubled notes since when and why nothing can be pushed to a topic;
	// an empty reason ends that.
	PushTroubled(ctx context.Context, topic, reason string, at time.Time) error
	// PushState tells how pushing to a device goes; the zero value for one that
	// never enrolled.
	PushState(ctx context.Context, device subject.DeviceID) (PushState, error)
	// Record writes an entry that has no other effect.
	Record(ctx context.Context, e journal.Entry) error
}

// Devices counts those of one topic.
type Devices struct {
	Enrolled  int
	Reachable int // with a token that was not refused
}

// Keys is the keyring.
type Keys interface {
	// Add stores a key under a new name.
	Add(name string, key crypto.Signer, certs []*x509.Certificate) error
	// Signer gives a key; a failure of kind NotFound when there is none.
	Signer(name string) (crypto.Signer, error)
}

// CertificatesConfig says what it works with. All but Organization is required.
type CertificatesConfig struct {
	Store        CertificateStore
	Keys         Keys
	Organization string // in requests; Apple ignores it
	Log          *slog.Logger
	Now          func() time.Time
}

// Certificates has the push certificates: it makes requests for them, takes
// what Apple made, and says when one ends.
type Certificates struct {
	CertificatesConfig
	mu   sync.Mutex
	said map[string]bool
}

var _ Credentials = (*Certificates)(nil)

// NewCertificates makes the service. It panics on a missing dependency.
func NewCertificates(c CertificatesConfig) *Certificates {
	if c.Store == nil || c.Keys == nil || c.Log == nil || c.Now == nil {
		panic("notify: nil dependency")
	}
	return &Certificates{CertificatesConfig: c, said: map[string]bool{}}
}

// keyBits is what Apple makes push certificates for.
const keyBits = 2048

// Request makes a key, which stays in the keyring, and gives a request for its
// certificate as PEM. Earlier requests stay good.
//
// Spec: RFC 2986
func (s *Certificates) Request(ctx context.Context, by journal.Actor) (csr []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("making the push key: %w", err)
	}
	name, err := keyName(key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSA,
		Subject: pkix.Name{CommonName: cmp.Or(s.Organization, "Signet") + " MDM push"}}, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate request: %w", err)
	}
	if err := s.Keys.Add(name, key, nil); err != nil {
		return nil, fmt.Errorf("keeping the push key: %w", err)
	}
	err = s.Store.Record(ctx, journal.Entry{At: s.Now(), Actor: by, Action: journal.PushKeyMade, Detail: map[string]string{"key": name}})
	if err != nil {
		return nil, fmt.Errorf("recording that a push key was made: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// keyName is where the keyring has the key: its certificate leads to it.
func keyName(public crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", ErrKey.With(err)
	}
	return "push-" + cert.FingerprintOf(spki).String()[:16], nil
}

// Upload is a certificate that Apple made.
type Upload struct {
	Certificate []byte      // PEM or DER
	Key         seal.Secret // of a certificate that was not requested here, PEM or PKCS #8; empty: it was
	Account     string      // note, which Apple Account can renew it; empty: leaves what was noted
	Replace     bool        // take another topic, although devices are enrolled with one
}

// Imported says what came of an upload.
type Imported struct {
	Certificate
	Others   int // devices that are enrolled with the topic of another certificate here
	Stranded int // devices whose topic has none: they are not woken until they enroll again
}

// Import takes a certificate: the first, a renewal under the same topic, or
// with Replace that of another topic. It is used from then on. What may be
// wrong is in this package's errors.
func (s *Certificates) Import(ctx context.Context, by journal.Actor, u Upload) (out Imported, err error) {
	c := Certificate{Account: u.Account, ImportedAt: s.Now()}
	if c.Certificate, err = parseCertificate(u.Certificate); err != nil {
		return out, err
	}
	if c.Topic, err = judge(c.Certificate, s.Now()); err != nil {
		return out, err
	}
	all, topics, err := s.survey(ctx)
	if err != nil {
		return out, err
	}
	if err := c.follow(all, topics, u.Replace); err != nil {
		return out, err
	}
	if err := s.secure(c.Certificate, u.Key); err != nil {
		return out, err
	}
	err = s.Store.PushCertificateImported(ctx, c, journal.Entry{At: s.Now(), Actor: by, Action: journal.PushImported,
		Cert: cert.FingerprintOf(c.Certificate.Raw), Detail: map[string]string{"topic": c.Topic, "until": c.Certificate.NotAfter.Format(time.DateOnly)}})
	if err != nil {
		return out, fmt.Errorf("storing the push certificate: %w", err)
	}
	c.DaysLeft = c.daysLeft(s.Now())
	return imported(c, all, topics), nil
}

func imported(c Certificate, all []Certificate, topics map[string]Devices) Imported {
	out := Imported{Certificate: c}
	for topic, n := range topics {
		switch {
		case topic == c.Topic:
			out.Devices = n
		case slices.ContainsFunc(all, func(o Certificate) bool { return o.Topic == topic }):
			out.Others += n.Enrolled
		default:
			out.Stranded += n.Enrolled
		}
	}
	return out
}

func (s *Certificates) survey(ctx context.Context) ([]Certificate, map[string]Devices, error) {
	all, err := s.Store.PushCertificates(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the push certificates: %w", err)
	}
	topics, err := s.Store.PushTopics(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("counting devices by topic: %w", err)
	}
	return all, topics, nil
}

// NoTopic stands in the enrollment profile while there is no push certificate.
// A device keeps its topic for ever, so those that got this one must enroll
// again to be woken.
const NoTopic = topicPrefix + "00000000-0000-0000-0000-000000000000"

// follow decides what a certificate does to those there are: it renews one, or
// opens a topic of its own, which must not happen by accident once there are
// devices with another.
func (c *Certificate) follow(all []Certificate, topics map[string]Devices, replace bool) error {
	for _, old := range all {
		if old.Topic == c.Topic {
			c.Enrolls, c.Account = replace || old.Enrolls, cmp.Or(c.Account, old.Account)
			return nil
		}
	}
	bound := 0
	for topic, n := range topics {
		if topic != c.Topic && topic != NoTopic {
			bound += n.Enrolled
		}
	}
	if bound > 0 && !replace {
		return ErrTopic.Saying(fmt.Sprintf("The certificate has the topic %s, and %d enrolled devices have another.", c.Topic, bound))
	}
	c.Enrolls = true
	return nil
}

// secure makes sure that the keyring has the certificate's key.
func (s *Certificates) secure(c *x509.Certificate, given seal.Secret) error {
	name, err := keyName(c.PublicKey)
	if err != nil {
		return err
	}
	var key crypto.Signer
	if !given.Empty() {
		if key, err = parseKey(given, c.PublicKey); err != nil {
			return err
		}
	}
	_, err = s.Keys.Signer(name)
	switch {
	case err == nil:
		return nil
	case fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound:
		return fmt.Errorf("looking for the push key: %w", err)
	case key == nil:
		return ErrKeyUnknown
	}
	if err := s.Keys.Add(name, key, nil); err != nil {
		return fmt.Errorf("keeping the push key: %w", err)
	}
	return nil
}
