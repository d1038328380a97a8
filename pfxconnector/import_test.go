package pfxconnector_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/testdata"
)

// The whole history of a user, written by seven programs, finds its owner by
// itself, opens again, and is sorted into one current and the rest.
func TestHistory(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	h.user(t, "bob@example.com")
	files := testdata.History()
	for i := range files {
		r := h.take(t, historyFile(i))
		if r.Status != pfxconnector.Imported || r.Code != nil || len(r.Identities) != 1 {
			t.Fatalf("%s: got %+v", r.File, r)
		}
		id := r.Identities[0]
		if id.Status != pfxconnector.Imported || id.User != testdata.Owner || id.Purpose == "unknown" || len(id.SPKI) != 64 || len(id.Cert) != 64 {
			t.Errorf("%s: got %+v", r.File, id)
		}
	}
	list := h.list(t, alice)
	if len(list) != len(files) {
		t.Fatalf("the list has %d, want %d", len(list), len(files))
	}
	for i, item := range list {
		if want := (map[bool]cert.Place{true: cert.Current, false: cert.Past})[i == 0]; item.Place != want || item.Reason == "" {
			t.Errorf("%s until %s: %s because %q, want %s", item.Cert[:8], item.NotAfter, item.Place, item.Reason, want)
		}
		f, err := cert.ParseFingerprint(item.Cert)
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.db.PFX().Deposits(t.Context(), alice.ID, []cert.Fingerprint{f})
		if err != nil || len(got) != 1 {
			t.Fatalf("deposit of %s: %d, %v", item.Cert, len(got), err)
		}
		leaf, err := got[0].Certificate.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		if public, ok := leaf.PublicKey.(interface{ Equal(any) bool }); ok && !public.Equal(h.public(t, got[0])) {
			t.Errorf("%s: another key is in escrow", item.Cert)
		}
		if der, err := x509.MarshalPKIXPublicKey(h.public(t, got[0])); err != nil || !bytes.Equal(der, leaf.RawSubjectPublicKeyInfo) {
			t.Errorf("%s: another key is in escrow: %v", item.Cert, err)
		}
	}
}

