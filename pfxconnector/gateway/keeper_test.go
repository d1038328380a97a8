package gateway_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/testdata"
)

// keyFile puts the device's key and certificate where OpenSSL finds them.
func keyFile(t *testing.T, chain [][]byte) (key, certificate string) {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, certificate = filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	for name, block := range map[string]*pem.Block{key: {Type: "PRIVATE KEY", Bytes: pkcs8}, certificate: {Type: "CERTIFICATE", Bytes: chain[0]}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key, certificate
}

// decrypt opens what was encrypted to the device, with OpenSSL.
func decrypt(t *testing.T, sealed []byte, key, certificate string) []byte {
	t.Helper()
	return judge.Run(t, sealed, "openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", key, "-recip", certificate)
}

// identity reads a PKCS#12 file with OpenSSL and gives its certificate.
func identity(t *testing.T, file []byte, password string) cert.Fingerprint {
	t.Helper()
	crt := judge.Run(t, file, "openssl", "pkcs12", "-passin", "pass:"+password, "-nokeys", "-clcerts")
	key := judge.Run(t, file, "openssl", "pkcs12", "-passin", "pass:"+password, "-nocerts", "-noenc")
	if !bytes.Contains(key, []byte("PRIVATE KEY")) {
		t.Errorf("no key in it: %s", crt)
	}
	block, _ := pem.Decode(crt[bytes.Index(crt, []byte("-----BEGIN")):])
	return cert.FingerprintOf(block.Bytes)
}

// What another MDM gets opens with the device's key, and with no other program
// than those that everybody has.
func TestWhatTheDeviceGets(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	c, chain := w.served(terms()), deviceCA.device(t)
	key, certificate := keyFile(t, chain)

	files, err := w.deliver(c, chain, func(a *gateway.Ask) { a.Form = gateway.PKCS12 })
	w.must(err)
	want, got := fingerprints(files.Listed), []cert.Fingerprint{}
	for _, f := range files.Files {
		got = append(got, f.Certificate)
		if id := identity(t, decrypt(t, f.PKCS12, key, certificate), string(decrypt(t, f.Password, key, certificate))); id != f.Certificate {
			t.Errorf("the file of %s has %s", f.Certificate, id)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 2 || len(files.Listed) != 3 {
		t.Errorf("files, but for the one with another address: %s", diff)
	}

	d, err := w.deliver(c, chain)
	w.must(err)
	plain := judge.Run(t, d.Profile, "openssl", "cms", "-verify", "-inform", "DER", "-noverify", "-binary")
	var outer struct {
		PayloadIdentifier       string
		IsEncrypted             bool
		EncryptedPayloadContent []byte
	}
	w.must(plist.Unmarshal(plain, &outer, plist.Upload))
	var payloads []struct {
		PayloadType, Password string
		PayloadContent        []byte
	}
	w.must(plist.Unmarshal(decrypt(t, outer.EncryptedPayloadContent, key, certificate), &payloads, plist.Upload))
	if len(payloads) != len(want) || outer.PayloadIdentifier != "com.example.connector" || d.Identifier != outer.PayloadIdentifier {
		t.Errorf("got %d payloads in %+v, want %d", len(payloads), outer, len(want))
	}
	for i, p := range payloads {
		if id := identity(t, p.PayloadContent, p.Password); id != want[i] {
			t.Errorf("payload %d has %s, want %s", i, id, want[i])
		}
	}
	if diff := cmp.Diff([]int{len(want), len(want)}, w.told.keys); diff != "" {
		t.Errorf("the user was told: %s", diff)
	}
	if n := w.count(journal.KeyOpened); n != 2*len(want) {
		t.Errorf("%d openings in the journal, want %d", n, 2*len(want))
	}
}

// One certificate alone has a profile of its own.
func TestOneCertificate(t *testing.T) {
	w := newWorld(t)
	c, chain := w.served(terms()), deviceCA.device(t)
	all, err := w.deliver(c, chain)
	w.must(err)
	one := fingerprints(all.Listed)[1]
	d, err := w.deliver(c, chain, func(a *gateway.Ask) { a.Certificate = one })
	w.must(err)
	if d.Identifier != "com.example.connector."+one.String() || d.ID == all.ID {
		t.Errorf("got %s", d.Identifier)
	}
	if _, err := w.deliver(c, chain, func(a *gateway.Ask) { a.Certificate = cert.Fingerprint{1} }); !errors.Is(err, gateway.ErrNothing) {
		t.Errorf("one that nobody has: got %v", err)
	}
}

// Asked again, the same is given again, and nothing is opened; a day later it is
// made anew, and what was sealed is forgotten.
func TestAskedAgain(t *testing.T) {
	w := newWorld(t)
	c, chain := w.served(terms()), deviceCA.device(t)
	first, err := w.deliver(c, chain)
	w.must(err)
	opened := w.count(journal.KeyOpened)
	again, err := w.deliver(c, chain)
	w.must(err)
	if !again.Again || again.ID != first.ID || !bytes.Equal(again.Profile, first.Profile) || w.count(journal.KeyOpened) != opened || len(w.told.keys) != 1 {
		t.Errorf("got %v %s, %d openings", again.Again, again.ID, w.count(journal.KeyOpened)-opened)
	}
	w.now = w.now.Add(24 * time.Hour)
	if n, err := w.keeper.Tidy(t.Context()); n != 1 || err != nil {
		t.Errorf("forgotten: %d, %v", n, err)
	}
	later, err := w.deliver(c, chain)
	w.must(err)
	if later.Again || later.ID == first.ID {
		t.Errorf("a day later: got %v %s", later.Again, later.ID)
	}
}

// Whose device it is must be beyond doubt.
func TestRefusedDevices(t *testing.T) {
	w := newWorld(t)
	c := w.served(terms())
	sub := newCA("Devices, issuing", strangeCA)
	for name, x := range map[string]struct {
		chain [][]byte
		want  *fault.Error
	}{
		"nothing":                {nil, gateway.ErrDevice},
		"no certificate":         {[][]byte{{1, 2, 3}}, gateway.ErrDevice},
		"too many":               {slices.Repeat(deviceCA.device(t), 6), gateway.ErrDevice},
		"another CA":             {strangeCA.device(t), gateway.ErrDeviceChain},
		"another CA, brought":    {append(strangeCA.device(t), strangeCA.Raw), gateway.ErrDeviceChain},
		"below another CA":       {append(sub.device(t), sub.Raw, strangeCA.Raw), gateway.ErrDeviceChain},
		"expired":                {deviceCA.device(t, func(c *x509.Certificate) { c.NotAfter = at.Add(-time.Minute) }), gateway.ErrDeviceChain},
		"not yet":                {deviceCA.device(t, func(c *x509.Certificate) { c.NotBefore = at.Add(time.Minute) }), gateway.ErrDeviceChain},
		"the CA itself":          {[][]byte{deviceCA.Raw}, gateway.ErrDeviceKey},
		"a server":               {deviceCA.device(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), gateway.ErrDeviceUsage},
		"for anything":           {deviceCA.device(t, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), gateway.ErrDeviceUsage},
		"for signing only":       {deviceCA.device(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), gateway.ErrDeviceUsage},
		"a sub CA":               {deviceCA.device(t, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), gateway.ErrDeviceUsage},
		"1024 bits":              {deviceCA.certify(t, shortKey.Public()), gateway.ErrDeviceKey},
		"an elliptic curve":      {deviceCA.certify(t, curveKey.Public()), gateway.ErrDeviceKey},
		"names nobody":           {deviceCA.device(t, named()), gateway.ErrDeviceUser},
		"names a stranger":       {deviceCA.device(t, named("eve@example.com")), gateway.ErrDeviceUser},
		"names another user":     {deviceCA.device(t, named("bob@example.com")), gateway.ErrDeviceUser},
		"names two users":        {deviceCA.device(t, named(testdata.Owner, "bob@example.com")), gateway.ErrDeviceUser},
		"names him in the wrong": {deviceCA.device(t, named(), func(c *x509.Certificate) { c.Subject.CommonName = testdata.Owner }), gateway.ErrDeviceUser},
		"names a UPN":            {deviceCA.device(t, named(), func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{upn(t, testdata.Owner)} }), gateway.ErrDeviceUser},
		"is for whom it is not":  {deviceCA.device(t, named("bob@example.com", "eve@example.com")), gateway.ErrDeviceUser},
	} {
		if _, err := w.deliver(c, x.chain); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %s", name, err, x.want.Code)
		}
	}
	if n := w.count(journal.KeyOpened); n != 0 || len(w.told.keys) != 0 {
		t.Errorf("%d keys were opened", n)
	}
	if w.count(journal.ConnectorRefused) == 0 {
		t.Error("the journal has no refusal")
	}
	if _, err := w.deliver(c, deviceCA.device(t), func(a *gateway.Ask) { a.User = "bob@example.com" }); !errors.Is(err, gateway.ErrDeviceUser) {
		t.Errorf("asked for another user than the certificate names: got %v", err)
	}
	if _, err := w.deliver(c, append(deviceCA.device(t), deviceCA.Raw)); err != nil {
		t.Errorf("with its CA: %v", err)
	}
}

// The approved way of naming counts, and no other.
func TestNamings(t *testing.T) {
	w := newWorld(t)
	mail := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	for naming, change := range map[gateway.Naming]func(*x509.Certificate){
		gateway.ByMail: func(*x509.Certificate) {},
		gateway.ByUPN:  func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{upn(t, testdata.Owner)} },
		gateway.BySubject: func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: mail, Value: testdata.Owner}}
		},
		gateway.ByID: func(c *x509.Certificate) { c.URIs = []*url.URL{uri(t, w.alice.ID)} },
	} {
		x := terms()
		x.Name, x.Naming = string(naming), naming
		c := w.served(x)
		blank := named()
		if naming == gateway.ByMail {
			blank = named(testdata.Owner)
		}
		d, err := w.deliver(c, deviceCA.device(t, blank, change))
		if err != nil || d.User.ID != w.alice.ID {
			t.Errorf("%s: got %v", naming, err)
		}
		if naming == gateway.ByMail {
			continue
		}
		if _, err := w.deliver(c, deviceCA.device(t)); !errors.Is(err, gateway.ErrDeviceUser) {
			t.Errorf("%s, but named by mail: got %v", naming, err)
		}
	}
}

