package opener_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// payload is what a device finds in the sealed profile.
type payload struct {
	PayloadType    string
	PayloadContent []byte
	Password       string
}

// unpack does what the device does, with openssl: it verifies the signature,
// reads the profile and decrypts it with the key of its identity.
func unpack(t *testing.T, signed []byte, identity []byte) []payload {
	t.Helper()
	judge.Need(t, "openssl")
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := judge.Run(t, signed, "openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-attime", "1795521600",
		"-CAfile", file("root", "CERTIFICATE", root.Raw))
	var outer struct {
		IsEncrypted             bool
		EncryptedPayloadContent []byte
	}
	if err := plist.Unmarshal(plain, &outer, plist.Upload); err != nil || !outer.IsEncrypted {
		t.Fatalf("the profile: encrypted %v, %v", outer.IsEncrypted, err)
	}
	inner := judge.Run(t, outer.EncryptedPayloadContent, "openssl", "cms", "-decrypt", "-inform", "DER",
		"-recip", file("identity", "CERTIFICATE", identity), "-inkey", file("key", "PRIVATE KEY", key))
	var list []payload
	if err := plist.Unmarshal(inner, &list, plist.Upload); err != nil {
		t.Fatal(err)
	}
	return list
}

// check lets openssl open a PKCS #12 and compares key and certificate with each
// other and with what was asked for.
func check(t *testing.T, p payload, want cert.Fingerprint) {
	t.Helper()
	args := func(more ...string) []string {
		return append([]string{"pkcs12", "-in", "/dev/stdin", "-passin", "pass:" + p.Password}, more...)
	}
	crt := judge.Run(t, p.PayloadContent, "openssl", args("-nokeys", "-clcerts")...)
	key := judge.Run(t, p.PayloadContent, "openssl", args("-nocerts", "-noenc")...)
	der := judge.Run(t, crt, "openssl", "x509", "-outform", "DER")
	if got := cert.FingerprintOf(der); got != want {
		t.Errorf("the certificate is %s, want %s", got, want)
	}
	ofKey := judge.Run(t, key, "openssl", "pkey", "-pubout")
	if ofCert := judge.Run(t, crt, "openssl", "x509", "-pubkey", "-noout"); !bytes.Equal(ofKey, ofCert) {
		t.Error("the key is not the certificate's")
	}
}

func TestDeviceGetsItsUsersKeys(t *testing.T) {
	for name, ios := range map[string]int{"iOS 17": 17, "iOS 18": 18, "unknown": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f := frame(w.aliceNew, w.aliceOld)
			signed, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, f, ios)
			if err != nil {
				t.Fatal(err)
			}
			list := unpack(t, signed, w.issued[w.alicePhone].DER)
			if len(list) != 2 || list[0].PayloadType != "com.apple.security.pkcs12" || list[0].Password == list[1].Password {
				t.Fatalf("got %d payloads", len(list))
			}
			check(t, list[0], w.aliceNew)
			check(t, list[1], w.aliceOld)
			for _, p := range f.PKCS12s() {
				if len(p.Content) > 0 || !p.Password.Empty() {
					t.Error("the frame was filled in")
				}
			}
		})
	}
}

func TestEachOpeningIsInTheJournalFirst(t *testing.T) {
	w := newWorld(t)
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew, w.aliceOld), 18); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 1}, w.diary.early); diff != "" {
		t.Errorf("keys unwrapped before each entry:\n%s", diff)
	}
	got := w.entries(t, journal.KeyOpened)
	if len(got) != 2 {
		t.Fatalf("%d entries, want 2", len(got))
	}
	for _, e := range got {
		if e.User != w.alice.ID || e.Device != w.alicePhone || e.Detail["why"] != "delivery" || (e.Cert != w.aliceNew && e.Cert != w.aliceOld) {
			t.Errorf("entry: got %+v", e)
		}
	}
}

func TestNoJournalNoKey(t *testing.T) {
	w := newWorld(t)
	w.diary.fail = true
	out, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18)
	if !errors.Is(err, opener.ErrJournal) || out != nil || w.keys.asked != 0 {
		t.Errorf("got %d bytes, %v; %d keys opened", len(out), err, w.keys.asked)
	}
}

