package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// Policy says what [Decrypt] accepts beyond AES.
type Policy struct {
	Allow3DES bool
	AllowDES  bool // for tests of old clients; nobody should need it
	MaxBytes  int  // of the envelope; 0: DefaultMaxBytes
}

// envelope is what was read of an EnvelopedData or AuthEnvelopedData.
type envelope struct {
	recipients []recipient
	cipher     contentCipher
	params     element // of the content encryption
	sealed     []byte
	aad        []byte // authenticated attributes, GCM only
	mac        []byte // AuthEnvelopedData only
}

// recipient is a KeyTransRecipientInfo.
type recipient struct {
	issuer, serial []byte // or
	keyID          []byte
	algorithm      element
	wrapped        []byte
}

// Decrypt opens an envelope, BER or DER, that names recipient. The key is
// asked for PKCS#1 v1.5 with a session key length, so that bad padding gives
// a random key and not an answer: every failure from there on is ErrDecrypt,
// at the same place in time. What names another recipient, or is no envelope,
// costs one operation with the key as well. Other errors are ErrTooLarge, ErrMalformed and
// ErrAlgorithm, which anybody could tell from the envelope alone.
//
// Spec: RFC 5652 section 6; RFC 5083; RFC 3218 section 2.3.2
func Decrypt(ber []byte, to *x509.Certificate, key crypto.Decrypter, p Policy) ([]byte, error) {
	env, err := parseEnvelope(ber, p)
	r, ok := env.find(to)
	if errors.Is(err, ErrMalformed) || err == nil && !ok {
		decoy(key)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrDecrypt
	}
	opts, err := transport(r.algorithm, env.cipher.keyLen)
	if err != nil {
		return nil, err
	}
	cek := unwrap(key, r.wrapped, opts, env.cipher.keyLen)
	defer clear(cek)
	plain, ok := env.open(cek)
	if !ok {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// decoy is the work of [unwrap] for an envelope that has nothing for the key,
// so that this takes as long as any other failure.
func decoy(key crypto.Decrypter) {
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return
	}
	const keyLen = 16
	unwrap(key, make([]byte, pub.Size()), &rsa.PKCS1v15DecryptOptions{SessionKeyLen: keyLen}, keyLen)
}

// unwrap gives the content key, or a random one when there is none.
func unwrap(key crypto.Decrypter, wrapped []byte, opts crypto.DecrypterOpts, keyLen int) []byte {
	random := make([]byte, keyLen)
	rand.Read(random)
	cek, err := key.Decrypt(rand.Reader, wrapped, opts)
	if err != nil || len(cek) != keyLen {
		return random
	}
	return cek
}

func (e envelope) open(cek []byte) ([]byte, bool) {
	if !e.cipher.gcm {
		if e.params.id != tagOctets || e.mac != nil {
			return nil, false
		}
		return e.cipher.openCBC(cek, e.params.body, e.sealed)
	}
	params := e.params.inside()
	nonce := params.take(tagOctets)
	if params.bad {
		return nil, false
	}
	return e.cipher.openGCM(cek, nonce.body, append(e.sealed[:len(e.sealed):len(e.sealed)], e.mac...), e.aad)
}

// find gives the recipient info for c: named by issuer and serial number or
// by key identifier, else by serial number alone.
//
// Quirk: clients that write the issuer anew may choose other string types, so
// the bytes differ; a wrong guess only fails to decrypt.
func (e envelope) find(c *x509.Certificate) (recipient, bool) {
	var guess recipient
	var found bool
	for _, r := range e.recipients {
		if r.keyID != nil {
			if bytes.Equal(r.keyID, c.SubjectKeyId) {
				return r, true
			}
			continue
		}
		if !sameSerial(r.serial, c.SerialNumber) {
			continue
		}
		if bytes.Equal(r.issuer, c.RawIssuer) {
			return r, true
		}
		guess, found = r, true
	}
	return guess, found
}

// sameSerial compares the contents of a non-negative INTEGER.
func sameSerial(integer []byte, n *big.Int) bool {
	return len(integer) > 0 && integer[0] < 0x80 && new(big.Int).SetBytes(integer).Cmp(n) == 0
}

func parseEnvelope(ber []byte, p Policy) (envelope, error) {
	contentType, c, err := openContentInfo(ber, p.MaxBytes)
	if err != nil {
		return envelope{}, err
	}
	if contentType != oidEnvelopedData && contentType != oidAuthEnveloped {
		return envelope{}, ErrMalformed
	}
	c.take(tagInteger)
	c.skip(tagExplicit0) // originatorInfo
	recipients := c.take(tagSet).inside()
	sealed := c.take(tagSequence).inside()
	env := envelope{}
	if contentType == oidAuthEnveloped {
		env.readMAC(&c)
	}
	if err := env.readRecipients(&recipients); err != nil {
		return envelope{}, err
	}
	sealed.take(tagOID)
	algorithm := sealed.take(tagSequence).inside()
	oid := string(algorithm.take(tagOID).body)
	if !algorithm.empty() {
		env.params = algorithm.next()
	}
	content, ok := octets(sealed.take(tagImplicit0, tagImplicit0|bitConstructed))
	if c.bad || sealed.bad || algorithm.bad || !ok {
		return envelope{}, ErrMalformed
	}
	env.sealed = content
	env.cipher, err = p.contentCipher(oid)
	return env, err
}

// readMAC reads what AuthEnvelopedData has after the content.
//
// Spec: RFC 5083 section 2.1
func (e *envelope) readMAC(c *cursor) {
	if c.at(tagExplicit1) {
		e.aad = wrap(tagSet, c.next().body)
	}
	e.mac = c.take(tagOctets).body
}

// readRecipients keeps those with key transport; others are not for us.
func (e *envelope) readRecipients(c *cursor) error {
	for n := 0; !c.empty(); n++ {
		if n == maxRecipients {
			return ErrTooLarge
		}
		info := c.next()
		if info.id != tagSequence {
			continue
		}
		in := info.inside()
		in.take(tagInteger)
		r := recipient{}
		if in.at(tagImplicit0) {
			r.keyID = in.next().body
		} else {
			id := in.take(tagSequence).inside()
			r.issuer, r.serial = id.take(tagSequence).raw, id.take(tagInteger).body
			in.bad = in.bad || id.bad
		}
		r.algorithm = in.take(tagSequence)
		r.wrapped = in.take(tagOctets).body
		if in.bad {
			return ErrMalformed
		}
		e.recipients = append(e.recipients, r)
	}
	if c.bad {
		return ErrMalformed
	}
	return nil
}

// dotted shows an object identifier of ours or of a stranger.
func dotted(oid string) string {
	if len(oid) > 32 {
		return "(too long)"
	}
	var id asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(append([]byte{tagOID, byte(len(oid))}, oid...), &id); err != nil {
		return "(invalid)"
	}
	return id.String()
}

// transport reads the key encryption algorithm.
func transport(algorithm element, keyLen int) (crypto.DecrypterOpts, error) {
	c := algorithm.inside()
	switch oid := string(c.take(tagOID).body); oid {
	case oidRSA:
		return &rsa.PKCS1v15DecryptOptions{SessionKeyLen: keyLen}, nil
	case oidOAEP:
		return oaep(&c)
	default:
		return nil, fmt.Errorf("key encryption %s: %w", dotted(oid), ErrAlgorithm)
	}
}

// oaep reads RSAES-OAEP-params.
//
// Spec: RFC 4055 section 4.1
func oaep(c *cursor) (*rsa.OAEPOptions, error) {
	opts := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if c.empty() {
		return opts, nil
	}
	params := c.take(tagSequence).inside()
	ok := true
	if params.at(tagExplicit0) {
		in := params.next().inside()
		opts.Hash, ok = oaepHash(in.take(tagSequence))
	}
	if ok && params.at(tagExplicit1) {
		in := params.next().inside()
		mgf := in.take(tagSequence).inside()
		ok = string(mgf.take(tagOID).body) == oidMGF1
		if ok {
			opts.MGFHash, ok = oaepHash(mgf.take(tagSequence))
		}
	}
	if ok && params.at(tagExplicit2) {
		in := params.next().inside()
		source := in.take(tagSequence).inside()
		ok = string(source.take(tagOID).body) == oidPSpecified
		opts.Label = source.take(tagOctets).body
		ok = ok && !source.bad
	}
	if !ok || params.bad {
		return nil, fmt.Errorf("RSA-OAEP parameters: %w", ErrAlgorithm)
	}
	return opts, nil
}

func oaepHash(algorithm element) (crypto.Hash, bool) {
	c := algorithm.inside()
	h, ok := map[string]crypto.Hash{
		oidSHA1: crypto.SHA1, oidSHA224: crypto.SHA224, oidSHA256: crypto.SHA256,
		oidSHA384: crypto.SHA384, oidSHA512: crypto.SHA512,
	}[string(c.take(tagOID).body)]
	return h, ok
}
