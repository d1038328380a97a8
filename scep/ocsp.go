package scep

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/scep/ca"
)

const (
	// ocspRefresh is how old a signed answer may get before the next question
	// about the certificate has another signed.
	ocspRefresh = ca.OCSPLife / 2
	// MaxOCSP is the longest OCSP request in bytes.
	MaxOCSP = 2048
	// ocspBatch is how many answers are signed in one go.
	ocspBatch = 500
	// maxAnswers is where one call stops, however many are wanted.
	maxAnswers = 100 * ocspBatch
)

// OCSPReply is what a responder says.
type OCSPReply struct {
	DER        []byte
	ThisUpdate time.Time // zero: it is an error, which nobody may keep
	NextUpdate time.Time
}

// OCSP answers a question about a certificate of an issuer, of type [TypeOCSP],
// with what was signed before. The answer about a certificate is signed at the
// first question, at its revocation, and when half of its life is over. Of a
// certificate that we did not issue, or that expired, nothing is said: the
// reply is "unauthorized". ErrIssuerUnknown.
//
// Spec: RFC 5019 section 2.2.3
func (s *Service) OCSP(ctx context.Context, issuer string, request []byte) (OCSPReply, error) {
	i, err := s.issuer(issuer)
	if err != nil {
		return OCSPReply{}, err
	}
	q, err := i.ReadQuestion(request)
	switch {
	case errors.Is(err, ca.ErrQuestion):
		return OCSPReply{DER: ocsp.MalformedRequestErrorResponse}, nil
	case errors.Is(err, ca.ErrNotOurs):
		return OCSPReply{DER: ocsp.UnauthorizedErrorResponse}, nil
	case err != nil:
		return OCSPReply{}, err
	}
	a, err := s.answer(ctx, issuer, q)
	switch {
	case errors.Is(err, ErrCertificateUnknown):
		return OCSPReply{DER: ocsp.UnauthorizedErrorResponse}, nil
	case err != nil:
		s.Log.ErrorContext(ctx, "no OCSP answer could be had", logx.Kind, issuer, logx.Err, err)
		return OCSPReply{DER: ocsp.TryLaterErrorResponse}, nil
	}
	return OCSPReply{DER: a.DER, ThisUpdate: a.ThisUpdate, NextUpdate: a.ThisUpdate.Add(ca.OCSPLife)}, nil
}

// answer gives the stored answer, made anew if need be.
func (s *Service) answer(ctx context.Context, issuer string, q Question) (Answer, error) {
	a, err := s.Store.Answer(ctx, issuer, q)
	if err != nil || !a.stale(s.Now()) {
		return a, err
	}
	next, err := s.signed(ctx, issuer, q)
	switch {
	case err == nil || errors.Is(err, ErrCertificateUnknown):
		return next, err
	case len(a.DER) == 0 || !s.Now().Before(a.ThisUpdate.Add(ca.OCSPLife)) || s.contradicts(ctx, q, a):
		return Answer{}, err
	}
	s.Log.WarnContext(ctx, "an old OCSP answer is served, no new one could be signed", logx.Kind, issuer, logx.Err, err)
	return a, nil
}

// contradicts tells whether an answer says good of what is revoked by now, as
// far as that can be found out.
func (s *Service) contradicts(ctx context.Context, q Question, a Answer) bool {
	r, err := ocsp.ParseResponse(a.DER, nil)
	if err != nil {
		return true
	}
	i, err := s.Certificate(ctx, string(q.Serial))
	return err != nil || i.Record.Revoked() && r.Status != ocsp.Revoked
}

func (s *Service) signed(ctx context.Context, issuer string, q Question) (Answer, error) {
	if err := s.Store.AnswerWanted(ctx, issuer, q, s.Now()); err != nil {
		return Answer{}, err
	}
	if err := s.publish(ctx, issuer); err != nil {
		return Answer{}, err
	}
	a, err := s.Store.Answer(ctx, issuer, q)
	if err == nil && len(a.DER) == 0 {
		return a, errors.New("scep: the keeper signed no answer")
	}
	return a, err
}

func (a Answer) stale(now time.Time) bool {
	return len(a.DER) == 0 || a.Outdated || now.Sub(a.ThisUpdate).Abs() >= ocspRefresh
}

// answer signs the answers that are wanted until there are none, so that one
// which was outdated meanwhile is signed as well.
func (v *Certifier) answer(ctx context.Context, p *press, i *ca.Issuer) (n int, err error) {
	for n < maxAnswers {
		wanted, err := v.Store.AnswersWanted(ctx, i.Name(), ocspBatch)
		if err != nil || len(wanted) == 0 {
			return n, err
		}
		r, err := v.responder(p, i)
		if err != nil {
			return n, err
		}
		now, list := v.Now(), make([]Signed, len(wanted))
		for k, w := range wanted {
			list[k].Wanted = w
			if list[k].DER, err = r.Answer(w.Question, w.Revocation, now); err != nil {
				return n, err
			}
		}
		if err := v.Store.AnswersSigned(ctx, i.Name(), list, now); err != nil {
			return n, fmt.Errorf("storing OCSP answers of %s: %w", i.Name(), err)
		}
		n += len(list)
	}
	return n, nil
}

// responder gives the OCSP signer of an issuer, a new one when it is due.
func (v *Certifier) responder(p *press, i *ca.Issuer) (*ca.Responder, error) {
	if r := p.current(v.Now()); r != nil {
		return r, nil
	}
	r, err := ca.NewResponder(i, v.Now())
	if err != nil {
		return nil, fmt.Errorf("making the OCSP signer of %s: %w", i.Name(), err)
	}
	p.follow(r)
	return r, nil
}

// SignerEnds gives the end of each OCSP signer's certificate, by issuer.
func (v *Certifier) SignerEnds() map[string]time.Time {
	v.presses.mu.Lock()
	defer v.presses.mu.Unlock()
	ends := map[string]time.Time{}
	for name, p := range v.presses.of {
		p.mu.Lock()
		if p.responder != nil {
			ends[name] = p.responder.Certificate().NotAfter
		}
		p.mu.Unlock()
	}
	return ends
}

// DecodeOCSP reads the question in the path of a GET: base64, in the alphabet
// for addresses as well, padded or not. What is none gives nil, which is no
// question.
func DecodeOCSP(text string) []byte {
	if len(text) > 2*MaxOCSP {
		return nil
	}
	s := strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(text)
	request, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(request) > MaxOCSP {
		return nil
	}
	return request
}
