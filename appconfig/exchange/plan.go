package exchange

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// maxValues is how many certificates of one user Entra ID takes over. With
// more it takes over none of them, and perhaps nothing of that user.
const maxValues = 15

// Person is somebody with the certificate that others are to encrypt to.
type Person struct {
	User    subject.User
	Current *x509.Certificate  // nil: there is none
	Past    []cert.Fingerprint // his others that we know; they decrypt only, and have no place in a directory
}

// Entry is a person's entry in the directory.
type Entry struct {
	DN           string
	Certificates [][]byte // what userCertificate holds, as far as is known
	Shadowed     bool     // userSMIMECertificate has a value, which Outlook prefers
}

// Finder gives a person's entry, or says in a sentence why there is none.
type Finder func(subject.User) (e Entry, why string)

// Plan is what is to be done in the directory.
type Plan struct {
	Changes []Change
	Same    int      // entries that are as they should be
	None    []Remark // persons who have nothing to publish, with the reason
	Missing []Remark // persons who have, and for whom nothing can be written
	Notes   []Remark // what somebody should look at
}

// Change is one entry's.
type Change struct {
	User   subject.User
	DN     string
	Add    *x509.Certificate // nil: it is there
	Delete [][]byte          // his own superseded ones, never anybody else's
}

// Remark is a sentence about a person.
type Remark struct {
	User subject.User
	Text string
}

// NewPlan works out what is to be done so that each entry has the current
// certificate, once, and none that it supersedes. Values that we do not know
// stay: they are other people's work.
func NewPlan(persons []Person, find Finder) Plan {
	var p Plan
	entries := map[string][]subject.User{} // by name, to see two persons in one
	found := make([]*Entry, len(persons))
	for i, who := range persons {
		if why := nothing(who); why != "" {
			p.None = append(p.None, Remark{who.User, why})
			continue
		}
		e, why := find(who.User)
		if why != "" {
			p.Missing = append(p.Missing, Remark{who.User, why})
			continue
		}
		found[i] = &e
		entries[strings.ToLower(e.DN)] = append(entries[strings.ToLower(e.DN)], who.User)
	}
	for i, who := range persons {
		switch e := found[i]; {
		case e == nil:
		case len(entries[strings.ToLower(e.DN)]) > 1:
			p.Missing = append(p.Missing, Remark{who.User, "Another user would have the same entry, " + e.DN + "."})
		default:
			p.change(who, *e)
		}
	}
	return p
}

// nothing tells why nothing of a person is published, "" for something.
func nothing(p Person) string {
	switch {
	case p.User.Disabled:
		return "The user is disabled."
	case p.Current == nil:
		return "There is no current encryption certificate; signet pfx list tells why."
	}
	return ""
}

// change compares what is with what should be.
func (p *Plan) change(who Person, e Entry) {
	c := Change{User: who.User, DN: e.DN, Add: who.Current}
	others := 0
	for _, der := range e.Certificates {
		switch f := cert.FingerprintOf(der); {
		case f == cert.FingerprintOf(who.Current.Raw):
			c.Add = nil
		case slices.Contains(who.Past, f):
			c.Delete = append(c.Delete, der)
		default:
			others++
		}
	}
	switch {
	case others >= maxValues:
		p.Missing = append(p.Missing, Remark{who.User, "The entry has 15 other certificates or more; with one more, Entra ID takes over none."})
		return
	case others > 0:
		p.Notes = append(p.Notes, Remark{who.User, "The entry has other certificates, which senders may take instead."})
	}
	if e.Shadowed {
		p.Notes = append(p.Notes, Remark{who.User, "The entry has a userSMIMECertificate, which Outlook takes instead."})
	}
	if c.Add == nil && len(c.Delete) == 0 {
		p.Same++
		return
	}
	p.Changes = append(p.Changes, c)
}
