// Package exchange makes, as files, what Exchange and the directory behind it
// have to know of our certificates: the collection of CA certificates that
// Exchange validates against ([Collect], [SST]), the script that loads it
// ([Script]), and the changes that put each person's certificate into his
// directory entry ([NewPlan], [Plan.LDIF]).
//
// It is pure: certificates in, bytes out. Names in certificates and directory
// entries are foreign text; nothing of them can end a line or a value here.
package exchange

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// maxDepth bounds how far up a chain is followed.
const maxDepth = 8

// Collection is the CA certificates that validate a set of certificates.
type Collection struct {
	CAs     []*x509.Certificate // each once, in the order in which they were found
	LeftOut []LeftOut           // CAs that lead upwards and must not be in it
	Gaps    []*x509.Certificate // what lacks an issuer, the first certificate of each gap
}

// LeftOut is a CA certificate with the reason why it is not in the collection.
type LeftOut struct {
	CA     *x509.Certificate
	Reason string
}

// Collect follows each certificate to its root through the known CA
// certificates. Only a link whose signature verifies counts: every CA in the
// collection is trusted for everybody's mail.
func Collect(certificates, known []*x509.Certificate, now time.Time) Collection {
	w := walk{bySubject: map[string][]*x509.Certificate{}, seen: map[cert.Fingerprint]bool{}, now: now}
	for _, c := range known {
		w.bySubject[string(c.RawSubject)] = append(w.bySubject[string(c.RawSubject)], c)
	}
	for _, c := range certificates {
		w.up(c)
	}
	return w.Collection
}

// Add takes a CA certificate in, unless it is there already or is unfit.
func (c *Collection) Add(ca *x509.Certificate, now time.Time) {
	for _, have := range c.CAs {
		if have.Equal(ca) {
			return
		}
	}
	if why := unfit(ca, now); why != "" {
		c.LeftOut = append(c.LeftOut, LeftOut{ca, why})
		return
	}
	c.CAs = append(c.CAs, ca)
}

// FirstEnd gives the day on which the first CA of the collection expires; zero
// for an empty one.
func (c Collection) FirstEnd() (end time.Time) {
	for _, ca := range c.CAs {
		if end.IsZero() || ca.NotAfter.Before(end) {
			end = ca.NotAfter
		}
	}
	return end
}

type walk struct {
	Collection
	bySubject map[string][]*x509.Certificate
	seen      map[cert.Fingerprint]bool
	now       time.Time
}

// up follows c to its root. Where several certificates are an issuer's, such
// as one that was renewed, all of them count.
func (w *walk) up(c *x509.Certificate) {
	level := []*x509.Certificate{c}
	for depth := 0; len(level) > 0 && depth <= maxDepth; depth++ {
		var next []*x509.Certificate
		for _, c := range level {
			next = append(next, w.visit(c)...)
		}
		level = next
	}
}

// visit takes c in if it is a CA's, and gives its issuers.
func (w *walk) visit(c *x509.Certificate) []*x509.Certificate {
	f := cert.FingerprintOf(c.Raw)
	if w.seen[f] {
		return nil
	}
	w.seen[f] = true
	if c.IsCA {
		w.Add(c, w.now)
	}
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		return nil
	}
	var issuers []*x509.Certificate
	for _, ca := range w.bySubject[string(c.RawIssuer)] {
		if c.CheckSignatureFrom(ca) == nil {
			issuers = append(issuers, ca)
		}
	}
	if len(issuers) == 0 {
		w.Gaps = append(w.Gaps, c)
	}
	return issuers
}

// unfit tells why a certificate must not be in a collection, "" for nothing.
//
// Quirk: Set-SmimeConfig refuses the whole file when one certificate in it has
// expired.
func unfit(c *x509.Certificate, now time.Time) string {
	switch {
	case !c.IsCA:
		return "It is no CA certificate."
	case now.After(c.NotAfter):
		return "It expired on " + c.NotAfter.UTC().Format(time.DateOnly) + "."
	}
	return ""
}
