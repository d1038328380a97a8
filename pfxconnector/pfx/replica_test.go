package pfx_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/csv"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/testdata"
)

var update = flag.Bool("update", false, "write the replicas to testdata/pfx")

// replica is a file of the shape that a program writes which is not at hand,
// or of a shape that must be refused. row is what corpus.csv would say, after
// the name.
type replica struct {
	name    string
	row     string // password,outcome,identities,unpaired_keys,unpaired_certs,problems,notes
	data    []byte
	openssl bool // OpenSSL 3.0 must be able to open it as well
}

type pemRaw = asn1.RawValue

func unmarshal(der []byte, into any) {
	if _, err := asn1.Unmarshal(der, into); err != nil {
		panic(err)
	}
}

const pw = "replica-Zq7"

var one = pw + ",ok,1,0,0,,"

// windows is what certmgr and Export-PfxCertificate write.
func windows(certs string) craft {
	csp := attr("1.3.6.1.4.1.311.17.1", tlv(0x1e, []byte("\x00M\x00S")))
	machine := attr("1.3.6.1.4.1.311.17.2")
	usage := attr("2.5.29.15", []byte{3, 2, 0, 0x20})
	return craft{
		password: pw, keysFirst: true,
		keys:      protect{pbe: pbe3DES, iterations: integer(2000), saltSize: 8},
		certs:     protect{pbe: certs, iterations: integer(2000), saltSize: 8},
		keyBags:   [][]byte{withAttributes(aliceKey, usage)},
		keyAttrs:  [][]byte{set(keyID([]byte{1, 0, 0, 0}), friendly("{6C0A5E6D-0000-4000-8000-000000000001}"), csp, machine)},
		certBags:  [][]byte{aliceCert, caCert, rootCert},
		certAttrs: [][]byte{set(keyID([]byte{1, 0, 0, 0}), attr("1.3.6.1.4.1.311.17.3.20", octets(thumb(aliceCert))), attr("1.3.6.1.4.1.311.17.3.71", octets([]byte("H\x00\x00\x00"))))},
		mac:       macs{digest: sha1OID, hash: crypto.SHA1, iterations: integer(2000), saltSize: 20},
	}
}

// modern is what today's programs agree on.
func modern() craft {
	p := protect{pbe: pbes2, cipher: aes256, prf: crypto.SHA256, iterations: integer(2048), saltSize: 16}
	return craft{
		password: pw, keys: p, certs: p,
		keyBags: [][]byte{aliceKey}, keyAttrs: [][]byte{set(keyID(thumb(aliceCert)))},
		certBags: [][]byte{aliceCert}, certAttrs: [][]byte{set(keyID(thumb(aliceCert)))},
		mac: macs{digest: sha256OID, hash: crypto.SHA256, iterations: integer(2048), saltSize: 8},
	}
}

// with changes a description.
func (c craft) with(change func(*craft)) craft { change(&c); return c }

// macOS is Keychain Access with two identities, one key twice.
func macOS() craft {
	return craft{
		password:  pw,
		keys:      protect{pbe: pbe3DES, iterations: integer(2048), saltSize: 8},
		certs:     protect{pbe: pbeRC240, iterations: integer(2048), saltSize: 8},
		certBags:  [][]byte{aliceCert, bobCert},
		certAttrs: [][]byte{set(friendly("Alice Example"), keyID([]byte("a"))), set(friendly("Bob Example"), keyID([]byte("b")))},
		keyBags:   [][]byte{aliceKey, bobKey, aliceKey},
		keyAttrs:  [][]byte{set(friendly("Alice Example"), keyID([]byte("a"))), set(friendly("Bob Example"), keyID([]byte("b")))},
		mac:       macs{digest: sha1OID, hash: crypto.SHA1, saltSize: 8},
	}
}

// bouncyCastle is its default key store.
func bouncyCastle(indefinite bool) craft {
	return craft{
		password: pw, indefinite: indefinite, keysFirst: true,
		keys:      protect{pbe: pbe3DES, iterations: integer(51200), saltSize: 20},
		certs:     protect{pbe: pbeRC240, iterations: integer(51200), saltSize: 20},
		keyBags:   [][]byte{aliceKey, bobKey},
		keyAttrs:  [][]byte{set(friendly("alice"), keyID(salt("a", 20))), set(friendly("bob"), keyID(salt("b", 20)))},
		certBags:  [][]byte{aliceCert, bobCert, rootCert, caCert},
		certAttrs: [][]byte{set(friendly("alice"), keyID(salt("a", 20))), set(friendly("bob"), keyID(salt("b", 20)))},
		mac:       macs{digest: sha1OID, hash: crypto.SHA1, iterations: integer(102400), saltSize: 20},
	}
}