func TestSameAgainIsUnchanged(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	h.user(t, testdata.Owner)
	f := historyFile(6)
	h.take(t, f)
	before, err := h.db.Journal().Latest(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pem, other := filepath.Join(dir, "pem"), filepath.Join(dir, "p12")
	judge.Run(t, f.Data, "openssl", "pkcs12", "-in", "/dev/stdin", "-passin", "pass:"+f.Password.RevealString(), "-noenc", "-out", pem)
	judge.Run(t, nil, "openssl", "pkcs12", "-export", "-in", pem, "-passout", "pass:other", "-legacy", "-out", other)
	again, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]pfxconnector.File{
		"the file":                      f,
		"other password, other ciphers": {Name: "x", Data: again, Password: seal.SecretString("other")},
	} {
		r := h.take(t, f)
		if r.Status != pfxconnector.Unchanged || r.Identities[0].Status != pfxconnector.Unchanged || r.Rejects() != 0 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	after, err := h.db.Journal().Latest(t.Context(), 100)
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("the journal tells of a change: %v\n%s", err, diff)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, "alice@example.com", "a.old@example.com")
	h.user(t, "bob@example.com")
	for name, c := range map[string]struct {
		file   pfxconnector.File
		code   string // "" for imported
		status pfxconnector.Status
		hint   string
	}{
		"wrong password":              {pfxconnector.File{Data: historyFile(0).Data, Password: seal.SecretString("x")}, "pfx_password_wrong", "", "keyboard"},
		"no PKCS #12":                 {pfxconnector.File{Data: []byte("hello"), Password: seal.SecretString("x")}, "blob_not_pkcs12", "", "private key"},
		"empty":                       {pfxconnector.File{}, "blob_not_pkcs12", "", ""},
		"no key":                      {sample(t, "openssl-certs-only.p12"), "pfx_no_private_key", "no_private_key", "include the private key"},
		"no certificate":              {sample(t, "openssl-keys-only.p12"), "pfx_no_certificate", "no_certificate", "include the certificate"},
		"unknown curve":               {sample(t, "openssl-key-brainpoolP256r1.p12"), "pfx_certificate_unparseable", "certificate_unparseable", ""},
		"RSA 512":                     {sample(t, "openssl-key-rsa512.p12"), "pfx_weak_key", "weak_key", "--allow-weak"},
		"EC for encipherment of keys": {sample(t, "openssl-key-P-256.p12"), "pfx_not_encryption", "not_encryption", "--purpose encryption"},
		"Ed25519 for it":              {sample(t, "openssl-key-ED25519.p12"), "pfx_not_encryption", "not_encryption", ""},
		"signing only":                {made(t, x509.Certificate{KeyUsage: ds}, sharedRSA), "pfx_not_encryption", "not_encryption", "--allow-signing-escrow"},
		"TLS client": {made(t, x509.Certificate{KeyUsage: ke, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, sharedRSA),
			"pfx_not_smime", "not_smime", "--purpose"},
		"a CA": {made(t, x509.Certificate{IsCA: true, BasicConstraintsValid: true}, sharedRSA), "pfx_ca_certificate", "ca_certificate", ""},
		"a CA, whatever is said": {with(made(t, x509.Certificate{IsCA: true, BasicConstraintsValid: true}, sharedRSA), func(f *pfxconnector.File) {
			f.User, f.Purpose, f.AllowSigning, f.AllowWeak = &alice, cert.Encryption, true, true
		}), "pfx_ca_certificate", "ca_certificate", ""},
		"nobody": {with(made(t, x509.Certificate{KeyUsage: ke, EmailAddresses: []string{"dave@example.com"}}, sharedRSA), func(f *pfxconnector.File) { f.NoQuarantine = true }),
			"pfx_no_user_match", "no_user_match", "--user"},
		"two users": {with(made(t, x509.Certificate{KeyUsage: ke, EmailAddresses: []string{"alice@example.com", "bob@example.com"}}, sharedRSA), func(f *pfxconnector.File) { f.NoQuarantine = true }),
			"pfx_ambiguous_user", "ambiguous_user", "--user"},
		"Ed25519 to encrypt": {with(sample(t, "openssl-key-ED25519.p12"), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }),
			"pfx_purpose_impossible", "purpose_impossible", ""},

		"an alias":            {made(t, x509.Certificate{KeyUsage: ke, EmailAddresses: []string{"A.Old@Example.com"}}, sharedRSA), "", "", ""},
		"RSA 512, allowed":    {with(sample(t, "openssl-key-rsa512.p12"), func(f *pfxconnector.File) { f.AllowWeak = true }), "", "", ""},
		"signing, allowed":    {with(made(t, x509.Certificate{KeyUsage: ds}, sharedRSA), func(f *pfxconnector.File) { f.AllowSigning = true }), "", "", ""},
		"TLS client, claimed": {with(made(t, x509.Certificate{KeyUsage: ke, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, sharedRSA), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }), "", "", ""},
		"EC, claimed":         {with(sample(t, "openssl-key-P-256.p12"), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }), "", "", ""},
		"nobody, but said":    {with(made(t, x509.Certificate{KeyUsage: ke, EmailAddresses: []string{"dave@example.com"}}, sharedRSA), func(f *pfxconnector.File) { f.User = &alice }), "", "", ""},
		"no usages":           {made(t, x509.Certificate{}, sharedEC), "", "", ""},
		"expired":             {made(t, x509.Certificate{KeyUsage: ke, NotBefore: at.AddDate(-9, 0, 0), NotAfter: at.AddDate(-8, 0, 0)}, sharedRSA), "", "", ""},
		"not yet valid":       {made(t, x509.Certificate{KeyUsage: ke, NotBefore: at.AddDate(1, 0, 0), NotAfter: at.AddDate(2, 0, 0)}, sharedRSA), "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, alice := h, alice
			if c.code == "" && c.file.User == nil { // what is taken here is refused in another case
				h = newHouse(t)
				alice = h.user(t, "alice@example.com", "a.old@example.com")
			}
			before := len(h.list(t, alice))
			r := h.take(t, c.file)
			if c.code == "" {
				if r.Status != pfxconnector.Imported || len(h.list(t, alice)) != before+1 || r.Rejects() != 0 {
					t.Errorf("got %+v, want it imported", r)
				}
				return
			}
			if r.Status != pfxconnector.Refused || r.Code == nil || *r.Code != c.code || r.Message == "" || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("got %+v, want refused with %s and a hint at %q", r, c.code, c.hint)
			}
			if c.status != "" && (len(r.Identities) == 0 || r.Identities[0].Status != c.status || *r.Identities[0].Code != c.code) {
				t.Errorf("identities: got %+v, want the first %s", r.Identities, c.status)
			}
			if r.Rejects() == 0 || len(h.list(t, alice)) != before {
				t.Errorf("%d rejects, %d more in the list", r.Rejects(), len(h.list(t, alice))-before)
			}
		})
	}
}

