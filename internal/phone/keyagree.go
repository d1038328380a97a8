package phone

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
)

// Spec: RFC 5652 section 6.2.2
type keyAgreeASN1 struct {
	Version    int
	Originator asn1.RawValue `asn1:"explicit,tag:0"`
	UKM        []byte        `asn1:"explicit,optional,tag:1"`
	Algorithm  algorithmASN1
	Keys       []struct {
		ID  asn1.RawValue
		Key []byte
	}
}

// readKeyAgree adds the recipients that agree on a key with the sender.
func (e *envelope) readKeyAgree() error {
	for _, v := range e.others {
		if v.Class != asn1.ClassContextSpecific || v.Tag != 1 {
			continue
		}
		all, err := keyAgreeRecipients(v.FullBytes)
		if err != nil {
			return fmt.Errorf("CMS KeyAgreeRecipientInfo: %w", err)
		}
		e.recipients = append(e.recipients, all...)
	}
	return nil
}

func keyAgreeRecipients(b []byte) ([]recipient, error) {
	var raw keyAgreeASN1
	if err := unmarshal(b, &raw, "tag:1"); err != nil {
		return nil, err
	}
	point, err := originatorKey(raw.Originator.Bytes)
	if err != nil {
		return nil, err
	}
	var all []recipient
	for _, k := range raw.Keys {
		r := recipient{wrap: raw.Algorithm, wrapped: k.Key, point: point, ukm: raw.UKM}
		if r.issuer, r.serial, r.keyID, err = keyAgreeIdentifier(k.ID); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// originatorKey gives the sender's ephemeral public key; nil when a certificate
// is named instead, which no scheme here uses.
func originatorKey(b []byte) ([]byte, error) {
	var v asn1.RawValue
	if err := unmarshal(b, &v, ""); err != nil || v.Class != asn1.ClassContextSpecific || v.Tag != 1 {
		return nil, err
	}
	var key struct {
		Algorithm algorithmASN1
		Point     asn1.BitString
	}
	err := unmarshal(b, &key, "tag:1")
	return key.Point.Bytes, err
}

// keyAgreeIdentifier is readIdentifier where a key identifier is the first
// member of a sequence.
func keyAgreeIdentifier(v asn1.RawValue) (issuer []byte, serial *big.Int, keyID []byte, err error) {
	if v.Class != asn1.ClassContextSpecific {
		return readIdentifier(v)
	}
	var id struct{ KeyID []byte }
	err = unmarshal(v.FullBytes, &id, "tag:0")
	return nil, nil, id.KeyID, err
}

// kdfOf gives the hash of a scheme for ephemeral-static ECDH, 0 for anything
// else.
// Spec: RFC 5753 section 7.1.4
func kdfOf(id oid) crypto.Hash {
	for hash, scheme := range map[crypto.Hash]oid{
		crypto.SHA1:   {1, 3, 133, 16, 840, 63, 0, 2},
		crypto.SHA256: {1, 3, 132, 1, 11, 1},
		crypto.SHA384: {1, 3, 132, 1, 11, 2},
		crypto.SHA512: {1, 3, 132, 1, 11, 3},
	} {
		if scheme.Equal(id) {
			return hash
		}
	}
	return 0
}

// agree finds the key both sides can compute and unwraps the content key.
// Spec: RFC 5753 section 3.1
func (r recipient) agree(key crypto.Signer, kdf crypto.Hash) (cek []byte, err error) {
	priv, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("recipient key is %T, not EC", key)
	}
	var alg algorithmASN1
	if err := unmarshal(r.wrap.Params.FullBytes, &alg, ""); err != nil {
		return nil, fmt.Errorf("key wrap algorithm: %w", err)
	}
	wrap := keyWrapOf(alg.ID)
	if wrap == nil {
		return nil, fmt.Errorf("key wrap algorithm %v", alg.ID)
	}
	own, err := priv.ECDH()
	if err != nil {
		return nil, err
	}
	theirs, err := own.Curve().NewPublicKey(r.point)
	if err != nil {
		return nil, fmt.Errorf("the sender's key: %w", err)
	}
	z, err := own.ECDH(theirs)
	if err != nil {
		return nil, err
	}
	block, err := wrap.block(x963(kdf, z, r.sharedInfo(wrap.key), wrap.key))
	if err != nil {
		return nil, err
	}
	return wrap.unwrap(block, r.wrapped)
}

// sharedInfo binds the derived key to its use: the key wrap algorithm as the
// message has it, the user keying material and the size in bits.
// Spec: RFC 5753 section 7.2
func (r recipient) sharedInfo(size int) []byte {
	var ukm []byte
	if r.ukm != nil {
		ukm = tlv(0xa0, tlv(0x04, r.ukm))
	}
	bits := binary.BigEndian.AppendUint32(nil, uint32(8*size))
	return tlv(0x30, r.wrap.Params.FullBytes, ukm, tlv(0xa2, tlv(0x04, bits)))
}

// x963 derives size bytes from a shared secret.
// Spec: SEC 1 section 3.6.1
func x963(hash crypto.Hash, z, info []byte, size int) []byte {
	var out []byte
	for i := uint32(1); len(out) < size; i++ {
		h := hash.New()
		h.Write(z)
		h.Write(binary.BigEndian.AppendUint32(nil, i))
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:size]
}
