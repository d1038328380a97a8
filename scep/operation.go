package scep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/logx"
)

// PKIOperation answers a message of a client at the address remote with a
// CertRep of type [TypeMessage], which says SUCCESS, PENDING or FAILURE. An error is
// for what no CertRep can answer: ErrProfileUnknown, ErrTooLarge, ErrTooMany,
// ErrMessage, or our own failure to sign.
//
// Spec: RFC 8894 section 4.3
func (s *Service) PKIOperation(ctx context.Context, profile, remote string, message []byte) ([]byte, error) {
	l, err := s.line(ctx, profile)
	switch {
	case err != nil:
		return nil, err
	case len(message) > MaxMessage:
		return nil, ErrTooLarge
	}
	r, err := parseSafely(message)
	if err != nil {
		return nil, err
	}
	if !s.work.allow(remote, s.Now()) { // from here on our keys work
		return nil, ErrTooMany
	}
	l = l.to(r.envelope)
	c, err := s.serveSafely(ctx, l, remote, r)
	if err == nil {
		return s.success(l, r, c)
	}
	if errors.Is(err, ErrPending) {
		return s.pending(l, r)
	}
	s.report(ctx, l, remote, r, err)
	if errors.Is(err, ErrChallengeUnknown) && s.guesses.another(remote, s.Now()) > s.MaxFailures {
		return nil, ErrTooMany // not worth a signature; a right one still gets through
	}
	return s.failure(l, r, err)
}

// plainID is what the transactions of all known clients look like: a hash in
// hex, or a number. Whatever else a client sends is not logged.
var plainID = regexp.MustCompile(`^[0-9A-Fa-f]{1,128}$`)

// report logs why a request was refused; only what we did wrong is an error.
func (s *Service) report(ctx context.Context, l *line, remote string, r *request, err error) {
	level := slog.LevelInfo
	if fault.Of(err) == nil && !errors.Is(err, context.Canceled) {
		level = slog.LevelError
	}
	args := []any{logx.Profile, l.Name, logx.Remote, remote, logx.Code, fault.Code(err), logx.Err, err}
	if plainID.Match(r.transaction.Bytes) {
		args = append(args, logx.Transaction, string(r.transaction.Bytes))
	}
	if whom, known := errors.AsType[about](err); known {
		args = append(args, logx.User, whom.User, logx.Device, whom.Device)
	}
	s.Log.Log(ctx, level, "certificate request refused", args...)
}

// parseSafely is parse for bytes that nobody vouches for.
func parseSafely(message []byte) (r *request, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, ErrMessage.With(panicked(p))
		}
	}()
	return parse(message)
}

func (s *Service) serveSafely(ctx context.Context, l *line, remote string, r *request) (c cert.Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return s.serve(ctx, l, remote, r)
}

// panicked tells where, and of what type the value is. The value itself is not
// printed: it may be of a foreign type whose String panics again.
func panicked(p any) error { return fmt.Errorf("panic of type %T: %s", p, debug.Stack()) }

// serve gives the certificate that r earns. Every type of message but the
// listed ones is refused.
func (s *Service) serve(ctx context.Context, l *line, remote string, r *request) (cert.Record, error) {
	switch r.kind {
	case pkcsReq, renewalReq, certPoll:
	default:
		return cert.Record{}, ErrMessageType
	}
	if err := r.acceptable(l.Legacy, s.MaxSkew, s.Now()); err != nil {
		return cert.Record{}, err
	}
	plain, err := l.ra.open(r.envelope, l.Legacy)
	if err != nil {
		return cert.Record{}, err
	}
	a := Application{Profile: l.Name, Type: r.kind, Transaction: string(r.transaction.Bytes), Signer: r.signer.Raw, Remote: remote, signer: r.signer}
	// Told apart before the keeper is asked, which takes time.
	if r.kind == certPoll {
		err = readPoll(plain)
	} else {
		a.CSR = plain
		a.wanted, err = readCSR(plain, l.Legacy)
	}
	if err != nil {
		return cert.Record{}, err
	}
	if r.kind != certPoll && s.authorities.Load().made(l.Issuer, r.signer) {
		a = Application{Profile: l.Name, Message: r.message, Remote: remote}
	}
	return s.Keeper.Certify(ctx, a)
}