func with(f pfxconnector.File, change func(*pfxconnector.File)) pfxconnector.File {
	change(&f)
	return f
}

func TestWarnings(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice@example.com")
	bob := h.user(t, "bob@example.com")
	for name, c := range map[string]struct {
		file pfxconnector.File
		want string
	}{
		"said to be another's": {with(made(t, x509.Certificate{KeyUsage: ke}, sharedRSA), func(f *pfxconnector.File) { f.User = &bob }), "does not name this user"},
		"RSA 1024":             {sample(t, "openssl-key-rsa1024.p12"), "1024 bits"},
		"iOS cannot":           {with(sample(t, "openssl-key-X25519.p12"), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }), "iOS can install"},
		"no chain":             {sample(t, "openssl-default.p12"), "lacks CA certificates"},
	} {
		r := h.take(t, c.file)
		if r.Status != pfxconnector.Imported || !strings.Contains(strings.Join(r.Identities[0].Warnings, " "), c.want) {
			t.Errorf("%s: got %+v, want a warning of %q", name, r, c.want)
		}
	}
	r := h.take(t, sample(t, "openssl-chain.p12"))
	if len(r.Identities) != 1 || len(r.Identities[0].Warnings) != 0 {
		t.Errorf("with its chain: got %+v, want no warning", r)
	}
}

func TestSharedCertificateOnlyWhenSaid(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.user(t, "alice@example.com"), h.user(t, "bob@example.com")
	f := made(t, x509.Certificate{KeyUsage: ke}, sharedRSA)
	f.User = &bob
	h.take(t, f)
	f.User = nil // the certificate names alice
	if r := h.take(t, f); r.Status != pfxconnector.Refused || *r.Code != "pfx_other_user" || len(h.list(t, alice)) != 0 {
		t.Errorf("by its names: got %+v", r)
	}
	f.User = &alice
	r := h.take(t, f)
	if r.Status != pfxconnector.Imported || !strings.Contains(strings.Join(r.Identities[0].Warnings, ""), "Another user") {
		t.Errorf("when said: got %+v", r)
	}
	if len(h.list(t, alice)) != 1 || len(h.list(t, bob)) != 1 {
		t.Error("not both have it")
	}
}

func TestSeveralIdentities(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, "alice@example.com")
	r := h.take(t, sample(t, "java-four.p12"))
	counts := map[pfxconnector.Status]int{}
	for _, id := range r.Identities {
		counts[id.Status]++
	}
	// One of the four is an EC key whose certificate is for RSA.
	want := map[pfxconnector.Status]int{pfxconnector.Imported: 3, "not_encryption": 1}
	if diff := cmp.Diff(want, counts); diff != "" || r.Status != pfxconnector.Imported || r.Code != nil || r.Rejects() != 1 {
		t.Errorf("got %+v\n%s", r, diff)
	}
	if n := len(h.list(t, alice)); n != 3 {
		t.Errorf("the list has %d, want 3", n)
	}
	r = h.take(t, sample(t, "nss-renewed-same-key.p12"))
	if len(r.Identities) != 2 || r.Identities[0].SPKI != r.Identities[1].SPKI || r.Identities[0].Cert == r.Identities[1].Cert {
		t.Errorf("two certificates of one key: got %+v", r)
	}
	if n := len(h.list(t, alice)); n < 4 {
		t.Errorf("the list has %d: the renewed one is not kept beside", n)
	}
}

