package pfx_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

func TestReadHistory(t *testing.T) {
	for _, f := range testdata.History() {
		id := identity(t, f)
		if got := id.Certificate.EmailAddresses; len(got) != 1 || got[0] != testdata.Owner {
			t.Errorf("%s: got addresses %v, want %s", f.Name, got, testdata.Owner)
		}
	}
}

// identity reads a file that holds one.
func identity(t testing.TB, f testdata.File) *pfx.Identity {
	t.Helper()
	res, err := pfx.Read(t.Context(), f.Data, seal.SecretString(f.Password), patient())
	if err != nil || len(res.Identities) != 1 {
		t.Fatalf("%s: got %v, %v, want one identity", f.Name, res, err)
	}
	return &res.Identities[0]
}

// TestReadAgreesWithGoPKCS12 takes another decoder as a witness, where it can
// read a file at all.
func TestReadAgreesWithGoPKCS12(t *testing.T) {
	agreed := 0
	for _, s := range testdata.PFXCorpus() {
		if s.Outcome != "ok" || s.Identities != 1 || strings.HasPrefix(s.Name, "gnutls") || strings.HasPrefix(s.Name, "nss") {
			continue // the last two take a second and are mostly beyond it
		}
		key, leaf, _, err := pkcs12.DecodeChain(s.Data, s.Password)
		if err != nil || !public(key).Equal(leaf.PublicKey) {
			continue
		}
		id := identity(t, s.File)
		if !id.Certificate.Equal(leaf) || !public(id.Key).Equal(leaf.PublicKey) {
			t.Errorf("%s: got another identity than go-pkcs12", s.Name)
		}
		agreed++
	}
	if agreed < 40 {
		t.Errorf("only %d files were compared", agreed)
	}
}

func public(key crypto.PrivateKey) interface{ Equal(crypto.PublicKey) bool } {
	return key.(interface{ Public() crypto.PublicKey }).Public().(interface{ Equal(crypto.PublicKey) bool })
}

func TestPKCS8IsTheKey(t *testing.T) {
	for _, s := range testdata.PFXCorpus() {
		if strings.HasPrefix(s.Name, "openssl-key-") && s.Identities == 1 {
			id := identity(t, s.File)
			key, err := x509.ParsePKCS8PrivateKey(id.PKCS8.Reveal())
			if err != nil || !public(key).Equal(id.Certificate.PublicKey) {
				t.Errorf("%s: %v, or another key", s.Name, err)
			}
		}
	}
}

// TestPairing: order and labels say nothing, the public key everything.
func TestPairing(t *testing.T) {
	crossed := modern().with(func(c *craft) {
		c.keyBags, c.keyAttrs = [][]byte{aliceKey, bobKey}, [][]byte{set(keyID([]byte("1"))), set(keyID([]byte("2")))}
		c.certBags = [][]byte{rootCert, caCert, bobCert, aliceCert}
		c.certAttrs = [][]byte{nil, nil, set(keyID([]byte("1")), friendly("Bob")), set(keyID([]byte("2")), friendly("Al\nice"))}
	})
	res, err := pfx.Read(t.Context(), crossed.build(), password, pfx.Default)
	if err != nil || len(res.Identities) != 2 {
		t.Fatalf("got %v, %v, want two identities", res, err)
	}
	alice, bob := res.Identities[0], res.Identities[1]
	if !bytes.Equal(alice.Certificate.Raw, aliceCert) || !bytes.Equal(bob.Certificate.Raw, bobCert) {
		t.Error("keys and certificates are paired by label")
	}
	if alice.FriendlyName != "Alice" || bob.FriendlyName != "Bob" {
		t.Errorf("got names %q and %q, want Alice and Bob", alice.FriendlyName, bob.FriendlyName)
	}
	for _, id := range res.Identities {
		if len(id.Chain) != 2 || !bytes.Equal(id.Chain[0].Raw, caCert) || !bytes.Equal(id.Chain[1].Raw, rootCert) {
			t.Errorf("%s: got a chain of %d, want issuer and root", id.Certificate.Subject, len(id.Chain))
		}
	}
}

