package pfx

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
)

var beginPEM = []byte("-----BEGIN ")

// isPEM tells a file of keys and certificates in PEM from PKCS #12 in PEM.
func isPEM(file []byte) bool {
	if len(file) == 0 || file[0] == sequence {
		return false
	}
	block, _ := pem.Decode(bytes.TrimPrefix(file, byteOrderMark))
	if block == nil {
		return bytes.Contains(file, beginPEM)
	}
	return block.Type != "PKCS12"
}

// openPEM reads the keys and certificates of a PEM file as if they were the
// bags of a safe. Nothing but the encryption of a key tells whether the
// password is right, and no MAC is asked for: PEM has none.
//
// Spec: RFC 7468
func (r *reader) openPEM(ctx context.Context, file []byte, pw password) ([]safe, error) {
	r.proven = false
	blocks, err := pemBlocks(bytes.TrimPrefix(file, byteOrderMark), r.limits.Bags)
	if err != nil {
		return nil, err
	}
	var s safe
	found := false
	for _, p := range blocks {
		r.secret(p.Bytes)
		b, err := r.block(ctx, p, pw)
		if err != nil {
			return nil, err
		}
		found = found || b.kind != ""
		s.bags = append(s.bags, b)
	}
	if !found {
		return nil, ErrNotPKCS12
	}
	return []safe{s}, nil
}

// pemBlocks takes a text apart. The standard library passes over what is
// damaged; here a key that is lost in silence would be the worst answer.
func pemBlocks(text []byte, most int) (blocks []*pem.Block, err error) {
	begun := bytes.Count(text, beginPEM)
	if begun > most {
		return nil, ErrLimit.Saying("The file holds more keys and certificates than is allowed.")
	}
	last := text[bytes.LastIndex(text, beginPEM):]
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	switch {
	case len(blocks) == begun:
		return blocks, nil
	case !bytes.Contains(last, []byte("-----END ")):
		return nil, ErrTruncated
	}
	return nil, ErrMalformed.Saying("A PEM block in the file is damaged.")
}

// block gives a PEM block as a bag, one without kind when it is neither key
// nor certificate. It fails only where the whole file must.
func (r *reader) block(ctx context.Context, p *pem.Block, pw password) (b bag, err error) {
	b.kind, b.value = oidKeyBag, p.Bytes
	switch p.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		b.kind = oidCertBag
	case "PRIVATE KEY":
	case "ENCRYPTED PRIVATE KEY":
		err = r.encryptedKey(ctx, &b, pw)
	case "RSA PRIVATE KEY", "EC PRIVATE KEY":
		b.value, b.err = r.traditional(p)
	case "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY":
		b.err = ErrKeyUnsupported
	case "EC PARAMETERS":
		b.kind = ""
	case "X509 CRL":
		b.kind = ""
		r.note(NoteCRL)
	default:
		b.kind = ""
		r.note(NoteUnknown)
	}
	return b, err
}

// encryptedKey decrypts PKCS #8. The first one proves or disproves the
// password; padding may fit by chance, structure hardly.
//
// Spec: RFC 5958 section 3
func (r *reader) encryptedKey(ctx context.Context, b *bag, pw password) error {
	der, err := r.normal(b.value)
	if err != nil {
		b.err = ErrKeyMalformed
		return nil
	}
	b.kind = oidShroudedBag
	if err := r.shrouded(ctx, b, der, pw); err != nil || b.err != nil {
		return err
	}
	if _, err := r.normal(b.value); errors.Is(err, errBER) || errors.Is(err, errShort) {
		if !r.proven {
			return errDecrypt
		}
		b.err = ErrKeyPassword
		return nil
	}
	r.proven = true
	return nil
}

// traditional puts a key of the form from before PKCS #8 into that.
//
// Spec: RFC 8017 appendix A.1.2, RFC 5915 section 3
func (r *reader) traditional(p *pem.Block) ([]byte, *fault.Error) {
	if p.Headers["Proc-Type"] != "" || p.Headers["DEK-Info"] != "" {
		return nil, ErrKeyTraditional
	}
	kind := []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00") // rsaEncryption, NULL
	if p.Type == "EC PRIVATE KEY" {
		curve, ok := curveOf(p.Bytes)
		if !ok {
			return nil, ErrKeyUnsupported
		}
		kind = append([]byte("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"), curve...) // id-ecPublicKey
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, len(p.Bytes)+len(kind)+32))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(kind) })
		b.AddASN1OctetString(p.Bytes)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, ErrKeyMalformed
	}
	r.secret(der)
	return der, nil
}

// curveOf gives the identifier of the curve, as an element.
func curveOf(key cryptobyte.String) (curve cryptobyte.String, ok bool) {
	var seq, params cryptobyte.String
	ok = key.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.SkipASN1(cbasn1.INTEGER) && seq.SkipASN1(cbasn1.OCTET_STRING) &&
		seq.ReadASN1(&params, explicit0) && params.ReadASN1Element(&curve, cbasn1.OBJECT_IDENTIFIER)
	return curve, ok
}