// forge is node-forge: certificates in clear, SHA-1 as PRF.
func forge() craft {
	return modern().with(func(c *craft) {
		c.certs = protect{}
		c.keys = protect{pbe: pbes2, cipher: aes128, iterations: integer(2048), saltSize: 8}
		c.mac = macs{digest: sha1OID, hash: crypto.SHA1, iterations: integer(2048), saltSize: 8}
	})
}

func prf(h crypto.Hash) []byte {
	return modern().with(func(c *craft) { c.keys.prf, c.certs.prf = h, h }).build()
}

func authenticated(h crypto.Hash, keyLength int64) craft {
	return modern().with(func(c *craft) {
		c.mac = macs{digest: pbmac1, hash: h, iterations: integer(2048), saltSize: 16, keyLength: keyLength}
	})
}

// negative makes the serial number of a certificate negative; the signature is
// broken by that, which nobody looks at.
func negative(der []byte) []byte {
	out := bytes.Clone(der)
	i := bytes.Index(out, append([]byte{2, byte(len(parse(der).SerialNumber.Bytes()))}, parse(der).SerialNumber.Bytes()...))
	out[i+2] |= 0x80
	return out
}

// padded writes an RSA key with a zero too much before each integer.
func padded(k *rsa.PrivateKey) []byte {
	n := func(i *big.Int) []byte { return tlv(2, append([]byte{0, 0}, i.Bytes()...)) }
	inner := seq(integer(0), n(k.N), n(big.NewInt(int64(k.E))), n(k.D), n(k.Primes[0]), n(k.Primes[1]),
		n(k.Precomputed.Dp), n(k.Precomputed.Dq), n(k.Precomputed.Qinv))
	return seq(integer(0), algorithm("1.2.840.113549.1.1.1", null()), octets(inner))
}

// circle gives a leaf and two CAs that have signed one another.
func circle() [][]byte {
	until := time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := func(serial int64, name, by string, public, signer any) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: until.AddDate(-30, 0, 0), NotAfter: until,
			SubjectKeyId: []byte(name), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		return must(x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: by}, SubjectKeyId: []byte(by)}, public, signer))
	}
	a := ca(1, "A", "B", &alicePrivate.(*rsa.PrivateKey).PublicKey, bobPrivate)
	b := ca(2, "B", "A", &bobPrivate.(*rsa.PrivateKey).PublicKey, alicePrivate)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "Alice Example"}, NotBefore: until.AddDate(-30, 0, 0), NotAfter: until}
	return [][]byte{must(x509.CreateCertificate(rand.Reader, leaf, parse(a), &ecPrivate.(*ecdsa.PrivateKey).PublicKey, alicePrivate)), a, b}
}

// nested puts the bags into safes within the safe.
func nested(depth int) []byte {
	inner := bag("1", aliceKey, nil)
	for range depth {
		inner = bag("6", seq(inner), nil)
	}
	return modern().with(func(c *craft) { c.keyBags, c.extraBags = nil, [][]byte{inner} }).build()
}

// other is a file with bags that are neither keys nor X.509 certificates.
func other() []byte {
	crl := bag("4", seq(oid("1.2.840.113549.1.9.23.1"), context0(octets([]byte("crl")))), nil)
	secret := bag("5", seq(oid("1.2.840.113549.1.9.15"), context0(octets([]byte("secret")))), nil)
	sdsi := bag("3", seq(oid("1.2.840.113549.1.9.22.2"), context0(tlv(0x16, []byte("sdsi")))), nil)
	return modern().with(func(c *craft) { c.extraBags = [][]byte{crl, secret, sdsi, bag("99", null(), nil)} }).build()
}

// foreign is a file whose only safe, or whose shell, has another content type.
func foreign(kind string) []byte {
	return modern().shell(seq(seq(oid(kind), context0(seq(integer(0))))))
}

func signedShell() []byte {
	return seq(integer(3), seq(oid("1.2.840.113549.1.7.2"), context0(seq(integer(1)))))
}

// loose writes the outer lengths longer than needed.
func loose() []byte {
	b := modern().build()
	body := b[4:]
	return join([]byte{0x30, 0x84, 0, 0, byte(len(body) >> 8), byte(len(body))}, body)
}

