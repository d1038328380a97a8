package pfx_test

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"strconv"
	"strings"

	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Files put together piece by piece, with every choice a program may have
// made. Salts are fixed, so that the same description gives the same bytes.

const (
	pbe3DES   = "1.2.840.113549.1.12.1.3"
	pbeRC240  = "1.2.840.113549.1.12.1.6"
	pbes2     = "1.2.840.113549.1.5.13"
	pbmac1    = "1.2.840.113549.1.5.14"
	aes128    = "2.16.840.1.101.3.4.1.2"
	aes256    = "2.16.840.1.101.3.4.1.42"
	sha1OID   = "1.3.14.3.2.26"
	sha256OID = "2.16.840.1.101.3.4.2.1"
)

var hmacOID = map[crypto.Hash]string{
	crypto.SHA1: "1.2.840.113549.2.7", crypto.SHA224: "1.2.840.113549.2.8", crypto.SHA256: "1.2.840.113549.2.9",
	crypto.SHA384: "1.2.840.113549.2.10", crypto.SHA512: "1.2.840.113549.2.11", crypto.SHA512_256: "1.2.840.113549.2.13",
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// tlv is one element with the shortest length.
func tlv(tag byte, parts ...[]byte) []byte {
	body := join(parts...)
	n := len(body)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	case n < 0x10000:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	default:
		return append([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	}
}

// open is one element of indefinite length.
func open(tag byte, parts ...[]byte) []byte {
	return join([]byte{tag, 0x80}, join(parts...), []byte{0, 0})
}

func seq(parts ...[]byte) []byte                   { return tlv(0x30, parts...) }
func set(parts ...[]byte) []byte                   { return tlv(0x31, parts...) }
func octets(b []byte) []byte                       { return tlv(0x04, b) }
func context0(parts ...[]byte) []byte              { return tlv(0xa0, parts...) }
func null() []byte                                 { return []byte{5, 0} }
func integer(n int64) []byte                       { return must(asn1.Marshal(big.NewInt(n))) }
func algorithm(id string, params ...[]byte) []byte { return seq(oid(id), join(params...)) }

func oid(dotted string) []byte {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(dotted, ".") {
		id = append(id, must(strconv.Atoi(part)))
	}
	return must(asn1.Marshal(id))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// salt is fixed for a label.
func salt(label string, n int) []byte {
	h := sha256.Sum256([]byte(label))
	return h[:n]
}

// craft describes a file.
type craft struct {
	password   string
	nullPass   bool     // zero bytes for the derivation, not two
	indefinite bool     // BER as NSS and BouncyCastle write it
	keys       protect  // of key bags; none for plain ones
	certs      protect  // of the certificate safe
	keysFirst  bool     // Windows, NSS, Java
	keyBags    [][]byte // PKCS #8
	keyAttrs   [][]byte // one set a key, may be shorter
	certBags   [][]byte // DER
	certAttrs  [][]byte //
	extraBags  [][]byte // whole bags, in the key safe
	mac        macs     //
	version    int64    // 3 when 0
}

// protect is how something is encrypted.
type protect struct {
	pbe        string // "": not at all
	cipher     string
	prf        crypto.Hash // 0: SHA-1 by not naming it
	bare       bool        // the PRF has no NULL
	iterations []byte      // an INTEGER element
	saltSize   int
	password   string // "": the file's
}

// macs is the integrity check. digest is an OID, or pbmac1.
type macs struct {
	digest     string
	hash       crypto.Hash
	iterations []byte // nil: not written, 1
	saltSize   int
	keyLength  int64 // of PBMAC1
	password   string
}

// count reads an INTEGER element back; a bomb is never computed.
func count(element []byte) int64 {
	n := new(big.Int)
	if len(element) > 0 {
		must(asn1.Unmarshal(element, &n))
	}
	if !n.IsInt64() || n.Int64() < 1 || n.Int64() > 1_000_000 {
		return 1
	}
	return n.Int64()
}

func (c craft) bmp(own string) []byte {
	if c.nullPass {
		return nil
	}
	return pfx.BMPString([]byte(c.text(own)))
}

func (c craft) text(own string) string {
	if own != "" {
		return own
	}
	return c.password
}

// seal encrypts and gives the AlgorithmIdentifier.
func (c craft) seal(p protect, label string, plain []byte) (alg, ciphertext []byte) {
	s := salt(label, p.saltSize)
	var block cipher.Block
	var iv []byte
	n := count(p.iterations)
	if p.pbe == pbes2 {
		size := map[string]int{aes128: 16, aes256: 32}[p.cipher]
		h, prf := crypto.SHA1, []byte(nil)
		if p.prf != 0 {
			h, prf = p.prf, algorithm(hmacOID[p.prf], null())
		}
		if p.bare {
			prf = algorithm(hmacOID[p.prf])
		}
		iv = salt(label+" iv", 16)
		block = must(aes.NewCipher(must(pfx.PBKDF2(context.Background(), h, []byte(c.text(p.password)), s, n, size))))
		kdf := algorithm("1.2.840.113549.1.5.12", seq(octets(s), p.iterations, prf))
		alg = algorithm(pbes2, seq(kdf, algorithm(p.cipher, octets(iv))))
	} else {
		derive := func(purpose byte, size int) []byte {
			return must(pfx.PKCS12KDF(context.Background(), crypto.SHA1, purpose, c.bmp(p.password), s, n, size))
		}
		iv = derive(2, 8)
		if p.pbe == pbeRC240 {
			block = pfx.NewRC2(derive(1, 5), 40)
		} else {
			block = must(des.NewTripleDESCipher(derive(1, 24)))
		}
		alg = algorithm(p.pbe, seq(octets(s), p.iterations))
	}
	pad := block.BlockSize() - len(plain)%block.BlockSize()
	for range pad {
		plain = append(plain[:len(plain):len(plain)], byte(pad))
	}
	ciphertext = make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(ciphertext, plain)
	return alg, ciphertext
}

// shroud is one encrypted key, not in a bag.
func (c craft) shroud(pkcs8 []byte) []byte {
	alg, ct := c.seal(c.keys, "key", pkcs8)
	return seq(alg, octets(ct))
}

// wrap is tlv, or open for indefinite files.
func (c craft) wrap(tag byte, parts ...[]byte) []byte {
	if c.indefinite {
		return open(tag, parts...)
	}
	return tlv(tag, parts...)
}

// pieces is an octet string, in pieces for indefinite files.
func (c craft) pieces(tag byte, b []byte) []byte {
	if !c.indefinite {
		return tlv(tag, b)
	}
	var all []byte
	for len(b) > 1000 {
		all, b = append(all, octets(b[:1000])...), b[1000:]
	}
	return open(tag|0x20, all, octets(b))
}

func bag(kind string, value, attrs []byte) []byte {
	return seq(oid("1.2.840.113549.1.12.10.1."+kind), context0(value), attrs)
}

func at(list [][]byte, i int) []byte {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func (c craft) keySafe() []byte {
	var bags [][]byte
	for i, k := range c.keyBags {
		if c.keys.pbe == "" {
			bags = append(bags, bag("1", k, at(c.keyAttrs, i)))
			continue
		}
		alg, ct := c.seal(c.keys, "key "+strconv.Itoa(i), k)
		bags = append(bags, bag("2", seq(alg, octets(ct)), at(c.keyAttrs, i)))
	}
	bags = append(bags, c.extraBags...)
	return c.wrap(0x30, oid("1.2.840.113549.1.7.1"), c.wrap(0xa0, c.pieces(0x04, c.wrap(0x30, bags...))))
}

func (c craft) certSafe() []byte {
	var bags [][]byte
	for i, der := range c.certBags {
		bags = append(bags, bag("3", seq(oid("1.2.840.113549.1.9.22.1"), context0(octets(der))), at(c.certAttrs, i)))
	}
	plain := c.wrap(0x30, bags...)
	data := oid("1.2.840.113549.1.7.1")
	if c.certs.pbe == "" {
		return c.wrap(0x30, data, c.wrap(0xa0, c.pieces(0x04, plain)))
	}
	alg, ct := c.seal(c.certs, "certificates", plain)
	info := c.wrap(0x30, data, alg, c.pieces(0x80, ct))
	return c.wrap(0x30, oid("1.2.840.113549.1.7.6"), c.wrap(0xa0, c.wrap(0x30, integer(0), info)))
}

// build makes the file.
func (c craft) build() []byte {
	safes := [][]byte{}
	if len(c.certBags) > 0 {
		safes = append(safes, c.certSafe())
	}
	if len(c.keyBags)+len(c.extraBags) > 0 {
		safes = append(safes, c.keySafe())
	}
	if c.keysFirst && len(safes) == 2 {
		safes[0], safes[1] = safes[1], safes[0]
	}
	return c.shell(c.wrap(0x30, safes...))
}

// shell puts the outer structure around an AuthenticatedSafe.
func (c craft) shell(content []byte) []byte {
	version := c.version
	if version == 0 {
		version = 3
	}
	info := c.wrap(0x30, oid("1.2.840.113549.1.7.1"), c.wrap(0xa0, c.pieces(0x04, content)))
	return c.wrap(0x30, integer(version), info, c.check(content))
}

// check is the MacData.
func (c craft) check(content []byte) []byte {
	m := c.mac
	if m.digest == "" {
		return nil
	}
	s := salt("mac", m.saltSize)
	n := count(m.iterations)
	alg, key := algorithm(m.digest, null()), []byte(nil)
	if m.digest == pbmac1 {
		size := int(max(1, min(m.keyLength, 64)))
		key = must(pfx.PBKDF2(context.Background(), m.hash, []byte(c.text(m.password)), s, n, size))
		prf := algorithm(hmacOID[m.hash], null())
		length := integer(m.keyLength)
		if m.keyLength == 0 {
			length = nil
		}
		alg = algorithm(pbmac1, seq(algorithm("1.2.840.113549.1.5.12", seq(octets(s), m.iterations, length, prf)), prf))
	} else {
		key = must(pfx.PKCS12KDF(context.Background(), m.hash, 3, c.bmp(m.password), s, n, m.hash.Size()))
	}
	h := hmac.New(m.hash.New, key)
	h.Write(content)
	return c.wrap(0x30, seq(alg, octets(h.Sum(nil))), octets(s), m.iterations)
}