// Passwords and wrapping are new each time: nothing that was once intercepted
// helps with the next delivery.
func TestEachDeliveryIsItsOwn(t *testing.T) {
	w := newWorld(t)
	o := opener.New(w.config)
	seen := map[string]bool{}
	for range 3 {
		signed, err := o.Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18)
		if err != nil {
			t.Fatal(err)
		}
		p := unpack(t, signed, w.issued[w.alicePhone].DER)[0]
		if seen[p.Password] || len(p.Password) < 26 || bytes.Contains(signed, []byte(p.Password)) {
			t.Errorf("password %d: short, used before, or in the clear", len(seen))
		}
		seen[p.Password] = true
	}
}

func TestProfileWithoutKeys(t *testing.T) {
	w := newWorld(t)
	f := profile.Profile{Common: profile.Named("com.example.roots", "Roots"),
		Payloads: []profile.Payload{&profile.Root{Common: profile.Named("com.example.roots.1", "Root"), Certificate: root.Raw}}}
	signed, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, f, 18)
	if err != nil {
		t.Fatal(err)
	}
	if list := unpack(t, signed, w.issued[w.alicePhone].DER); len(list) != 1 || w.keys.asked != 0 {
		t.Errorf("%d payloads, %d keys opened", len(list), w.keys.asked)
	}
}

// Whatever is wrong with the device's identity: no key is touched, and the
// attempt is in the journal.
func TestIdentityRefused(t *testing.T) {
	w := newWorld(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	impostor := newCA("Device CA", root) // the same name below the same root
	good := func() *x509.Certificate { return template(w.alice.ID, w.alicePhone) }
	sign := func(by *authority, c *x509.Certificate, key any) cert.Record {
		out, err := by.sign(c, key)
		if err != nil {
			t.Fatal(err)
		}
		return issued(out, w.alice.ID, w.alicePhone)
	}
	edit := func(change func(*x509.Certificate)) cert.Record {
		c := good()
		change(c)
		return sign(deviceCA, c, deviceKey.Public())
	}
	record := func(change func(*cert.Record)) cert.Record {
		r := edit(func(*x509.Certificate) {})
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		records []cert.Record
		want    error
	}{
		"none":                     {nil, opener.ErrNoIdentity},
		"a signing certificate":    {[]cert.Record{record(func(r *cert.Record) { r.Use = cert.Signing })}, opener.ErrNoIdentity},
		"an imported one":          {[]cert.Record{record(func(r *cert.Record) { r.Source = cert.Imported })}, opener.ErrNoIdentity},
		"revoked":                  {[]cert.Record{record(func(r *cert.Record) { r.RevokedAt = at })}, opener.ErrIdentity},
		"expired":                  {[]cert.Record{edit(func(c *x509.Certificate) { c.NotAfter = at.Add(-time.Second) })}, opener.ErrIdentity},
		"not yet valid":            {[]cert.Record{edit(func(c *x509.Certificate) { c.NotBefore = at.Add(time.Second) })}, opener.ErrIdentity},
		"by a CA of the same name": {[]cert.Record{sign(impostor, good(), deviceKey.Public())}, opener.ErrIdentity},
		"by the mail CA":           {[]cert.Record{sign(mailCA, good(), deviceKey.Public())}, opener.ErrIdentity},
		"by the root itself":       {[]cert.Record{sign(root, good(), deviceKey.Public())}, opener.ErrIdentity},
		"self-signed":              {[]cert.Record{sign(&authority{good(), ec}, good(), ec.Public())}, opener.ErrIdentity},
		"a server's":               {[]cert.Record{edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })}, opener.ErrIdentity},
		"without extended usage":   {[]cert.Record{edit(func(c *x509.Certificate) { c.ExtKeyUsage = nil })}, opener.ErrIdentity},
		"for any usage":            {[]cert.Record{edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })}, opener.ErrIdentity},
		"another device's":         {[]cert.Record{edit(func(c *x509.Certificate) { c.Subject.CommonName = string(w.bobPhone) })}, opener.ErrIdentity},
		"another user's":           {[]cert.Record{edit(func(c *x509.Certificate) { c.URIs = template(w.bob.ID, w.alicePhone).URIs })}, opener.ErrIdentity},
		"without user":             {[]cert.Record{edit(func(c *x509.Certificate) { c.URIs = nil })}, opener.ErrIdentity},
		"with a common name beside": {[]cert.Record{edit(func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: string(w.alicePhone), Organization: []string{"x"}}
		})}, opener.ErrIdentity},
		"the record says another user":             {[]cert.Record{record(func(r *cert.Record) { r.Holder.User = w.bob.ID })}, opener.ErrIdentity},
		"the record has another certificate":       {[]cert.Record{record(func(r *cert.Record) { r.DER = w.issued[w.bobPhone].DER })}, opener.ErrIdentity},
		"another device's, record and all":         {[]cert.Record{w.issued[w.bobPhone]}, opener.ErrIdentity},
		"the record has another one of the device": {[]cert.Record{record(func(r *cert.Record) { r.Fingerprint = cert.Fingerprint{1} })}, opener.ErrIdentity},
		"no certificate":                           {[]cert.Record{record(func(r *cert.Record) { r.DER = nil })}, opener.ErrIdentity},
		"an EC key":                                {[]cert.Record{sign(deviceCA, good(), ec.Public())}, opener.ErrIdentityKey},
		"not for encryption":                       {[]cert.Record{edit(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })}, opener.ErrIdentityKey},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.entries(t, journal.KeyRefused))
			delete(w.issued, w.alicePhone)
			for _, r := range c.records {
				w.issued[w.alicePhone] = r
			}
			out, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18)
			if !errors.Is(err, c.want) || out != nil {
				t.Errorf("got %d bytes, %v; want %v", len(out), err, c.want)
			}
			if w.keys.asked != 0 || len(w.entries(t, journal.KeyOpened)) != 0 {
				t.Errorf("%d keys opened", w.keys.asked)
			}
			list := w.entries(t, journal.KeyRefused)
			if len(list) != before+1 || list[0].Device != w.alicePhone || list[0].Detail["code"] == "" {
				t.Errorf("refusals in the journal: %d more, %+v", len(list)-before, list)
			}
		})
	}
	w.issued[w.alicePhone] = record(func(*cert.Record) {})
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); err != nil {
		t.Errorf("the good one after all: %v", err)
	}
}

