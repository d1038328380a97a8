package pfx_test

import (
	"crypto"
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// old is what iOS before 18 reads.
func old() craft {
	p := protect{pbe: pbe3DES, iterations: integer(2048), saltSize: 8}
	return modern().with(func(c *craft) {
		c.keys, c.certs = p, p
		c.mac = macs{digest: sha1OID, hash: crypto.SHA1, iterations: integer(1), saltSize: 8}
	})
}

func TestLintPasses(t *testing.T) {
	if err := pfx.Lint(modern().build(), password, 18); err != nil {
		t.Errorf("modern for iOS 18: %v", err)
	}
	if err := pfx.Lint(modern().build(), password, 26); err != nil {
		t.Errorf("modern for iOS 26: %v", err)
	}
	if err := pfx.Lint(old().build(), password, 17); err != nil {
		t.Errorf("old for iOS 17: %v", err)
	}
}

// TestLintRefuses changes one thing at a time.
func TestLintRefuses(t *testing.T) {
	named := func(der []byte) []byte { return set(keyID(thumb(der))) }
	for name, change := range map[string]func(*craft){
		"AES-128 for the key":          func(c *craft) { c.keys.cipher = aes128 },
		"AES-128 for the certificates": func(c *craft) { c.certs.cipher = aes128 },
		"PRF SHA-1":                    func(c *craft) { c.keys.prf = 0 },
		"PRF without NULL":             func(c *craft) { c.keys.bare = true },
		"PRF SHA-512":                  func(c *craft) { c.certs.prf = crypto.SHA512 },
		"MAC SHA-1":                    func(c *craft) { c.mac.digest, c.mac.hash = sha1OID, crypto.SHA1 },
		"no MAC":                       func(c *craft) { c.mac = macs{} },
		"PBMAC1":                       func(c *craft) { c.mac = authenticated(crypto.SHA256, 32).mac },
		"a million iterations and one": func(c *craft) { c.keys.iterations = integer(1_000_001) },
		"key in clear":                 func(c *craft) { c.keys = protect{} },
		"certificates in clear":        func(c *craft) { c.certs = protect{} },
		"BER":                          func(c *craft) { c.indefinite = true },
		"no localKeyID":                func(c *craft) { c.keyAttrs, c.certAttrs = nil, nil },
		"localKeyID of the leaf only":  func(c *craft) { c.keyAttrs = nil },
		"unequal localKeyID":           func(c *craft) { c.keyAttrs = [][]byte{named(caCert)} },
		"two certificates with an id": func(c *craft) {
			c.certBags, c.certAttrs = append(c.certBags, caCert), append(c.certAttrs, c.certAttrs[0])
		},
		"localKeyID joins the wrong one": func(c *craft) { c.certBags, c.certAttrs = [][]byte{caCert, aliceCert}, c.certAttrs[:1] },
		"two keys":                       func(c *craft) { c.keyBags = append(c.keyBags, bobKey) },
		"another's key":                  func(c *craft) { c.keyBags = [][]byte{bobKey} },
		"no key":                         func(c *craft) { c.keyBags = nil },
		"no certificate":                 func(c *craft) { c.certBags = nil },
		"a secret as well":               func(c *craft) { c.extraBags = [][]byte{bag("5", null(), nil)} },
		"a safe within":                  func(c *craft) { c.extraBags = [][]byte{bag("6", seq(bag("1", bobKey, nil)), nil)} },
	} {
		if err := pfx.Lint(modern().with(change).build(), password, 18); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	x25519 := file("openssl-key-X25519.p12")
	for name, c := range map[string]struct {
		p12      []byte
		password seal.Secret
		ios      int
	}{
		"modern for iOS 17":        {modern().build(), password, 17},
		"old for iOS 18":           {old().build(), password, 18},
		"RC2 for iOS 17":           {old().with(func(c *craft) { c.certs.pbe = pbeRC240 }).build(), password, 17},
		"bytes after it":           {append(modern().build(), 0), password, 18},
		"another password":         {modern().build(), seal.SecretString("wrong"), 18},
		"no password":              {modern().with(func(c *craft) { c.password = "" }).build(), seal.Secret{}, 18},
		"X25519":                   {x25519.Data, seal.SecretString(x25519.Password), 18},
		"longer lengths than DER":  {loose(), password, 18},
		"rubbish":                  {[]byte("rubbish"), password, 18},
		"padded integers of a key": {file("replica-padded-integers.p12").Data, password, 18},
	} {
		if err := pfx.Lint(c.p12, c.password, c.ios); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func file(name string) testdata.File {
	for _, s := range testdata.PFXCorpus() {
		if s.Name == name {
			return s.File
		}
	}
	panic("no sample " + name)
}
