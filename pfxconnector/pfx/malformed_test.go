package pfx_test

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

const (
	dataOID      = "1.2.840.113549.1.7.1"
	encryptedOID = "1.2.840.113549.1.7.6"
	pbkdf2OID    = "1.2.840.113549.1.5.12"
)

// encrypted is a file whose only safe is encrypted like that.
func encrypted(alg, ciphertext []byte) []byte {
	info := seq(oid(dataOID), alg, tlv(0x80, ciphertext))
	return modern().shell(seq(seq(oid(encryptedOID), context0(seq(integer(0), info)))))
}

func pbkdf(params ...[]byte) []byte { return algorithm(pbkdf2OID, seq(params...)) }

func twoParts(kdf, cipher []byte) []byte { return algorithm(pbes2, seq(kdf, cipher)) }

// TestProtectionThatMakesNoSense goes through the parameters of the schemes.
func TestProtectionThatMakesNoSense(t *testing.T) {
	s, n, block := octets([]byte("salt")), integer(1), make([]byte, 16)
	sha256 := algorithm(hmacOID[crypto.SHA256], null())
	aes := algorithm(aes256, octets(block))
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no parameters":              {encrypted(algorithm(pbe3DES), block), "pfx_malformed"},
		"NULL for parameters":        {encrypted(algorithm(pbe3DES, null()), block), "pfx_malformed"},
		"no iterations":              {encrypted(algorithm(pbe3DES, seq(s)), block), "pfx_malformed"},
		"ciphertext of half a block": {encrypted(algorithm(pbe3DES, seq(s, n)), block[:12]), "pfx_malformed"},
		"no ciphertext":              {encrypted(algorithm(pbe3DES, seq(s, n)), nil), "pfx_malformed"},
		"PBES2 without parameters":   {encrypted(algorithm(pbes2), block), "pfx_malformed"},
		"PBES2 without cipher":       {encrypted(algorithm(pbes2, seq(pbkdf(s, n, sha256))), block), "pfx_malformed"},
		"PBES2 with scrypt":          {encrypted(twoParts(algorithm("1.3.6.1.4.1.11591.4.11", seq(s, n)), aes), block), "pfx_algorithm_unsupported"},
		"PBES2 with unknown PRF":     {encrypted(twoParts(pbkdf(s, n, algorithm("1.2.3", null())), aes), block), "pfx_algorithm_unsupported"},
		"PBES2 with unknown cipher":  {encrypted(twoParts(pbkdf(s, n, sha256), algorithm("1.2.3")), block), "pfx_algorithm_unsupported"},
		"PBES2 with foreign salt":    {encrypted(twoParts(pbkdf(algorithm("1.2.3"), n, sha256), aes), block), "pfx_malformed"},
		"PBES2 with PRF in rubbish":  {encrypted(twoParts(pbkdf(s, n, null()), aes), block), "pfx_malformed"},
		"PBES2 with wrong keyLength": {encrypted(twoParts(pbkdf(s, n, integer(16), sha256), aes), block), "pfx_malformed"},
		"PBES2 with no keyLength":    {encrypted(twoParts(pbkdf(s, n, integer(0), sha256), aes), block), "pfx_malformed"},
		"IV of 8 bytes":              {encrypted(twoParts(pbkdf(s, n, sha256), algorithm(aes256, octets(block[:8]))), block), "pfx_malformed"},
		"IV missing":                 {encrypted(twoParts(pbkdf(s, n, sha256), algorithm(aes256)), block), "pfx_malformed"},
		"padding of another key":     {encrypted(twoParts(pbkdf(s, n, integer(32), sha256), aes), block), "pfx_password_wrong"},
		"an algorithm of many words": {encrypted(algorithm("1.2"+string(bytes.Repeat([]byte(".3"), 100))), block), "pfx_algorithm_unsupported"},
		"other content encrypted":    {modern().shell(seq(seq(oid(encryptedOID), context0(seq(integer(0), seq(oid(encryptedOID))))))), "pfx_malformed"},
		"ciphertext missing":         {modern().shell(seq(seq(oid(encryptedOID), context0(seq(integer(0), seq(oid(dataOID), algorithm(pbe3DES, seq(s, n)))))))), "pfx_malformed"},
		"ciphertext in odd pieces":   {modern().shell(seq(seq(oid(encryptedOID), context0(seq(integer(0), seq(oid(dataOID), algorithm(pbe3DES, seq(s, n)), context0(null()))))))), "pfx_malformed"},
		"safe that is a number":      {modern().shell(seq(integer(1))), "pfx_malformed"},
		"data that is a number":      {modern().shell(seq(seq(oid(dataOID), context0(integer(1))))), "pfx_malformed"},
		"bags that are a number":     {modern().shell(seq(seq(oid(dataOID), context0(octets(integer(1)))))), "pfx_malformed"},
		"bag that is a number":       {modern().shell(seq(seq(oid(dataOID), context0(octets(seq(integer(1))))))), "pfx_malformed"},
		"shell of a number":          {seq(integer(3), integer(3)), "blob_not_pkcs12"},
		"shell of unknown kind":      {seq(integer(3), seq(oid("1.2.3"))), "pfx_algorithm_unsupported"},
		"shell for a principal":      {seq(integer(3), seq(oid("1.2.840.113549.1.7.3"))), "pfx_protected_to_principal"},
		"shell without contents":     {seq(integer(3), seq(oid(dataOID))), "blob_not_pkcs12"},
		"MAC that is a number":       {seq(integer(3), seq(oid(dataOID), context0(octets(seq()))), integer(1)), "pfx_malformed"},
		"MAC of nothing":             {seq(integer(3), seq(oid(dataOID), context0(octets(seq()))), seq(seq())), "pfx_malformed"},
		"PBMAC1 without parameters":  {withMAC(algorithm(pbmac1)), "pfx_malformed"},
		"PBMAC1 without scheme":      {withMAC(algorithm(pbmac1, seq(pbkdf(s, n, integer(32), sha256)))), "pfx_malformed"},
		"PBMAC1 with unknown scheme": {withMAC(algorithm(pbmac1, seq(pbkdf(s, n, integer(32), sha256), algorithm("1.2.3")))), "pfx_algorithm_unsupported"},
		"PBMAC1 with unknown KDF":    {withMAC(algorithm(pbmac1, seq(algorithm("1.2.3"), sha256))), "pfx_algorithm_unsupported"},
		"MAC iterations no number":   {seq(integer(3), seq(oid(dataOID), context0(octets(seq()))), seq(seq(algorithm(sha1OID), s), s, s)), "pfx_malformed"},
	} {
		_, err := pfx.Read(t.Context(), c.file, password, pfx.Default)
		if got := fault.Code(err); got != c.want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, c.want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: the error is as long as the file likes: %d bytes", name, len(err.Error()))
		}
	}
}