func TestWhatIsLeftOfHalves(t *testing.T) {
	for name, c := range map[string]struct {
		change           func(*craft)
		identities, keys int
		problem          string
	}{
		"usable":           {func(*craft) {}, 1, 0, ""},
		"no key":           {func(c *craft) { c.keyBags = nil }, 0, 0, ""},
		"no certificate":   {func(c *craft) { c.certBags = nil }, 0, 1, ""},
		"another's":        {func(c *craft) { c.certBags = [][]byte{bobCert} }, 0, 1, ""},
		"key not readable": {func(c *craft) { c.keys.password = "x" }, 0, 0, "pfx_key_password_differs"},
		"nothing":          {func(c *craft) { c.keyBags, c.certBags = nil, nil }, 0, 0, ""},
	} {
		res, err := pfx.Read(t.Context(), modern().with(c.change).build(), password, pfx.Default)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		problem := ""
		if len(res.Problems) > 0 {
			problem = res.Problems[0].Err.Code
		}
		if len(res.Identities) != c.identities || res.UnpairedKeys != c.keys || problem != c.problem {
			t.Errorf("%s: got %d identities, %d keys without certificate, problem %q, want %d, %d, %q",
				name, len(res.Identities), res.UnpairedKeys, problem, c.identities, c.keys, c.problem)
		}
	}
}

func TestPasswordIsTakenAsGiven(t *testing.T) {
	file := modern().build()
	for text, hinted := range map[string]bool{pw + " ": true, "\n" + pw: true, strings.ToUpper(pw): false, "": false} {
		_, err := pfx.Read(t.Context(), file, seal.SecretString(text), pfx.Default)
		if !errors.Is(err, pfx.ErrPassword) {
			t.Errorf("%q: got %v, want pfx_password_wrong", text, err)
			continue
		}
		if got := strings.Contains(fault.Of(err).Hint, "space"); got != hinted {
			t.Errorf("%q: hint about a space: got %v, want %v", text, got, hinted)
		}
	}
	if _, err := pfx.Read(t.Context(), file, seal.SecretString(strings.Repeat("x", 4097)), pfx.Default); !errors.Is(err, pfx.ErrPassword) {
		t.Errorf("password of 4097 bytes: got %v, want pfx_password_wrong", err)
	}
	loose := pfx.Default
	loose.AllowNoMAC = true
	for name, c := range map[string]craft{
		"certificates encrypted": modern().with(func(c *craft) { c.mac = macs{} }),
		"only the key encrypted": forge().with(func(c *craft) { c.mac = macs{} }),
	} {
		if _, err := pfx.Read(t.Context(), c.build(), seal.SecretString("wrong"), loose); !errors.Is(err, pfx.ErrPassword) {
			t.Errorf("no MAC, %s: got %v, want pfx_password_wrong", name, err)
		}
	}
}

// TestErrorsHoldNothingForeign looks for the file's words in what is said.
func TestErrorsHoldNothingForeign(t *testing.T) {
	for _, s := range testdata.PFXCorpus() {
		if s.Outcome == "ok" || s.Password == "" {
			continue
		}
		_, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), pfx.Default)
		if err != nil && strings.Contains(err.Error(), s.Password) {
			t.Errorf("%s: the error holds the password: %v", s.Name, err)
		}
	}
}

// TestBuffersAreOverwritten: nothing decrypted is left once a file was read.
func TestBuffersAreOverwritten(t *testing.T) {
	for name, c := range map[string]craft{"DER": modern(), "BER": bouncyCastle(true), "plain key": modern().with(func(c *craft) { c.keys = protect{} })} {
		buffers, err := pfx.Secrets(t.Context(), c.build(), password)
		if err != nil || len(buffers) < 4 {
			t.Fatalf("%s: got %d buffers, %v", name, len(buffers), err)
		}
		for i, b := range buffers {
			if whole := b[:cap(b)]; !bytes.Equal(whole, make([]byte, len(whole))) {
				t.Errorf("%s: buffer %d of %d bytes still holds something", name, i, len(whole))
			}
		}
	}
}

func TestWipe(t *testing.T) {
	res, err := pfx.Read(t.Context(), macOS().build(), password, pfx.Default)
	if err != nil {
		t.Fatal(err)
	}
	res.Wipe()
	for _, id := range res.Identities {
		if b := id.PKCS8.Reveal(); len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
			t.Error("PKCS #8 bytes are still there")
		}
	}
}

// TestOnly: who wants one identity hears what the file has instead.
func TestOnly(t *testing.T) {
	for name, want := range map[string]string{
		"openssl-chain.p12": "", "java-four.p12": "pfx_multiple_identities", "openssl-certs-only.p12": "pfx_no_private_key",
		"openssl-keys-only.p12": "pfx_no_certificate", "replica-mismatch.p12": "pfx_key_mismatch",
		"replica-key-password.p12": "pfx_key_password_differs", "java-trust-only.p12": "pfx_no_private_key",
	} {
		f := file(name)
		res, err := pfx.Read(t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		id, err := res.Only()
		if code := fault.Code(err); err == nil && (want != "" || id.Certificate == nil) || err != nil && code != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