// An administrator who gives Alice the address of his own device gets none of
// her keys: they do not name it. Where other addresses are approved, he would.
func TestAddressesPointedElsewhere(t *testing.T) {
	w := newWorld(t)
	named := deviceCA.device(t, named("mallory@example.com"))
	alice := w.alice
	alice.Aliases = []string{"mallory@example.com"}
	w.must(w.db.Directory().UserSaved(t.Context(), alice, journal.Entry{At: at, Actor: by, Action: journal.UserChanged}))
	d, err := w.deliver(w.served(terms()), named)
	if !errors.Is(err, gateway.ErrNothing) || w.count(journal.KeyOpened) != 0 {
		t.Errorf("got %v, %d keys opened", err, w.count(journal.KeyOpened))
	}
	for _, l := range d.Listed {
		if l.Withheld == "" {
			t.Errorf("%s is not withheld", l.Record.Fingerprint)
		}
	}
	weaker := terms()
	weaker.Name, weaker.OtherAddresses = "weaker", true
	if d, err = w.deliver(w.served(weaker), named); err != nil || len(fingerprints(d.Listed)) == 0 {
		t.Errorf("with other addresses: got %v", err)
	}
}

// Nobody is served before others agreed to exactly what is registered.
func TestNobodyAlone(t *testing.T) {
	w := newWorld(t)
	c, chain := w.register(terms()), deviceCA.device(t)
	refused := func(when string, want *fault.Error) {
		t.Helper()
		if _, err := w.deliver(c, chain); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %s", when, err, want.Code)
		}
	}
	refused("at first", gateway.ErrWaiting)
	if err := w.consents.Approve(t.Context(), w.admin, c.Consent); err == nil {
		t.Error("who registered it approved it")
	}
	if n := w.approve(c, 1); n != 0 {
		t.Error("one was enough")
	}
	refused("with one", gateway.ErrWaiting)
	if err := w.consents.Approve(t.Context(), w.people[0], c.Consent); !errors.Is(err, access.ErrConsentGiven) {
		t.Errorf("the same again: got %v", err)
	}
	w.must(w.consents.Approve(t.Context(), w.people[1], c.Consent))
	if n, err := w.keeper.Seal(t.Context()); n != 1 || err != nil {
		t.Fatalf("with two: %d, %v", n, err)
	}
	_, err := w.deliver(c, chain)
	w.must(err)
	w.must(w.service.Revoke(t.Context(), by, "other"))
	refused("revoked", gateway.ErrRevoked)

	late := terms()
	late.Name = "late"
	c = w.register(late)
	w.now = w.now.Add(24 * time.Hour)
	if n, err := w.keeper.Seal(t.Context()); n != 0 || err != nil {
		t.Errorf("late: %d, %v", n, err)
	}
	refused("late", gateway.ErrRevoked)
}

