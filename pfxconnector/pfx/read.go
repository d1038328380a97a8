package pfx

import (
	"context"
	"errors"
	"math"
	"math/big"
	"runtime"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// decoders lets as many files be worked on at once as there are processors,
// in the whole process: derivations are pure computing.
var decoders = make(chan struct{}, runtime.GOMAXPROCS(0))

// Read opens file with password, within limits. A failure of the whole file is
// a *fault.Error of errors.go, or the context's cause; a bag that cannot be
// used is in Result.Problems and the rest is read. A Result without identities
// is no error of Read: ask [Result.Err]. Read does not keep file or password.
func Read(ctx context.Context, file []byte, password seal.Secret, limits Limits) (*Result, error) {
	if len(file) > limits.FileBytes {
		return nil, ErrLimit.Saying("The file is larger than is allowed.")
	}
	if len(password.Reveal()) > maxPasswordBytes {
		return nil, ErrPassword
	}
	select {
	case decoders <- struct{}{}:
		defer func() { <-decoders }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, ErrLimit.Saying("Opening the file takes longer than is allowed."))
	defer cancel()
	r := newReader(limits)
	defer r.wipe()
	c, err := r.open(ctx, file, password)
	if err != nil {
		return nil, named(err, password)
	}
	return r.result(ctx, c)
}

// named gives the failure a reader of the console understands.
func named(err error, password seal.Secret) error {
	switch {
	case errors.Is(err, ErrPassword):
		return wrong(password)
	case fault.Of(err) == nil && (errors.Is(err, errBER) || errors.Is(err, errShort)):
		return ErrMalformed.With(err)
	}
	return err
}

// wrong hints at what is easily overlooked.
func wrong(password seal.Secret) error {
	f := *ErrPassword
	if text := password.Reveal(); len(text) > 0 && (text[0] <= ' ' || text[len(text)-1] <= ' ') {
		f.Hint = "The password begins or ends with a space or line break; is that meant?"
	}
	return &f
}

// reader is the work on one file: what is left of its budget, and what must be
// overwritten at the end.
type reader struct {
	limits  Limits
	walker  walker
	spent   int64 // iterations
	bags    int
	checks  int  // of signatures
	proven  bool // the password has opened or verified something
	secrets [][]byte
	notes   []Note
}

func newReader(l Limits) *reader {
	return &reader{limits: l, walker: walker{depth: l.Depth, nodes: l.Nodes}}
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

// outer is the shell of a file: what is checked, and with what.
type outer struct {
	content []byte // of the AuthenticatedSafe, exactly as found
	mac     *macData
	strict  bool // the shell is DER already
}

// outer opens the shell.
//
// Spec: RFC 7292 section 4
func (r *reader) outer(file []byte) (o outer, err error) {
	raw, armoured, err := unwrap(file)
	if err != nil {
		return o, err
	}
	if armoured {
		r.secret(raw)
		r.note(NoteArmour)
	}
	der, rest, err := r.walker.der(raw)
	r.secret(der)
	switch {
	case errors.Is(err, ErrLimit):
		return o, err
	case errors.Is(err, errShort) && beginsLikePFX(raw):
		return o, ErrTruncated
	case err != nil:
		return o, ErrNotPKCS12.With(err)
	}
	if len(rest) > 0 {
		r.note(NoteTrailing)
	}
	o.strict = slices.Equal(der, raw)
	return o, o.parse(der)
}

func (o *outer) parse(der cryptobyte.String) error {
	var pfx, info, content cryptobyte.String
	var version int
	var kind string
	if !der.ReadASN1(&pfx, cbasn1.SEQUENCE) || !pfx.ReadASN1Integer(&version) || version != 3 ||
		!pfx.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &kind) {
		return ErrNotPKCS12
	}
	switch kind {
	case oidData:
	case oidSignedData:
		return ErrPublicKeyMAC
	case oidEnvelopedData:
		return ErrPrincipal
	default:
		return unsupported(kind)
	}
	if !info.ReadASN1(&content, explicit0) || !content.ReadASN1Bytes(&o.content, cbasn1.OCTET_STRING) {
		return ErrNotPKCS12
	}
	if pfx.Empty() {
		return nil
	}
	m, ok := readMAC(&pfx)
	if !ok {
		return ErrMalformed
	}
	o.mac = &m
	return nil
}

// beginsLikePFX tells a cut file from something else.
func beginsLikePFX(b []byte) bool {
	h, err := readHead(b)
	return err == nil && len(b) >= h.size+3 && string(b[h.size:h.size+3]) == "\x02\x01\x03"
}

// contents is an opened file.
type contents struct {
	outer
	safes []safe
}

// open finds the password variant that fits, and opens everything with it.
func (r *reader) open(ctx context.Context, file []byte, secret seal.Secret) (contents, error) {
	o, err := r.outer(file)
	if err != nil {
		return contents{}, err
	}
	if o.mac == nil && !r.limits.AllowNoMAC {
		return contents{}, ErrNoMAC
	}
	if o.mac == nil {
		r.note(NoteNoMAC)
	}
	err = ErrPassword
	for _, pw := range attempts(secret) {
		var safes []safe
		if safes, err = r.try(ctx, o, pw); err == nil || !errors.Is(err, ErrPassword) {
			return contents{o, safes}, err
		}
	}
	return contents{}, err
}

// try opens everything with one password. ErrPassword means it is another.
func (r *reader) try(ctx context.Context, o outer, pw password) ([]safe, error) {
	defer pw.wipe()
	if o.mac != nil {
		ok, err := r.verify(ctx, *o.mac, o.content, pw)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, ErrPassword
		}
	}
	r.proven, r.bags = o.mac != nil, 0
	safes, err := r.safes(ctx, o.content, pw)
	if errors.Is(err, errDecrypt) {
		err = ErrPassword
	}
	return safes, err
}
