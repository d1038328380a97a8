// Package phone is a simulated iPhone. It is strict: it refuses what Apple's
// own source and documentation refuse, so that a server that satisfies it has
// a chance with a real one. It shares no code with the server and reads every
// format with a reader of its own, because it is there to judge.
//
// A phone is made with [New]. Its user opens an enrollment link with
// [Phone.Open] and installs what comes back with [Phone.Enroll]; a push makes
// it [Phone.Poll]. What then lies on it is seen through [Phone.Profiles],
// [Phone.Identities], [Phone.Accounts] and [Phone.AppConfig], and its Mail app
// works: [Phone.ReadMail], [Phone.SignMail]. [Mood] makes it misbehave.
//
// Where it is stricter than a real phone the code says "Stricter". What no
// document states about real phones is modelled in the refusing way.
package phone

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"net/http"
	"sync"
	"time"
)

// Config says which phone to make. The zero value is an iPhone on iOS 18.2
// that trusts nobody yet.
type Config struct {
	OSVersion string // as in Settings, "18.2"; default "18.2"
	Model     string // Apple's product name; default "iPhone16,2"
	Serial    string // made up when empty, like the next two
	UDID      string
	Name      string

	// HTTP is how the phone reaches servers. Nil makes a client that trusts
	// Roots and the root certificates that profiles bring.
	HTTP *http.Client
	// Roots are the certificate authorities trusted before any profile came.
	Roots *x509.CertPool
	// VisitAnyway makes the user tap through Safari's warning about an
	// untrusted certificate. It changes nothing outside Safari.
	VisitAnyway bool
	// MutualTLS presents the MDM identity in TLS too, when a server asks.
	MutualTLS bool
	// Signature shapes Mdm-Signature; the zero value is Apple's own shape.
	Signature SignatureShape

	// Keys gives the RSA keys; nil makes a fresh one each time.
	Keys *KeyPool
	// Store maps App Store ids to bundle identifiers; nil knows Outlook.
	Store map[int64]string
	// Log hears what the phone does as it happens. It must not call the phone.
	Log func(Event)

	Rand  io.Reader                                  // default crypto/rand
	Now   func() time.Time                           // default time.Now
	Sleep func(context.Context, time.Duration) error // waits between SCEP polls; default a timer
}

// Event is something the phone did.
type Event struct {
	Time   time.Time
	UDID   string
	What   string // one of the Event… constants
	Thing  string // what it was done to: an address, a profile, a command, an app
	Detail string
}

// What an Event can be about.
const (
	EventRequest  = "request"         // a request left; Detail is the answer's status
	EventInstall  = "profile"         // a profile was installed; Detail says who signed it
	EventRefuse   = "refused"         // a profile or command failed; Detail says why
	EventRemove   = "removed"         // a profile was removed
	EventEnroll   = "enrolled"        // Authenticate was accepted
	EventUnenroll = "unenrolled"      // management ended; Detail says why
	EventCommand  = "command"         // a command was carried out; Detail is its status
	EventIdentity = "identity"        // an identity was made or unpacked
	EventApp      = "app"             // an app changed state; Detail is the state
	EventPayload  = "payload updated" // a payload kept its place in a replacement
)

// Phone is one simulated iPhone. Its methods may be called from several
// goroutines; what talks to the server happens one after the other.
type Phone struct {
	cfg     Config
	os      version
	imei    string
	web     *http.Client // Safari: keeps cookies
	net     *http.Client // the system: MDM and SCEP
	base    []*http.Transport
	op      sync.Mutex // held through everything that acts
	mu      sync.Mutex // guards what follows, held briefly
	mood    Mood
	st      *state
	pending *x509.CertPool // roots of the profile that is being installed
	last    *result        // the last command's result until a server took it
	polls   bool           // it will poll by itself later
}

// New makes a phone. It panics on an OSVersion that is not a version.
func New(cfg Config) *Phone {
	cfg.fill()
	p := &Phone{cfg: cfg, os: mustVersion(cfg.OSVersion), imei: digits(cfg.Rand, 15), st: &state{}}
	p.connect()
	return p
}

func (c *Config) fill() {
	if c.OSVersion == "" {
		c.OSVersion = "18.2"
	}
	if c.Model == "" {
		c.Model = "iPhone16,2"
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Serial == "" {
		c.Serial = "SIM" + digits(c.Rand, 9)
	}
	if c.UDID == "" {
		c.UDID = "00008140-" + hexOf(c.Rand, 8)
	}
	if c.Name == "" {
		c.Name = "iPhone " + c.Serial
	}
	if c.Keys == nil {
		c.Keys = &KeyPool{}
	}
	if c.Store == nil {
		c.Store = map[int64]string{951937596: "com.microsoft.Office.Outlook"}
	}
}

// UDID returns the phone's identifier.
func (p *Phone) UDID() string { return p.cfg.UDID }

// Serial returns the phone's serial number.
func (p *Phone) Serial() string { return p.cfg.Serial }

// Close closes idle connections.
func (p *Phone) Close() {
	for _, t := range p.base {
		t.CloseIdleConnections()
	}
}

func (p *Phone) log(what, thing, detail string) {
	if p.cfg.Log != nil {
		p.cfg.Log(Event{Time: p.cfg.Now(), UDID: p.cfg.UDID, What: what, Thing: thing, Detail: detail})
	}
}

func (p *Phone) state() *state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st
}

// commit makes a finished copy of the state the phone's state.
func (p *Phone) commit(next *state) {
	p.mu.Lock()
	p.st = next
	p.mu.Unlock()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