// Rows that are changed behind our back are worth nothing, before the approval
// and after it.
func TestChangedRows(t *testing.T) {
	chain := strangeCA.device(t)
	swapped := func(w *world, c gateway.Connector) {
		c.CAs = [][]byte{strangeCA.Raw}
		w.exec(`UPDATE connector SET terms = replace(terms, ?, ?)`, b64(deviceCA.Raw), b64(strangeCA.Raw))
	}
	t.Run("before", func(t *testing.T) {
		w := newWorld(t)
		c := w.register(terms())
		swapped(w, c)
		if n := w.approve(c, 2); n != 0 {
			t.Errorf("%d were sealed", n)
		}
		if w.count(journal.KeyAlarm) != 1 {
			t.Error("no alarm")
		}
		if _, err := w.deliver(c, chain); !errors.Is(err, gateway.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	})
	for name, change := range map[string]func(*world, gateway.Connector){
		"the CA": swapped,
		"the limit": func(w *world, _ gateway.Connector) {
			w.exec(`UPDATE connector SET terms = replace(terms, '"PerHour":100', '"PerHour":101')`)
		},
		"the time":      func(w *world, _ gateway.Connector) { w.exec(`UPDATE connector SET created_at = created_at + 1`) },
		"the signature": func(w *world, _ gateway.Connector) { w.exec(`UPDATE connector SET seal = X'3000'`) },
		"another's": func(w *world, c gateway.Connector) {
			x := terms()
			x.Name, x.CAs = "second", [][]byte{strangeCA.Raw}
			w.register(x)
			w.exec(`UPDATE connector SET id = 'gone' WHERE name = 'other'`)
			w.exec(`UPDATE connector SET seal = (SELECT seal FROM connector WHERE name = 'other'), id = ? WHERE name = 'second'`, c.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.served(terms())
			change(w, c)
			for _, chain := range [][][]byte{chain, deviceCA.device(t)} {
				if _, err := w.deliver(c, chain); !errors.Is(err, gateway.ErrAltered) {
					t.Errorf("got %v", err)
				}
			}
			if w.count(journal.KeyOpened) != 0 || w.count(journal.KeyAlarm) == 0 {
				t.Errorf("%d keys opened, %d alarms", w.count(journal.KeyOpened), w.count(journal.KeyAlarm))
			}
		})
	}
	t.Run("a keeper without the key", func(t *testing.T) {
		w := newWorld(t)
		c := w.served(terms())
		w.signer.key = nil
		if _, err := w.deliver(c, deviceCA.device(t)); !errors.Is(err, gateway.ErrAltered) {
			t.Errorf("got %v", err)
		}
	})
}

// exec changes the database as somebody does who got hold of it.
func (w *world) exec(query string, values ...any) {
	w.t.Helper()
	raw, err := sql.Open("sqlite", w.path)
	w.must(err)
	defer raw.Close()
	res, err := raw.Exec(query, values...)
	w.must(err)
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		w.t.Fatalf("%s met %d rows, %v", query, n, err)
	}
}