// To an expired identity goes what renews it, for ninety days, and nothing with
// a key.
func TestLateIdentity(t *testing.T) {
	w := newWorld(t)
	renewal := profile.Profile{Common: profile.Named("com.example.enroll", "Enrollment")}
	scep := &profile.SCEP{Common: profile.Named("com.example.enroll.scep", "Identity"), URL: "https://mdm.example.com/scep", Challenge: seal.Random(), KeySize: 2048, KeyUsage: profile.DualKey}
	renewal.Payloads = []profile.Payload{scep, &profile.MDM{Common: profile.Named("com.example.enroll.mdm", "Management"), IdentityUUID: scep.UUID,
		Topic: "com.apple.mgmt.External.x", AccessRights: profile.CertificateDelivery, ServerURL: "https://mdm.example.com/mdm", SignMessage: true}}
	both, mail := renewal, profile.Profile{Common: profile.Named("com.example.mail", "Mail"), Payloads: []profile.Payload{scep}}
	both.Payloads = append(slices.Clone(renewal.Payloads), frame(w.aliceNew).Payloads...)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		frame   profile.Profile
		ago     time.Duration
		revoked bool
		want    error
	}{
		"the renewal":                   {renewal, day, false, nil},
		"the renewal at the last":       {renewal, 90*day - time.Second, false, nil},
		"the renewal too late":          {renewal, 90 * day, false, opener.ErrIdentity},
		"the renewal, revoked":          {renewal, day, true, opener.ErrIdentity},
		"a key":                         {frame(w.aliceNew), day, false, opener.ErrIdentity},
		"a key beside the renewal":      {both, day, false, opener.ErrIdentity},
		"a signing certificate":         {mail, day, false, opener.ErrIdentity},
		"a signing certificate in time": {mail, -day, false, nil},
	} {
		template := template(w.alice.ID, w.alicePhone)
		template.NotBefore, template.NotAfter = at.AddDate(-1, 0, 0), at.Add(-c.ago)
		x, err := deviceCA.sign(template, deviceKey.Public())
		if err != nil {
			t.Fatal(err)
		}
		r := issued(x, w.alice.ID, w.alicePhone)
		if c.revoked {
			r.RevokedAt = at
		}
		w.issued[w.alicePhone] = r
		out, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, c.frame, 18)
		if !errors.Is(err, c.want) || (out == nil) != (c.want != nil) {
			t.Errorf("%s: got %d bytes, %v; want %v", name, len(out), err, c.want)
		}
	}
	if w.keys.asked != 0 {
		t.Errorf("%d keys were opened", w.keys.asked)
	}
}

