package pfx

import (
	"crypto/x509"
	"math"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// reader is the work on one file: what is left of its budget, and what must be
// overwritten at the end.
type reader struct {
	limits  Limits
	walker  walker
	spent   int64 // iterations
	rsaBits int64 // of RSA keys, to the third power
	bags    int
	checks  int                                     // of signatures
	issuers map[*x509.Certificate]*x509.Certificate // found already
	proven  bool                                    // the password has opened or verified something
	secrets [][]byte
	notes   []Note
}

func newReader(l Limits) *reader {
	return &reader{
		limits:  l,
		walker:  walker{depth: l.Depth, nodes: l.Nodes},
		issuers: map[*x509.Certificate]*x509.Certificate{},
	}
}

// secret remembers b for wipe.
func (r *reader) secret(b []byte) { r.secrets = append(r.secrets, b) }

func (r *reader) wipe() {
	for _, b := range r.secrets {
		clear(b[:cap(b)])
	}
}

func (r *reader) note(n Note) {
	if !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// iterations reads a count within the limits of one derivation.
func (r *reader) iterations(s *cryptobyte.String) (int64, error) {
	n := new(big.Int)
	if !s.PeekASN1Tag(cbasn1.INTEGER) || !s.ReadASN1Integer(n) {
		return 0, ErrMalformed
	}
	if n.Sign() < 1 || !n.IsInt64() || n.Int64() > min(r.limits.KDFIterations, math.MaxInt32) {
		return 0, ErrLimit.Saying("A key derivation in the file has zero or too many iterations.")
	}
	return n.Int64(), nil
}

// charge takes a derivation from the file's budget, before it runs.
func (r *reader) charge(iterations, times int64) error {
	r.spent += iterations * times
	if r.spent > r.limits.FileIterations {
		return ErrLimit.Saying("All key derivations in the file together have too many iterations.")
	}
	return nil
}

// normal rewrites a buffer that holds one element and nothing else. The result
// may hold keys.
func (r *reader) normal(b []byte) (cryptobyte.String, error) {
	der, rest, err := r.walker.der(b)
	r.secret(der)
	if err == nil && len(rest) > 0 {
		err = errBER
	}
	return der, err
}