func replicas() []replica {
	null := windows(pbeRC240).with(func(c *craft) {
		c.password, c.nullPass = "", true
		c.certBags = [][]byte{rootCert, caCert, aliceCert}
		c.certAttrs = [][]byte{nil, nil, c.certAttrs[0]}
	})
	aes := windows("").with(func(c *craft) {
		c.keys = protect{pbe: pbes2, cipher: aes256, prf: crypto.SHA256, iterations: integer(2000), saltSize: 16}
		c.certs = c.keys
		c.mac = macs{digest: sha256OID, hash: crypto.SHA256, iterations: integer(2000), saltSize: 20}
	})
	pyca := modern().with(func(c *craft) { c.keys.iterations, c.certs.iterations = integer(20000), integer(20000) })
	negativeLeaf := windows(pbeRC240).with(func(c *craft) { c.certBags = [][]byte{negative(aliceCert)} })
	mismatch := modern().with(func(c *craft) { c.keyBags = [][]byte{bobKey} })
	renewed := modern().with(func(c *craft) { c.certBags = [][]byte{aliceCert, renewedCert, caCert} })
	cycle := modern().with(func(c *craft) { c.keyBags, c.certBags, c.certAttrs = [][]byte{ecKey}, circle(), nil })
	return []replica{
		{"replica-windows-2008.pfx", one, windows(pbeRC240).build(), true},
		{"replica-windows-3des.pfx", one, windows(pbe3DES).build(), true},
		{"replica-windows-aes256.pfx", one, aes.build(), true},
		{"replica-windows-null-root-first.pfx", ",ok,1,0,0,,", null.build(), true},
		{"replica-windows-negative-serial.pfx", pw + ",ok,0,1,0,pfx_certificate_unparseable,", negativeLeaf.build(), false},
		{"replica-enveloped-safe.pfx", pw + ",pfx_protected_to_principal,0,0,0,,", foreign("1.2.840.113549.1.7.3"), false},
		{"replica-signed-shell.pfx", pw + ",pfx_signed_not_password,0,0,0,,", signedShell(), false},
		{"replica-unknown-safe.pfx", pw + ",pfx_algorithm_unsupported,0,0,0,,", foreign("1.3.6.1.4.1.311.99"), false},
		{"replica-version-1.pfx", pw + ",blob_not_pkcs12,0,0,0,,", modern().with(func(c *craft) { c.version = 1 }).build(), false},
		{"replica-macos.p12", pw + ",ok,2,0,0,,key_twice", macOS().build(), true},
		{"replica-bouncycastle-ber.p12", pw + ",ok,2,0,0,,", bouncyCastle(true).build(), true},
		{"replica-bouncycastle-3des.p12", pw + ",ok,2,0,0,,", bouncyCastle(true).with(func(c *craft) { c.certs.pbe = pbe3DES }).build(), true},
		{"replica-bouncycastle-der.p12", pw + ",ok,2,0,0,,", bouncyCastle(false).build(), true},
		{"replica-nss-ber.p12", one, modern().with(func(c *craft) { c.indefinite, c.keysFirst = true, true }).build(), true},
		{"replica-forge.p12", one, forge().build(), true},
		{"replica-forge-nomac.p12", pw + ",pfx_mac_missing,1,0,0,,no_mac", forge().with(func(c *craft) { c.mac = macs{} }).build(), false},
		{"replica-pyca.p12", one, pyca.build(), true},
		{"replica-prf-sha1.p12", one, prf(crypto.SHA1), true},
		{"replica-prf-sha224.p12", one, prf(crypto.SHA224), true},
		{"replica-prf-sha384.p12", one, prf(crypto.SHA384), true},
		{"replica-prf-sha512.p12", one, prf(crypto.SHA512), true},
		{"replica-prf-sha512-256.p12", one, prf(crypto.SHA512_256), true},
		{"replica-pbmac1-sha256.p12", one, authenticated(crypto.SHA256, 32).build(), false},
		{"replica-pbmac1-sha1.p12", one, authenticated(crypto.SHA1, 20).build(), false},
		{"replica-pbmac1-sha384.p12", one, authenticated(crypto.SHA384, 48).build(), false},
		{"replica-pbmac1-sha512.p12", one, authenticated(crypto.SHA512, 64).build(), false},
		{"replica-nested-safes.p12", one, nested(3), true},
		{"replica-other-bags.p12", pw + ",ok,1,0,0,pfx_certificate_unparseable,bag_skipped crl_skipped secret_skipped", other(), false},
		{"replica-key-password.p12", pw + ",ok,0,0,1,pfx_key_password_differs,", modern().with(func(c *craft) { c.keys.password = "another" }).build(), false},
		{"replica-two-passwords.p12", pw + ",pfx_password_wrong,0,0,0,,", modern().with(func(c *craft) { c.mac.password = pw; c.password = "another" }).build(), false},
		{"replica-mismatch.p12", pw + ",ok,0,1,1,,", mismatch.build(), false},
		{"replica-renewed.p12", pw + ",ok,2,0,0,,", renewed.build(), true},
		{"replica-padded-integers.p12", one, modern().with(func(c *craft) { c.keyBags = [][]byte{padded(alicePrivate.(*rsa.PrivateKey))} }).build(), false},
		{"replica-long-lengths.p12", one, loose(), true},
		{"replica-circle.p12", one, cycle.build(), true},
		{"replica-bomb.p12", pw + ",pfx_limit_exceeded,0,0,0,,", modern().with(func(c *craft) { c.mac.iterations = integer(1<<31 - 1) }).build(), false},
		{"replica-giant-rsa.p12", pw + ",ok,1,0,0,pfx_rsa_too_large,", besides(rsaKey(16384), nil), false},
		{"replica-damaged-key.p12", pw + ",ok,1,0,0,pfx_key_malformed,", besides(rsaKey(2048), nil), false},
		{"replica-giant-certificate.p12", pw + ",ok,1,0,0,pfx_certificate_too_large,", besides(nil, make([]byte, 65537)), false},
		{"replica-of-a-ca.p12", one, issued(x509.Certificate{IsCA: true, BasicConstraintsValid: true}), true},
		{"replica-of-a-server.p12", one, issued(x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), true},
		{"replica-of-two-people.p12", one, issued(x509.Certificate{EmailAddresses: []string{"alice@example.com", "bob@example.com"}}), true},
		{"replica-of-a-stranger.p12", one, issued(x509.Certificate{EmailAddresses: []string{"stranger@example.org"}}), true},
		{"replica-not-yet-valid.p12", one, issued(x509.Certificate{NotBefore: time.Date(2047, 1, 1, 0, 0, 0, 0, time.UTC)}), true},
	}
}