// What is handed over within an hour is bounded.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	x := terms()
	c := w.served(x)
	d, err := w.deliver(c, deviceCA.device(t))
	w.must(err)
	n := len(fingerprints(d.Listed))
	x.Name, x.PerHour = "little", 2*n-1
	c = w.served(x)
	one, other := deviceCA.device(t), deviceCA.device(t)
	_, err = w.deliver(c, one)
	w.must(err)
	opened := w.count(journal.KeyOpened)
	if _, err := w.deliver(c, other); !errors.Is(err, gateway.ErrLimit) || w.count(journal.KeyOpened) != opened {
		t.Errorf("over the limit: got %v, %d opened", err, w.count(journal.KeyOpened)-opened)
	}
	if again, err := w.deliver(c, one); err != nil || !again.Again {
		t.Errorf("the same again: got %v", err)
	}
	w.now = w.now.Add(61 * time.Minute)
	if _, err := w.deliver(c, other); err != nil {
		t.Errorf("an hour later: got %v", err)
	}
}

// Nothing leaves of which nobody is told, or that nobody wrote down.
func TestToldFirst(t *testing.T) {
	w := newWorld(t)
	c := w.served(terms())
	w.told.fail = true
	if _, err := w.deliver(c, deviceCA.device(t)); err == nil || w.count(journal.KeyOpened) != 0 {
		t.Errorf("got %v, %d opened", err, w.count(journal.KeyOpened))
	}
	if w.count(journal.ConnectorAsked) != 1 {
		t.Error("what was asked is not in the journal")
	}
}

