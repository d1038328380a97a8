// Package rollover lets keys follow each other: those of the CAs, which a
// person replaces in two steps, and those that only serve, which are renewed by
// themselves before they end. It knows neither where keys live nor what is
// signed with them.
//
// Each key is a [Generation] of a line. The first has the name of the line, the
// next the name with "-2", for ever: no name is used twice. What is to be made
// is written down before it is made, and counts when it is written down as
// made; so a process may die anywhere, and the next one goes on.
//
// It promises that a line never has two generations in use, and none that is
// over; and that a CA that was replaced is kept until the last certificate that
// it issued has ended.
//
// Start reading at [Service.Start] and [Service.Step].
package rollover

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
)

// State is how far a generation is.
type State string

// The states.
const (
	Wanted    State = "wanted"  // the keeper is to make it
	Next      State = "next"    // made and published, not in use
	Current   State = "current" // in use
	Past      State = "past"    // replaced; what it made is still good
	Over      State = "over"    // nothing that it made is good any more
	Cancelled State = "cancelled"
)

// Generation is one key of a line.
type Generation struct {
	Line   string
	Number int    // from 1
	Name   string // in the keyring, and in addresses if it is a CA
	Above  string // name of the generation that certifies it; empty for a root
	State  State
	Certs  []*x509.Certificate // its own and those above; none before it is made
	Since  time.Time           // of the state
}

// Certificate is its own; nil before it is made.
func (g Generation) Certificate() *x509.Certificate {
	if len(g.Certs) == 0 {
		return nil
	}
	return g.Certs[0]
}

// Root is the last of its certificates; nil before it is made.
func (g Generation) Root() *x509.Certificate {
	if len(g.Certs) == 0 {
		return nil
	}
	return g.Certs[len(g.Certs)-1]
}

// Made tells whether it is there and counts for something.
func (g Generation) Made() bool { return g.State == Next || g.State == Current || g.State == Past }

// Line is what a key is for.
type Line struct {
	Name  string
	Above string // line whose current generation certifies it; empty for a root
	// Parts are lines of each of its generations, which come and go with it: of
	// smime-2 and "ra" it is smime-2-ra.
	Parts []string
	Fixed bool // nobody replaces it here
	// Notice is how long before its end it is renewed by itself; 0: a person
	// replaces it. Parts have PartNotice.
	Notice time.Duration
}

// replaceable tells whether a person replaces it here.
func (l Line) replaceable() bool { return l.Notice == 0 && !l.Fixed }

// PartNotice is how long before its end a part is renewed; earlier than anybody
// is warned of that end.
const PartNotice = 100 * 24 * time.Hour

// Failures.
var (
	ErrLine = fault.New(fault.NotFound, "rollover_authority_unknown",
		"There is no such certification authority to replace.", "signet ca rollover status lists them.")
	ErrUnderWay = fault.New(fault.Conflict, "rollover_under_way",
		"The next generation of this authority is there already, or on its way.", "Activate it, or cancel it: signet ca rollover status.")
	ErrNotNext = fault.New(fault.Conflict, "rollover_not_ready",
		"There is no next generation of this authority that could be used.", "signet ca rollover start makes one; it takes a few seconds.")
	ErrDevices = fault.New(fault.Conflict, "rollover_devices",
		"Devices do not have the new root certificate yet.", "Wait until they have spoken to the server, or use --force: mail signed under the new authority looks untrusted there until then.")
	ErrAway = fault.New(fault.Unavailable, "rollover_key_away",
		"The key that certifies this authority is not here.", "Restore it, or import the certificate that its holder made.")
)

// Store keeps the generations, and knows who depends on them.
type Store interface {
	Making
	Succession
	Dependents
}

