package pfx_test

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestPEM(t *testing.T) {
	cert, key := block("CERTIFICATE", aliceCert), block("PRIVATE KEY", aliceKey)
	own := block("ENCRYPTED PRIVATE KEY", modern().shroud(bobKey))
	foreign := block("ENCRYPTED PRIVATE KEY", modern().with(func(c *craft) { c.password = "another" }).shroud(bobKey))
	for name, c := range map[string]struct {
		file       []byte
		identities int
		want       string // code of the refusal, or of the only problem
	}{
		"Windows line ends":           {bytes.ReplaceAll(join(cert, key), []byte("\n"), []byte("\r\n")), 1, ""},
		"byte order mark":             {join([]byte("\xef\xbb\xbf"), cert, key), 1, ""},
		"words between":               {join([]byte("This is Alice's:\n"), cert, []byte("and\n"), key), 1, ""},
		"old name of a certificate":   {join(block("X509 CERTIFICATE", aliceCert), key), 1, ""},
		"one password for two keys":   {join(cert, key, block("CERTIFICATE", bobCert), own, own), 2, ""},
		"another password for a key":  {join(cert, key, own, foreign), 1, "pfx_key_password_differs"},
		"another password":            {join(cert, foreign), 0, "pfx_password_wrong"},
		"encrypted rubbish":           {join(cert, key, block("ENCRYPTED PRIVATE KEY", []byte("rubbish"))), 1, "pfx_key_malformed"},
		"encrypted number":            {join(cert, key, block("ENCRYPTED PRIVATE KEY", integer(1))), 1, "pfx_key_malformed"},
		"RSA key of 1 M bits":         {join(cert, key, block("PRIVATE KEY", rsaKey(1<<20))), 1, "pfx_rsa_too_large"},
		"iterations without end":      {join(cert, block("ENCRYPTED PRIVATE KEY", modern().with(func(c *craft) { c.keys.iterations = integer(1 << 31) }).shroud(bobKey))), 0, "pfx_limit_exceeded"},
		"EC key that names no curve":  {join(cert, key, block("EC PRIVATE KEY", seq(integer(1), octets([]byte{1})))), 1, "pfx_key_unsupported"},
		"key of OpenSSH":              {join(cert, key, block("OPENSSH PRIVATE KEY", []byte("x"))), 1, "pfx_key_unsupported"},
		"certificate that is rubbish": {join(cert, key, block("CERTIFICATE", []byte("x"))), 1, "pfx_certificate_unparseable"},
		"revocation list only":        {block("X509 CRL", seq()), 0, "blob_not_pkcs12"},
		"last block cut":              {join(cert, key[:100]), 0, "pfx_truncated"},
		"first block cut":             {join(cert[:100], []byte("\n"), key), 0, "pfx_malformed"},
		"256 blocks":                  {join(key, bytes.Repeat(cert, 255)), 1, ""},
		"257 blocks":                  {join(key, bytes.Repeat(cert, 256)), 0, "pfx_limit_exceeded"},
	} {
		res, err := pfx.Read(t.Context(), c.file, password, pfx.Default)
		got, n := fault.Code(err), 0
		if err == nil {
			n = len(res.Identities)
			got = ""
			for _, p := range res.Problems {
				got += p.Err.Code
			}
		}
		if got != c.want || n != c.identities {
			t.Errorf("%s: got %d identities and %q (%v), want %d and %q", name, n, got, err, c.identities, c.want)
		}
	}
}

// TestPEMWithEveryWrongPassword: padding fits one in 256 times by chance, and
// then it must still be the password that is wrong, not the key.
func TestPEMWithEveryWrongPassword(t *testing.T) {
	c := modern().with(func(c *craft) { c.keys.iterations = integer(1) })
	for i := range 1000 {
		c.password = string(rune('Ā' + i))
		file := join(block("CERTIFICATE", aliceCert), block("ENCRYPTED PRIVATE KEY", c.shroud(aliceKey)))
		if _, err := pfx.Read(t.Context(), file, password, pfx.Default); fault.Code(err) != "pfx_password_wrong" {
			t.Errorf("password %q: got %v, want pfx_password_wrong", c.password, err)
		}
	}
}

// TestPEMIsTheSame: the traditional forms give the key that PKCS #12 gives.
func TestPEMIsTheSame(t *testing.T) {
	for name, want := range map[string][]byte{"pem-traditional-rsa.pem": aliceKey, "pem-traditional-ec.pem": ecKey, "pem-pkcs8-v1-rc2-40.pem": aliceKey} {
		if id := identity(t, file(name)); !bytes.Equal(id.PKCS8.Reveal(), want) {
			t.Errorf("%s: another key came out", name)
		}
	}
	if id := identity(t, file("pem-plain.pem")); len(id.Chain) != 2 {
		t.Errorf("got a chain of %d, want 2", len(id.Chain))
	}
}
