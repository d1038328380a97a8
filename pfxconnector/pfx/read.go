package pfx

import (
	"context"
	"errors"
	"runtime"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// decoders lets as many files be worked on at once as there are processors,
// in the whole process: derivations are pure computing.
var decoders = make(chan struct{}, runtime.GOMAXPROCS(0))

// Read opens file, PKCS #12 or PEM, with password, within limits. A failure of the whole file is
// a *fault.Error of errors.go, or the context's cause; a bag that cannot be
// used is in Result.Problems and the rest is read. A Result without identities
// is no error of Read. It does not keep file or password.
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

// contents is an opened file.
type contents struct {
	outer
	safes []safe
}

// open finds the password variant that fits, and opens everything with it.
func (r *reader) open(ctx context.Context, file []byte, secret seal.Secret) (c contents, err error) {
	inside := func(pw password) ([]safe, error) { return r.openPEM(ctx, file, pw) }
	if isPEM(file) {
		r.note(NotePEM)
	} else {
		if c.outer, err = r.checked(file); err != nil {
			return c, err
		}
		inside = func(pw password) ([]safe, error) { return r.try(ctx, c.outer, pw) }
	}
	for _, pw := range attempts(secret) {
		c.safes, err = inside(pw)
		pw.wipe()
		if errors.Is(err, errDecrypt) {
			err = ErrPassword
		}
		if !errors.Is(err, ErrPassword) {
			break
		}
	}
	return c, err
}

// checked opens the shell and wants a MAC in it, unless files without are
// allowed.
func (r *reader) checked(file []byte) (outer, error) {
	o, err := r.outer(file)
	switch {
	case err != nil:
		return o, err
	case o.mac == nil && !r.limits.AllowNoMAC:
		return o, ErrNoMAC
	case o.mac == nil:
		r.note(NoteNoMAC)
	}
	return o, nil
}

// try opens everything with one password. ErrPassword and errDecrypt mean it is
// another.
func (r *reader) try(ctx context.Context, o outer, pw password) ([]safe, error) {
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
	return r.safes(ctx, o.content, pw)
}
