package pfx

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

const (
	maxChain  = 8
	maxChecks = 500 // of signatures in a file; each certificate needs one, or few
)

// result sorts what was found into identities and the rest.
func (r *reader) result(ctx context.Context, c contents) (*Result, error) {
	res := new(Result)
	keys, certs, err := r.items(ctx, c, res)
	if err != nil {
		return nil, err
	}
	used := map[*x509.Certificate]bool{}
	for _, k := range keys {
		before := len(res.Identities)
		for _, crt := range certs {
			if ctx.Err() != nil {
				res.Wipe()
				return nil, context.Cause(ctx)
			}
			if !k.public().Equal(crt.PublicKey) {
				continue
			}
			id := r.identity(k, crt, certs)
			used[crt.Certificate] = true
			for _, up := range id.Chain {
				used[up] = true
			}
			res.Identities = append(res.Identities, id)
		}
		if len(res.Identities) == before {
			res.UnpairedKeys++
		}
		k.pkcs8.Wipe()
	}
	for _, crt := range certs {
		if !used[crt.Certificate] {
			res.Unpaired = append(res.Unpaired, crt.Certificate)
		}
	}
	res.Notes = r.notes
	return res, nil
}

// items parses all bags, each key and certificate once.
func (r *reader) items(ctx context.Context, c contents, res *Result) (keys []key, certs []certificate, err error) {
	n := 0
	for _, s := range c.safes {
		for _, b := range s.bags {
			n++
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			var f *fault.Error
			var what string
			switch b.kind {
			case oidKeyBag, oidShroudedBag:
				what = "key"
				keys, f = r.addKey(keys, b)
			case oidCertBag:
				what = "certificate"
				certs, f = r.addCertificate(certs, b)
			}
			if f != nil {
				res.Problems = append(res.Problems, Problem{fmt.Sprintf("bag %d (%s)", n, what), f})
			}
		}
	}
	return keys, certs, nil
}

func (r *reader) addKey(keys []key, b bag) ([]key, *fault.Error) {
	if b.err != nil {
		return keys, b.err
	}
	k, f := r.key(b.value)
	if f != nil {
		return keys, f
	}
	k.name = b.name
	if slices.ContainsFunc(keys, func(o key) bool { return o.public().Equal(k.private.Public()) }) {
		r.note(NoteKeyTwice)
		k.pkcs8.Wipe()
		return keys, nil
	}
	return append(keys, k), nil
}

func (r *reader) addCertificate(certs []certificate, b bag) ([]certificate, *fault.Error) {
	if b.err != nil {
		return certs, b.err
	}
	if slices.ContainsFunc(certs, func(o certificate) bool { return bytes.Equal(o.Raw, b.value) }) {
		return certs, nil
	}
	c, f := r.certificate(b.value)
	if f != nil {
		return certs, f
	}
	return append(certs, certificate{c, b.name}), nil
}

// identity joins a key and one of its certificates.
func (r *reader) identity(k key, c certificate, certs []certificate) Identity {
	name := c.name
	if name == "" {
		name = k.name
	}
	return Identity{
		Key:          crypto.PrivateKey(k.private),
		PKCS8:        seal.NewSecret(bytes.Clone(k.pkcs8.Reveal())),
		Certificate:  c.Certificate,
		Chain:        r.chain(c.Certificate, certs),
		FriendlyName: name,
	}
}

// chain follows issuers within the file.
func (r *reader) chain(leaf *x509.Certificate, certs []certificate) []*x509.Certificate {
	var up []*x509.Certificate
	at := leaf
	for len(up) < maxChain && !bytes.Equal(at.RawSubject, at.RawIssuer) {
		next, known := r.issuers[at]
		if !known {
			next = r.issuer(at, certs)
			r.issuers[at] = next
		}
		if next == nil || next == leaf || slices.Contains(up, next) {
			break
		}
		up = append(up, next)
		at = next
	}
	return up
}

// issuer finds who signed c.
// Quirk: old certificates are signed with SHA-1, which the standard library
// does not verify; there names and key identifiers have to do. A chain only
// travels with its leaf, nothing here trusts it.
func (r *reader) issuer(c *x509.Certificate, certs []certificate) *x509.Certificate {
	for _, p := range certs {
		if !bytes.Equal(p.RawSubject, c.RawIssuer) || differ(p.SubjectKeyId, c.AuthorityKeyId) {
			continue
		}
		if r.checks++; r.checks > maxChecks {
			r.note(NoteChainCut)
			return nil
		}
		err := c.CheckSignatureFrom(p.Certificate)
		if _, old := errors.AsType[x509.InsecureAlgorithmError](err); err == nil || old {
			return p.Certificate
		}
	}
	return nil
}

// differ tells whether both key identifiers are there and unlike.
func differ(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && !bytes.Equal(a, b) }