// withMAC is an empty file checked like that.
func withMAC(alg []byte) []byte {
	return seq(integer(3), seq(oid(dataOID), context0(octets(seq()))), seq(seq(alg, octets([]byte("mac"))), octets([]byte("salt")), integer(1)))
}

// TestBagsThatMakeNoSense: each costs itself only.
func TestBagsThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		bag  []byte
		want string
	}{
		"shrouded key that is a number":  {bag("2", integer(1), nil), "pfx_key_malformed"},
		"shrouded key without algorithm": {bag("2", seq(integer(1)), nil), "pfx_key_malformed"},
		"shrouded key of half a block":   {bag("2", seq(algorithm(pbe3DES, seq(octets(nil), integer(1))), octets([]byte("abc"))), nil), "pfx_malformed"},
		"certificate that is a number":   {bag("3", integer(1), nil), "pfx_certificate_unparseable"},
		"attributes that are a number":   {bag("1", integer(1), integer(1)), "pfx_key_malformed"},
		"attribute that is a number":     {bag("1", integer(1), set(integer(1))), "pfx_key_malformed"},
		"key without algorithm":          {bag("1", seq(integer(0), seq(), octets(seq())), nil), "pfx_key_malformed"},
		"EC key without contents":        {bag("1", seq(integer(0), algorithm("1.2.840.10045.2.1"), octets(seq())), nil), "pfx_key_unsupported"},
	} {
		file := modern().with(func(f *craft) { f.extraBags = [][]byte{c.bag} })
		res, err := pfx.Read(t.Context(), file.build(), password, pfx.Default)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(res.Identities) != 1 || len(res.Problems) != 1 || res.Problems[0].Err.Code != c.want {
			t.Errorf("%s: got %d identities and problems %v, want 1 and %s", name, len(res.Identities), res.Problems, c.want)
		}
	}
}