// away are escrow keys whose holder does not answer.
type away struct{ opener.Keys }

func (away) Ready(context.Context) error { return opener.ErrKeyAway }

// What cannot be opened now is not counted, and nobody is told of it; what was
// made before is given again.
func TestKeysAway(t *testing.T) {
	w := newWorld(t)
	c := w.served(terms())
	one := deviceCA.device(t)
	if _, err := w.deliver(c, one); err != nil {
		t.Fatal(err)
	}
	before := w.count(journal.ConnectorAsked)
	open := w.config.Opener.(*opener.Opener)
	open.Keys = away{open.Keys}
	if _, err := w.deliver(c, deviceCA.device(t)); !errors.Is(err, opener.ErrKeyAway) {
		t.Errorf("got %v, want ErrKeyAway", err)
	}
	if n := w.count(journal.ConnectorAsked); n != before || len(w.told.keys) != 1 {
		t.Errorf("%d asked, told %v", n-before, w.told.keys)
	}
	if again, err := w.deliver(c, one); err != nil || !again.Again {
		t.Errorf("the same again: got %v", err)
	}
}

func TestForms(t *testing.T) {
	w := newWorld(t)
	x := terms()
	x.Forms = []gateway.Form{gateway.Profile}
	if _, err := w.deliver(w.served(x), deviceCA.device(t), func(a *gateway.Ask) { a.Form = gateway.PKCS12 }); !errors.Is(err, gateway.ErrForm) {
		t.Errorf("got %v", err)
	}
}

// Revoked devices get nothing, and where a list is required, none but current
// ones do.
func TestRevocationLists(t *testing.T) {
	w := newWorld(t)
	lax, strict := terms(), terms()
	strict.Name, strict.RequireCRL = "strict", true
	a, b := w.served(lax), w.served(strict)
	chain, soon, past := deviceCA.device(t), at.Add(time.Hour), at.Add(-time.Minute)
	store := func(c gateway.Connector, list []byte) error {
		_, err := w.service.StoreCRL(t.Context(), by, c.ID, list)
		return err
	}
	expect := func(when string, c gateway.Connector, want error) {
		t.Helper()
		if _, err := w.deliver(c, chain); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", when, err, want)
		}
	}
	expect("no list", b, gateway.ErrCRLStale)
	for name, list := range map[string][]byte{"no list": {1}, "a stranger's": strangeCA.crl(t, 1, soon), "empty": {}} {
		if err := store(b, list); !errors.Is(err, gateway.ErrCRL) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.must(store(b, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: deviceCA.crl(t, 2, soon)})))
	expect("a list", b, nil)
	if err := store(b, deviceCA.crl(t, 1, soon)); !errors.Is(err, gateway.ErrCRL) {
		t.Errorf("an older one: got %v", err)
	}
	w.must(store(b, deviceCA.crl(t, 3, past)))
	expect("out of date", b, gateway.ErrCRLStale)
	w.must(store(b, deviceCA.crl(t, 4, soon, 77)))
	expect("revoked", b, gateway.ErrDeviceRevoked)
	for name, oid := range map[string]asn1.ObjectIdentifier{"what changed": {2, 5, 29, 27}, "some certificates": {2, 5, 29, 28}} {
		if err := store(b, deviceCA.part(t, 9, soon, oid)); !errors.Is(err, gateway.ErrCRL) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	expect("revoked, whatever parts come", b, gateway.ErrDeviceRevoked)
	w.must(store(a, deviceCA.crl(t, 4, past, 78)))
	expect("another is revoked", a, nil)
	w.must(store(a, deviceCA.crl(t, 5, past, 77)))
	expect("revoked, and out of date", a, gateway.ErrDeviceRevoked)
}