// One user's device gets nothing of another's, not even together with its own.
func TestOthersKeysAreRefused(t *testing.T) {
	w := newWorld(t)
	o := opener.New(w.config)
	for name, c := range map[string]struct {
		device subject.DeviceID
		frame  profile.Profile
		want   error
	}{
		"Bob asks for Alice's":  {w.bobPhone, frame(w.aliceNew), opener.ErrNotOwner},
		"Alice asks for Bob's":  {w.alicePhone, frame(w.his), opener.ErrNotOwner},
		"one foreign among own": {w.alicePhone, frame(w.aliceNew, w.his), opener.ErrNotOwner},
		"what nobody has":       {w.alicePhone, frame(cert.Fingerprint{1}), opener.ErrNotOwner},
		"an unknown device":     {subject.NewDeviceID(), frame(w.aliceNew), opener.ErrNoIdentity},
		"no device":             {"", frame(w.aliceNew), opener.ErrNoIdentity},
		"no fingerprint":        {w.alicePhone, frame(cert.Fingerprint{}), opener.ErrFrame},
		"filled in already": {w.alicePhone, profile.Profile{Common: profile.Named("a", "a"), Payloads: []profile.Payload{
			&profile.PKCS12{Common: profile.Named("b", "b"), Fingerprint: w.aliceNew, Content: []byte{1}}}}, opener.ErrFrame},
	} {
		if out, err := o.Seal(t.Context(), c.device, c.frame, 18); !errors.Is(err, c.want) || out != nil {
			t.Errorf("%s: got %d bytes, %v; want %v", name, len(out), err, c.want)
		}
	}
	if w.keys.asked != 0 || len(w.entries(t, journal.KeyOpened)) != 0 {
		t.Errorf("%d keys opened", w.keys.asked)
	}
}

func TestSealFailsWhole(t *testing.T) {
	w := newWorld(t)
	w.config.Signer = signer{fail: true}
	if out, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); err == nil || out != nil {
		t.Errorf("without signature: got %d bytes, %v", len(out), err)
	}
	w.config.Signer = signer{}
	other, err := keyring.Create(filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "unlock"))
	if err != nil {
		t.Fatal(err)
	}
	w.keys.Keys = other
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); !errors.Is(err, opener.ErrKeyAway) {
		t.Errorf("without its escrow key: got %v, want ErrKeyAway", err)
	}
}

// After a change of the escrow key, old records open as before.
func TestRetiringKeyOpens(t *testing.T) {
	w := newWorld(t)
	if _, err := w.ring.AddEscrow(); err != nil {
		t.Fatal(err)
	}
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); err != nil {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.config.Keys, w.config.Journal = w.ring, w.db.Journal()
	o := opener.New(w.config)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for device, f := range map[subject.DeviceID]cert.Fingerprint{w.alicePhone: w.aliceOld, w.bobPhone: w.his} {
				if _, err := o.Seal(t.Context(), device, frame(f), 17); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(w.entries(t, journal.KeyOpened)); n != 16 {
		t.Errorf("%d openings in the journal, want 16", n)
	}
}
