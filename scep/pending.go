package scep

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// await gives the certificate of an approved request. A new request waits from
// now on where people approve, unless refused says why not: [ErrPending].
func (v *Certifier) await(ctx context.Context, a issuing, i Issuance, refused error) (cert.Record, error) {
	r, err := v.asked(ctx, a, i)
	if errors.Is(err, ErrTransaction) && !a.profile.Approval {
		return v.once(ctx, a, i, refused)
	}
	if errors.Is(err, ErrTransaction) {
		if refused != nil {
			return cert.Record{}, refused
		}
		if r, err = v.ask(ctx, a, i, RequestOpen); err == nil {
			return cert.Record{}, ErrPending
		}
		if again, found := v.asked(ctx, a, i); found == nil { // the same message was faster
			r, err = again, nil
		}
	}
	if err != nil {
		return cert.Record{}, err
	}
	return v.settle(ctx, a, r)
}

// asked finds the request that the same client made before, of the same right.
func (v *Certifier) asked(ctx context.Context, a issuing, i Issuance) (Request, error) {
	r, err := v.Store.RequestOf(ctx, a.Profile, a.Transaction, cert.FingerprintOf(a.signer.RawSubjectPublicKeyInfo))
	if err == nil && (r.Challenge != i.Challenge || r.Renews != i.Renews || r.SPKI != i.SPKI) {
		err = ErrTransaction
	}
	return r, err
}

// ask stores a request on which people decide: ours, or those of another CA.
func (v *Certifier) ask(ctx context.Context, a issuing, i Issuance, state RequestState) (Request, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Request{}, fmt.Errorf("making request id: %w", err)
	}
	now := v.Now()
	r := Request{
		Grant: i.Grant, ID: id.String(), Challenge: i.Challenge, Renews: i.Renews, Transaction: a.Transaction,
		Signer: cert.FingerprintOf(a.signer.RawSubjectPublicKeyInfo), SPKI: i.SPKI, CSR: a.CSR, Remote: a.Remote,
		State: state, Created: now, Expires: now.Add(requestLife),
	}
	e := entry(now, device(r.Grant, a.Remote), journal.RequestPending, r.Grant)
	e.Detail["request"] = r.ID
	if state == RequestUpstream {
		e.Detail["issuer"] = Upstream
	}
	if err := v.Store.RequestMade(ctx, r, e); err != nil {
		return r, err
	}
	v.Log.InfoContext(ctx, "certificate request waits for approval", logx.Profile, a.Profile, logx.User, r.Holder.User,
		logx.Device, r.Holder.Device, logx.Request, r.ID, logx.State, string(r.State), logx.Remote, a.Remote)
	return r, nil
}

// poll answers a client that asks what became of its request: who has the same
// transaction and the key that signed it.
//
// Spec: RFC 8894 section 3.3.3
func (v *Certifier) poll(ctx context.Context, a issuing) (cert.Record, error) {
	r, err := v.Store.RequestOf(ctx, a.Profile, a.Transaction, cert.FingerprintOf(a.signer.RawSubjectPublicKeyInfo))
	if err != nil {
		return cert.Record{}, err
	}
	c, err := v.settle(ctx, a, r)
	if err != nil {
		err = about{err, r.Holder}
	}
	return c, err
}

// settle answers by the state of a request. One that was approved is issued
// here, by the same steps as any other: once, whoever else asks meanwhile, and
// wherever the process dies.
func (v *Certifier) settle(ctx context.Context, a issuing, r Request) (cert.Record, error) {
	var over error
	switch r.stateAt(v.Now()) {
	case RequestApproved, RequestUpstream:
		if err := v.lapsed(ctx, r); err != nil { // told before a serial number is taken: a client asks often
			return cert.Record{}, err
		}
	case RequestIssued:
		over = ErrChallengeUsed
	case RequestDenied:
		return cert.Record{}, ErrRequestDenied
	case RequestVoid:
		return cert.Record{}, ErrChallengeVoid
	case RequestExpired:
		return cert.Record{}, ErrRequestExpired
	default:
		return cert.Record{}, ErrPending
	}
	var err error
	a.CSR, a.handedOn = r.CSR, r.State == RequestUpstream
	if a.wanted, err = readCSR(r.CSR, a.profile.Legacy); err != nil {
		return cert.Record{}, err
	}
	i := Issuance{Grant: r.Grant, Challenge: r.Challenge, Renews: r.Renews, Request: r.ID, Transaction: r.Transaction, SPKI: r.SPKI}
	return v.once(ctx, a, i, over)
}

// lapsed tells why an approved request earns nothing any more; nil when it does.
// Days may be between the question and the answer.
func (v *Certifier) lapsed(ctx context.Context, r Request) error {
	if r.Gone {
		return ErrHolder
	}
	if err := v.unowned(ctx, r.Grant); err != nil || r.Renews.IsZero() {
		return err
	}
	old, err := v.Store.Issued(ctx, r.Renews)
	if err == nil && old.Record.Revoked() {
		err = ErrRenewalOver
	}
	return err
}

// readPoll holds the content of a CertPoll against its form. What is in it
// counts for nothing; but a wrong envelope that opens by chance must be told
// from a right one no better here than elsewhere.
//
// Spec: RFC 8894 section 3.3.3
func readPoll(der []byte) error {
	var names []asn1.RawValue // issuer and subject
	rest, err := asn1.Unmarshal(der, &names)
	if err != nil || len(rest) > 0 || len(names) != 2 || !isName(names[0]) || !isName(names[1]) {
		return ErrUnreadable
	}
	return nil
}

func isName(v asn1.RawValue) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence && v.IsCompound
}