// Secrets are known by their hash, from where the terms say.
func TestClients(t *testing.T) {
	w := newWorld(t)
	x := terms()
	x.Networks = []string{"192.0.2.0/24", "2001:db8::/32"}
	c := w.register(x)
	secret := w.secret.RevealString()
	for _, s := range []struct {
		secret, remote string
		want           error
	}{
		{secret, "192.0.2.9", nil}, {secret, "2001:db8::1", nil}, {secret, "::ffff:192.0.2.9", nil},
		{secret, "198.51.100.1", gateway.ErrNetwork}, {secret, "", gateway.ErrNetwork},
		{secret + "A", "192.0.2.9", gateway.ErrUnknown}, {"", "192.0.2.9", gateway.ErrUnknown}, {c.ID, "192.0.2.9", gateway.ErrUnknown},
	} {
		if got, err := w.service.Client(t.Context(), s.secret, s.remote); !errors.Is(err, s.want) || err == nil && got.ID != c.ID {
			t.Errorf("from %q: got %v, want %v", s.remote, err, s.want)
		}
	}
	other, err := w.service.NewSecret(t.Context(), by, c.Name)
	w.must(err)
	if _, err := w.service.Client(t.Context(), secret, "192.0.2.9"); !errors.Is(err, gateway.ErrUnknown) {
		t.Errorf("the old secret: got %v", err)
	}
	w.must(w.service.Revoke(t.Context(), by, c.Name))
	if _, err := w.service.Client(t.Context(), other.RevealString(), "192.0.2.9"); !errors.Is(err, gateway.ErrRevoked) {
		t.Errorf("revoked: got %v", err)
	}
	if err := w.service.Revoke(t.Context(), by, c.Name); !errors.Is(err, gateway.ErrOver) {
		t.Errorf("revoked again: got %v", err)
	}
}

func TestTerms(t *testing.T) {
	w := newWorld(t)
	leaf := deviceCA.device(t)[0]
	for name, change := range map[string]func(*gateway.Terms){
		"no name":            func(x *gateway.Terms) { x.Name = "" },
		"a strange name":     func(x *gateway.Terms) { x.Name = "Other MDM" },
		"no CA":              func(x *gateway.Terms) { x.CAs = nil },
		"no certificate":     func(x *gateway.Terms) { x.CAs = [][]byte{{1}} },
		"no CA's":            func(x *gateway.Terms) { x.CAs = [][]byte{leaf} },
		"names nobody":       func(x *gateway.Terms) { x.Naming = "none" },
		"no form":            func(x *gateway.Terms) { x.Forms = nil },
		"an unknown form":    func(x *gateway.Terms) { x.Forms = []gateway.Form{"pem"} },
		"no limit":           func(x *gateway.Terms) { x.PerHour = 0 },
		"over at once":       func(x *gateway.Terms) { x.Expires = at },
		"for ever":           func(x *gateway.Terms) { x.Expires = at.AddDate(6, 0, 0) },
		"no network":         func(x *gateway.Terms) { x.Networks = []string{"192.0.2.1"} },
		"bits beside a mask": func(x *gateway.Terms) { x.Networks = []string{"192.0.2.1/24"} },
	} {
		x := terms()
		change(&x)
		if _, _, err := w.service.Register(t.Context(), by, x, nil); !errors.Is(err, gateway.ErrTerms) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.register(terms())
	if _, _, err := w.service.Register(t.Context(), by, terms(), nil); !errors.Is(err, gateway.ErrExists) {
		t.Errorf("the same name: got %v", err)
	}
}

// The list that another MDM may see has a revision that changes with it.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	u, list, err := w.service.Certificates(t.Context(), testdata.Owner)
	w.must(err)
	if u.ID != w.alice.ID || len(list) != 3 || !list[0].Current || list[1].Current {
		t.Errorf("got %d of %s", len(list), u.Mail)
	}
	if gateway.Revision(list) == gateway.Revision(list[1:]) || gateway.Revision(list) != gateway.Revision(slices.Clone(list)) {
		t.Error("revisions")
	}
	if _, _, err := w.service.Certificates(t.Context(), "nobody@example.com"); fault.Of(err) == nil || fault.Of(err).Kind != fault.NotFound {
		t.Errorf("nobody: got %v", err)
	}
}

func b64(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