// Making is how a generation comes to be.
type Making interface {
	// Generations lists all, by line and number.
	Generations(ctx context.Context) ([]Generation, error)
	// GenerationsWanted stores those that are to be made. ErrUnderWay when one
	// of their lines has one wanted or next, or one of that number.
	GenerationsWanted(ctx context.Context, list []Generation, e journal.Entry) error
	// GenerationLeased lets one caller make it until then; false when another
	// has it, or when it is not wanted any more.
	GenerationLeased(ctx context.Context, name string, now, until time.Time) (bool, error)
	// GenerationMade stores the certificates of a wanted one, and its new state.
	// If that is Current, the one before is Past. ErrNotNext when it is not
	// wanted any more.
	GenerationMade(ctx context.Context, g Generation, e journal.Entry) error
}

// Succession is how one follows another.
type Succession interface {
	// GenerationActivated makes the next generation of a line current, and the
	// current one past. ErrNotNext when it is not next.
	GenerationActivated(ctx context.Context, line, name string, e journal.Entry) error
	// GenerationCancelled gives up one that is wanted or next, and what it
	// certified. ErrNotNext when it is neither.
	GenerationCancelled(ctx context.Context, name string, e journal.Entry) error
	// GenerationsOver ends past ones.
	GenerationsOver(ctx context.Context, names []string, e journal.Entry) error
}

// Dependents are those for whom a generation is kept.
type Dependents interface {
	// LastEnd tells when the last certificate that an issuer made ends; zero
	// when there is none.
	LastEnd(ctx context.Context, issuer string) (time.Time, error)
	// DevicesWithout counts the enrolled devices that have not shown this root
	// certificate.
	DevicesWithout(ctx context.Context, root cert.Fingerprint) (int, error)
}

// Config is what a service needs; Make only where the keys are.
type Config struct {
	Store Store
	Lines []Line
	// Make makes the key and the certificates of a generation, unless the key
	// is there: then it gives its certificates.
	Make func(ctx context.Context, g Generation) ([]*x509.Certificate, error)
	Log  *slog.Logger
	Now  func() time.Time
}

// Service decides what follows what.
type Service struct{ Config }

// New panics on a missing dependency.
func New(c Config) *Service {
	if c.Store == nil || len(c.Lines) == 0 || c.Log == nil || c.Now == nil {
		panic("rollover: nil dependency")
	}
	return &Service{c}
}

// First gives the names of the first generations and what certifies each.
func (s *Service) First() (list []Generation) {
	for _, l := range s.Lines {
		g := Generation{Line: l.Name, Number: 1, Name: l.Name, Above: l.Above, State: Current, Since: s.Now()}
		list = append(append(list, g), l.parts(g)...)
	}
	return list
}

// parts are the first generations of the lines that belong to g.
func (l Line) parts(g Generation) (list []Generation) {
	for _, part := range l.Parts {
		name := g.Name + "-" + part
		list = append(list, Generation{Line: name, Number: 1, Name: name, Above: g.Name, State: g.State, Since: g.Since})
	}
	return list
}

// line finds the line that people know by that name.
func (s *Service) line(name string) (Line, bool) {
	i := slices.IndexFunc(s.Lines, func(l Line) bool { return l.Name == name })
	if i < 0 {
		return Line{}, false
	}
	return s.Lines[i], true
}

// after is the generation that follows all of its line.
func after(list []Generation, line, above string, now time.Time) Generation {
	g := Generation{Line: line, Number: 1, Above: above, State: Wanted, Since: now}
	for _, other := range list {
		if other.Line == line {
			g.Number = max(g.Number, other.Number+1)
		}
	}
	g.Name = line
	if g.Number > 1 {
		g.Name += "-" + strconv.Itoa(g.Number)
	}
	return g
}

// In gives the generation of a line that is in that state.
func In(list []Generation, line string, state State) (Generation, bool) {
	i := slices.IndexFunc(list, func(g Generation) bool { return g.Line == line && g.State == state })
	if i < 0 {
		return Generation{}, false
	}
	return list[i], true
}