// besides is a good file with a bag too many.
func besides(key, cert []byte) []byte {
	return modern().with(func(c *craft) {
		if key != nil {
			c.keyBags = append(c.keyBags, key)
		}
		if cert != nil {
			c.certBags = append(c.certBags, cert)
		}
	}).build()
}

// issued is a file with Alice's key and a certificate like that, which Bob's
// key has signed: RSA signatures have nothing random.
func issued(c x509.Certificate) []byte {
	c.SerialNumber, c.Subject, c.NotAfter = big.NewInt(7), pkix.Name{CommonName: "Example"}, time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
	if c.NotBefore.IsZero() {
		c.NotBefore = c.NotAfter.AddDate(-30, 0, 0)
	}
	if c.EmailAddresses == nil {
		c.EmailAddresses = []string{"alice@example.com"}
	}
	cert := must(x509.CreateCertificate(rand.Reader, &c, &x509.Certificate{Subject: pkix.Name{CommonName: "Example CA"}}, public(alicePrivate), bobPrivate))
	return modern().with(func(c *craft) { c.certBags, c.certAttrs, c.keyAttrs = [][]byte{cert}, nil, nil }).build()
}

// TestReplicas holds the committed files to their descriptions, in which nothing
// is random.
func TestReplicas(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "pfx")
	all := replicas()
	if *update {
		write(t, dir, all)
		return
	}
	for _, r := range all {
		got, err := os.ReadFile(filepath.Join(dir, r.name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, r.data) {
			t.Errorf("%s is not what its description gives; run with -update", r.name)
		}
	}
}

func write(t *testing.T, dir string, all []replica) {
	table := "file,password,outcome,identities,unpaired_keys,unpaired_certs,problems,notes\n"
	for _, r := range all {
		table += r.name + "," + r.row + "\n"
		if err := os.WriteFile(filepath.Join(dir, r.name), r.data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := csv.NewReader(strings.NewReader(table)).ReadAll(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "replicas.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReplicasOpenElsewhere keeps the replicas honest: a file that only our own
// reader opens proves little.
func TestReplicasOpenElsewhere(t *testing.T) {
	judge.Need(t, "openssl")
	byName := map[string]testdata.Sample{}
	for _, s := range testdata.PFXCorpus() {
		byName[s.Name] = s
	}
	for _, r := range replicas() {
		if !r.openssl {
			continue
		}
		in := filepath.Join(t.TempDir(), r.name)
		if err := os.WriteFile(in, r.data, 0o600); err != nil {
			t.Fatal(err)
		}
		out := judge.Run(t, nil, "openssl", "pkcs12", "-legacy", "-in", in, "-nodes", "-passin", "pass:"+byName[r.name].Password)
		if block, _ := pem.Decode(out[bytes.Index(out, []byte("-----BEGIN PRIVATE KEY")):]); block == nil {
			t.Errorf("%s: OpenSSL finds no key:\n%s", r.name, out)
		}
	}
}