// What was taken by an administrator's word is not refused the next time.
func TestClaimedIsUnchangedLater(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice@example.com")
	f := made(t, x509.Certificate{KeyUsage: ds}, sharedRSA)
	f.AllowSigning = true
	h.take(t, f)
	f.AllowSigning = false
	if r := h.take(t, f); r.Status != pfxconnector.Unchanged || r.Rejects() != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	f := historyFile(6)
	f.DryRun = true
	r := h.take(t, f)
	if r.Status != pfxconnector.WouldImport || r.Identities[0].User != testdata.Owner || r.Rejects() != 0 {
		t.Errorf("got %+v", r)
	}
	if len(h.list(t, alice)) != 0 {
		t.Error("it was imported")
	}
	f.DryRun = false
	h.take(t, f)
	f.DryRun = true
	if r := h.take(t, f); r.Status != pfxconnector.Unchanged {
		t.Errorf("a dry run of what is there: got %s", r.Status)
	}
}

// The JSON is what scripts read: these names and nulls stay.
func TestReportJSON(t *testing.T) {
	h := newHouse(t)
	h.user(t, testdata.Owner)
	for name, c := range map[string]struct {
		file      pfxconnector.File
		top, item string // keys
		code      any
	}{
		"imported": {historyFile(6), "code file identities status", "certSha256 code purpose spkiSha256 status user userId", nil},
		"refused":  {pfxconnector.File{Name: "x", Data: []byte("x")}, "code file hint identities message status", "", "blob_not_pkcs12"},
	} {
		text, err := json.Marshal(h.take(t, c.file))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if keys(got) != c.top || got["code"] != c.code || got["identities"] == nil {
			t.Errorf("%s: got %s", name, text)
		}
		if c.item != "" {
			if item := got["identities"].([]any)[0].(map[string]any); keys(item) != c.item || item["code"] != nil {
				t.Errorf("%s: identity is %v", name, item)
			}
		}
	}
}

func keys(m map[string]any) string {
	var list []string
	for k, v := range m {
		if k != "warnings" && k != "notes" && k != "notices" && (v != nil || k == "code") {
			list = append(list, k)
		}
	}
	sortStrings(list)
	return strings.Join(list, " ")
}

// What is imported is in the journal with everybody who must hear of it.
func TestJournalAndDue(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	spy := &spyStore{Store: h.db.PFX()}
	s := *h.Service
	s.Store = spy
	f := historyFile(6)
	f.Name = "../\x1b[31mhist\u202eory.pfx"
	r, err := s.Import(t.Context(), by, f)
	if err != nil || r.Status != pfxconnector.Imported {
		t.Fatalf("got %+v, %v", r, err)
	}
	e := spy.entry
	if e.Action != journal.KeyImported || e.Actor != by || e.User != alice.ID || e.Cert.String() != r.Identities[0].Cert || !e.At.Equal(at) ||
		!cmp.Equal(e.Due, subject.OfUser(alice.ID)) || e.Detail["owner_by"] != "primary address" {
		t.Errorf("entry: got %+v", e)
	}
	if strings.ContainsAny(r.File+e.Detail["file"], "\x1b\u202e") {
		t.Errorf("the file's name is shown as it came: %q, %q", r.File, e.Detail["file"])
	}
}

var errDisk = errors.New("disk full")

// spyStore keeps the last entry, and fails when told.
type spyStore struct {
	pfxconnector.Store
	entry journal.Entry
	fail  bool
}

func (s *spyStore) KeysImported(ctx context.Context, list []pfxconnector.Arrival) ([]bool, error) {
	s.entry = list[len(list)-1].Entry
	if s.fail {
		return nil, errDisk
	}
	return s.Store.KeysImported(ctx, list)
}

// What is not the file's fault is an error, never a refusal: the same file
// works later.
func TestStoreFails(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	s := *h.Service
	s.Store = &spyStore{Store: h.db.PFX(), fail: true}
	if r, err := s.Import(t.Context(), by, historyFile(6)); !errors.Is(err, errDisk) || r.Status == pfxconnector.Imported {
		t.Errorf("got %+v, %v; want errDisk", r, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Import(gone, by, historyFile(6)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if len(h.list(t, alice)) != 0 {
		t.Error("something was kept")
	}
	if r := h.take(t, historyFile(6)); r.Status != pfxconnector.Imported {
		t.Errorf("later: got %+v", r)
	}
}
