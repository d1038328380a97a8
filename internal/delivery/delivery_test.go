package delivery_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

func history(f cert.Fingerprint) string { return ".history." + f.String() }

func TestStory(t *testing.T) {
	s := newSite(t)
	old, now := s.imports("2019", 2019, 2022), s.imports("2024", 2024, 2028)
	s.rest()
	s.has(".roots", ".mail", history(old))
	s.done()

	account := s.phone.find(".mail", "com.apple.eas.account")
	signing, reading := s.phone.find(".mail", "com.apple.security.scep"), s.phone.find(".mail", "com.apple.security.pkcs12")
	for key, want := range map[string]any{
		"EmailAddress": "alice@example.com", "Host": "mail.example.com", "SMIMESigningEnabled": true, "SMIMEEncryptByDefault": true,
		"SMIMEEncryptByDefaultUserOverrideable": true, "SMIMEEnableEncryptionPerMessageSwitch": true,
		"SMIMESigningCertificateUUID": signing["PayloadUUID"], "SMIMEEncryptionCertificateUUID": reading["PayloadUUID"],
	} {
		if account[key] != want {
			t.Errorf("%s: got %v, want %v", key, account[key], want)
		}
	}
	if !bytes.Contains(reading["PayloadContent"].([]byte), []byte(now.String())) {
		t.Error("the current identity is another one")
	}
	if s.phone.outlook["IntuneMAMUPN"] != "alice@example.com" || s.phone.outlook["com.microsoft.outlook.Mail.SMIMEEnabled"] != true {
		t.Errorf("Outlook has %v", s.phone.outlook)
	}
	if slices.ContainsFunc(s.keeper.majors, func(n int) bool { return n != 18 }) {
		t.Errorf("sealed for iOS %v, want 18", s.keeper.majors)
	}
}

// Adding one certificate sends one; a new current one keeps the account, makes
// a new signing key, and has the old signing certificate revoked.
func TestOneMore(t *testing.T) {
	s := newSite(t)
	now := s.imports("2024", 2024, 2028)
	s.rest()
	before := s.keeper.sealed
	older := s.imports("2016", 2016, 2019)
	s.rest()
	s.has(".roots", ".mail", history(older))
	if got := s.keeper.sealed - before; got != 1 {
		t.Errorf("%d profiles were sealed, want 1", got)
	}
	account, key := s.phone.find(".mail", "com.apple.eas.account")["PayloadUUID"], s.phone.find(".mail", "com.apple.security.scep")["PayloadUUID"]
	s.imports("2026", 2026, 2030)
	s.rest()
	s.has(".roots", ".mail", history(older), history(now))
	s.done()
	if got := s.phone.find(".mail", "com.apple.eas.account")["PayloadUUID"]; got != account {
		t.Error("the account is another one: mail would be fetched again")
	}
	if got := s.phone.find(".mail", "com.apple.security.scep")["PayloadUUID"]; got == key {
		t.Error("the signing payload has the UUID of before: the device could keep its key")
	}
	var good, superseded int
	for _, r := range s.facts().Records {
		switch {
		case r.Use != cert.Signing:
		case r.Revoked() && r.Reason == "superseded":
			superseded++
		default:
			good++
		}
	}
	if good != 1 || superseded != 1 {
		t.Errorf("signing certificates: %d good, %d superseded; want 1 and 1", good, superseded)
	}
}

func TestPolicyGoes(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	s.rest()
	s.apply("kind: Policy\nname: everybody\nremove: true")
	s.rest()
	s.has()
	if s.phone.outlook != nil {
		t.Errorf("Outlook still has %v", s.phone.outlook)
	}
	for _, r := range s.facts().Records {
		if r.Use == cert.Signing && !r.Revoked() {
			t.Error("a signing certificate is still good")
		}
	}
	s.done()
}

func TestUserLeaves(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	s.rest()
	s.user.Disabled = true
	_, err := s.people.Change(t.Context(), journal.Worker("test"), s.user)
	s.must(err)
	s.rest()
	s.has()
}

func TestDeviceLeaves(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	s.rest()
	commands := len(s.phone.log)
	s.must(s.mdm.DeviceRemoved(t.Context(), s.device, nil, s.entry(journal.DeviceRemoved)))
	s.rest()
	for _, r := range s.facts().Records {
		if r.Source == cert.Issued && !r.Revoked() {
			t.Errorf("a certificate for %s is still good", r.Use)
		}
	}
	if len(s.phone.log) != commands || len(s.facts().Parcels) != 0 {
		t.Error("a removed device gets commands or keeps parcels")
	}
}

// What the user sees on the way, in words.
func TestProgress(t *testing.T) {
	s := newSite(t)
	s.imports("2019", 2019, 2022)
	s.imports("2024", 2024, 2028)
	check := func(when, hint string, want map[string]delivery.State) {
		t.Helper()
		p, err := s.service.Device(t.Context(), s.device)
		s.must(err)
		got := map[string]delivery.State{}
		for _, l := range p.Lines {
			got[l.Words] = l.State
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || p.Hint != hint {
			t.Errorf("%s: got %v, hint %q\nwant %v, %q", when, got, p.Hint, want, hint)
		}
	}
	lines := func(roots, mail, old, outlook delivery.State) map[string]delivery.State {
		return map[string]delivery.State{"Trust in your organisation's certificates": roots, "Your mail account": mail, "To sign your mail": mail,
			"To read mail since 2024": mail, "To read older mail (2019–2022)": old, "Outlook's settings": outlook}
	}
	check("at first", "", lines("queued", "queued", "queued", "queued"))
	s.work()
	check("planned and sealed", "", lines("sealed", "sealed", "sealed", "sealed"))
	s.phone.answer = func(c mdm.Command) string {
		if c.RequestType == "DeviceInformation" {
			return ""
		}
		return "notnow"
	}
	s.phone.poll()
	s.phone.poll()
	check("locked", "Unlock your device.", lines("sealed", "sealed", "sealed", "sealed"))
	s.phone.answer = func(c mdm.Command) string {
		if bytes.Contains(c.Payload, []byte(prefix+".mail<")) {
			return "error"
		}
		return ""
	}
	for range 6 {
		s.phone.poll()
		for s.work() {
		}
	}
	check("refused", "", lines("installed", "failed", "installed", "installed"))
	p, err := s.service.Device(t.Context(), s.device)
	s.must(err)
	for _, l := range p.Lines {
		if (l.State == delivery.Failed) != (l.Reason != "") || l.State == delivery.Failed && l.Reason != "The device refused it: Profile Installation Failed (MCInstallationErrorDomain 4001)" {
			t.Errorf("%s: %s because %q", l.Words, l.State, l.Reason)
		}
	}
	s.phone.answer = nil
	s.rest()
	check("in the end", "", lines("installed", "installed", "installed", "installed"))
	s.done()
	if len(p.Notes) != 1 {
		t.Errorf("nothing is said about Outlook's certificates: %v", p.Notes)
	}
	all, err := s.service.User(t.Context(), s.user.ID)
	if err != nil || len(all) != 1 || !all[0].Done() {
		t.Errorf("of the user: %v, %v", all, err)
	}
	if _, err := s.service.Device(t.Context(), "nobody"); !errors.Is(err, delivery.ErrDevice) {
		t.Errorf("unknown device: got %v", err)
	}
	if none, err := s.service.User(t.Context(), "nobody"); err != nil || none == nil || len(none) != 0 {
		t.Errorf("unknown user: got %v, %v; want an empty list", none, err)
	}
	if lines, err := s.service.Explain(t.Context(), s.device); err != nil || len(lines) < 4 {
		t.Errorf("explanation: %v, %v", lines, err)
	}
}

// The keeper fails: the parcel says why, and goes on when it is well again.
func TestKeeperFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"declared": {fmt.Errorf("sealing: %w", fault.New(fault.Unavailable, "x", "The escrow key is away.", "").With(errors.New("secret detail"))), "The escrow key is away."},
		"not":      {errors.New("secret detail"), "It could not be sealed; the server's log says why."},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			old := s.imports("2019", 2019, 2022)
			s.imports("2024", 2024, 2028)
			s.keeper.fails = c.err
			for s.work() {
			}
			p, err := s.service.Device(t.Context(), s.device)
			s.must(err)
			failed := 0
			for _, l := range p.Lines {
				if l.State == delivery.Failed {
					failed++
					if l.Reason != c.says {
						t.Errorf("%s: got %q, want %q", l.Words, l.Reason, c.says)
					}
				}
			}
			if failed != 4 {
				t.Errorf("%d lines failed, want 4: account, signing and two identities", failed)
			}
			if n := s.tries(); n != 2 {
				t.Errorf("%d parcels were tried, want 2", n)
			}
			for s.work() {
			}
			if n := s.tries(); n != 2 {
				t.Error("it is tried again at once")
			}
			s.keeper.fails = nil
			s.rest()
			s.has(".roots", ".mail", history(old))
			s.done()
		})
	}
}

// The keys are away: what needs one waits and does not fail, the rest goes on,
// and all of it goes out when they are back.
func TestKeysAway(t *testing.T) {
	s := newSite(t)
	old := s.imports("2019", 2019, 2022)
	s.imports("2024", 2024, 2028)
	s.keeper.away = errAway
	s.keeper.fails = errors.New("asked although they are away")
	for s.work() || s.phone.poll() {
	}
	s.has(".roots")
	if n := s.tries(); n != 0 {
		t.Errorf("%d parcels failed", n)
	}
	s.keeper.away, s.keeper.fails = nil, nil
	s.rest()
	s.has(".roots", ".mail", history(old))
	s.done()
}

// They go away between the look and the opening: nothing fails either.
func TestKeysGoAway(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	s.keeper.vanish = true
	for s.work() {
	}
	if n := s.tries(); n != 0 {
		t.Errorf("%d parcels failed", n)
	}
	s.keeper.away, s.keeper.fails = nil, nil
	s.now = s.now.Add(3 * time.Minute)
	s.rest()
	s.has(".roots", ".mail")
	s.done()
}

// tries counts the failures in the journal.
func (s *site) tries() (n int) {
	log, err := s.db.Journal().Latest(s.t.Context(), 1000)
	s.must(err)
	for _, e := range log {
		if e.Action == journal.ParcelFailed {
			n++
		}
	}
	return n
}

// A day without a word: the bytes go, and come again when the device speaks.
func TestSilentDevice(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	for s.work() {
	}
	s.now = s.now.Add(25 * time.Hour)
	for s.work() {
	}
	for _, p := range s.facts().Parcels {
		if p.Sealed || p.WantsSeal {
			t.Errorf("%s still has bytes, or wants some", p.Identifier)
		}
	}
	sealed := s.keeper.sealed
	s.now = s.now.Add(48 * time.Hour)
	for s.work() {
	}
	if s.keeper.sealed != sealed {
		t.Error("keys are opened for a silent device")
	}
	s.rest()
	s.has(".roots", ".mail")
	s.done()
}

// The identity of a device is renewed in time by the enrollment profile, which
// is never taken away.
func TestIdentityRenewal(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2030)
	_, c := identity()
	s.must(s.issueIdentity(cert.FingerprintOf(c.Raw)))
	s.rest()
	s.has(".roots", ".mail")
	s.now = s.now.Add(340 * 24 * time.Hour)
	s.rest()
	s.has(".roots", ".mail", ".enroll")
	s.done()
	f := s.facts()
	if f.Identity == cert.FingerprintOf(c.Raw) {
		t.Error("the device still uses its first identity")
	}
	if len(f.Parcels) != 3 {
		t.Errorf("%d parcels are left, want roots, mail and Outlook", len(f.Parcels))
	}
	s.apply("kind: Policy\nname: everybody\nremove: true")
	s.rest()
	s.has(".enroll")
}

// issueIdentity writes down the identity that the device enrolled with.
func (s *site) issueIdentity(f cert.Fingerprint) error {
	i := scep.Issuance{Grant: scep.Grant{Profile: scep.DeviceIdentity, Holder: cert.Holder{User: s.user.ID, Device: s.device}}, Issuer: "device",
		Serial: "1", Transaction: "1", SPKI: f, TBS: []byte{1}, NotAfter: s.now.AddDate(1, 0, 0), At: s.now}
	_, secret, err := s.keeper.IdentityChallenge(s.t.Context(), s.user, subject.Device{ID: s.device})
	if err != nil {
		return err
	}
	i.Challenge = secret.Hash()
	if err := s.db.SCEP().SerialReserved(s.t.Context(), i); err != nil {
		return err
	}
	return s.db.SCEP().CertificateIssued(s.t.Context(), i, cert.Record{Fingerprint: f, SPKI: f, Holder: i.Holder, Source: cert.Issued, Use: cert.Identity,
		Profile: i.Profile, Serial: i.Serial, NotBefore: s.now, NotAfter: i.NotAfter, DER: []byte("identity"), CreatedAt: s.now},
		journal.Entry{At: s.now, Action: journal.CertificateIssued})
}

// Nothing of what is stored opens a key or gets a certificate.
func TestNothingSecretIsStored(t *testing.T) {
	s := newSite(t)
	s.imports("2019", 2019, 2022)
	s.imports("2024", 2024, 2028)
	for s.work() {
	}
	for range 3 {
		s.phone.poll()
	}
	for _, name := range []string{s.path, s.path + "-wal"} {
		b, err := os.ReadFile(name)
		s.must(err)
		for _, canary := range []string{password, challengeMark} {
			if bytes.Contains(b, []byte(canary)) {
				t.Errorf("%s holds %s", name, canary)
			}
		}
	}
}

// A user has many devices; each gets its own, and nobody else's.
func TestTwoDevices(t *testing.T) {
	s := newSite(t)
	s.imports("2024", 2024, 2028)
	s.rest()
	first := s.phone
	s.enroll()
	s.rest()
	if got, want := s.phone.installed(), first.installed(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.done()
	for _, r := range s.facts().Records {
		if r.Source == cert.Issued && r.Holder.Device != s.device {
			t.Error("a certificate of the other device is among the facts")
		}
	}
}

// soak tells whether to take long: SIGNET_TEST_SOAK=1.
func soak() bool { return os.Getenv("SIGNET_TEST_SOAK") == "1" }

// Killed at a call of the store, before or after what it does: the end is
// always the same. A soak kills at each single one.
func TestKilledAnywhere(t *testing.T) {
	whole := newSite(t)
	whole.tell()
	calls, step := whole.kills.calls, 1
	if !soak() {
		step = 1 + calls/8
	}
	for call := 1; call <= calls; call += step {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(call, after), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.kills.at = func(n int) (bool, bool) { return n == call && !after, n == call && after }
				s.tell()
			})
		}
	}
}

// tell is a story with changes, up to its end.
func (s *site) tell() {
	s.t.Helper()
	old := s.imports("2019", 2019, 2022)
	now := s.imports("2024", 2024, 2028)
	s.rest()
	s.imports("2026", 2026, 2030)
	s.rest()
	s.has(".roots", ".mail", history(old), history(now))
	s.done()
	s.now = s.now.Add(11 * time.Minute) // so long nothing more comes
	s.rest()
	want := []string{"enrolled Alice's iPhone history 0 signs false again false", "ready Alice's iPhone history 2 signs true again false", "ready Alice's iPhone history 3 signs true again true"}
	if got := s.mails(); !slices.Equal(got, want) {
		s.t.Errorf("mails:\n%s", strings.Join(got, "\n"))
	}
}

// Everything at once, in any order, and killed again and again.
func TestAnyOrder(t *testing.T) {
	runs := 6
	if soak() {
		runs = 200
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			anyOrder(t, uint64(seed))
		})
	}
}

func anyOrder(t *testing.T, seed uint64) {
	s, random := newSite(t), rand.New(rand.NewPCG(seed, 2))
	answers := []string{"", "", "error", "notnow", "lost"}
	s.phone.answer = func(c mdm.Command) string {
		how := answers[random.IntN(len(answers))]
		if c.RequestType == "DeviceInformation" && how == "notnow" || c.RequestType == "RemoveProfile" && how == "error" {
			return "" // no device does that
		}
		return how
	}
	s.kills.at = func(int) (bool, bool) { return random.IntN(12) == 0, random.IntN(12) == 0 }
	want := []string{".roots", ".mail"}
	var current cert.Fingerprint
	for n := range 5 {
		f := s.imports(fmt.Sprint(n), 2015+2*n, 2029+n)
		if n > 0 {
			want = append(want, history(current))
		}
		current = f
		for range 1 + random.IntN(12) {
			switch random.IntN(6) {
			case 0:
				s.now = s.now.Add(time.Duration(random.IntN(40)) * time.Hour)
			case 1:
				s.apply(fmt.Sprintf("kind: Policy\nname: more\npriority: 5\nassign: {all: true}\nmail: {apple: {name: N%d}}", random.IntN(3)))
			case 2, 3:
				s.work()
			default:
				s.phone.poll()
			}
		}
	}
	s.phone.answer, s.kills.at = nil, nil
	for range 3 { // back-offs can be long by now
		s.rest()
		s.now = s.now.Add(13 * time.Hour)
	}
	s.rest()
	s.has(want...)
	s.done()
	if got, err := s.db.Delivery().DevicesLeased(t.Context(), s.now, s.now, 10); err != nil || len(got) != 0 {
		t.Errorf("%d devices are still due, %v", len(got), err)
	}
}

func TestNilDependencies(t *testing.T) {
	for name, make := range map[string]func(){
		"service": func() { delivery.New(delivery.Config{}) },
		"sealer":  func() { delivery.NewSealer(delivery.SealerConfig{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			make()
		}()
	}
}

// A SCEP payload that fails says nothing on the device; the server knows why.
func TestRefusedCertificateIsTold(t *testing.T) {
	s := newSite(t)
	e := journal.Entry{At: s.now, Actor: journal.Worker("test"), Action: journal.ChallengeIssued}
	c := scep.Ticket{Hash: seal.Random().Hash(), Created: s.now, Expires: s.now.Add(time.Hour),
		Grant: scep.Grant{Profile: scep.MailSigning, Holder: cert.Holder{User: s.user.ID, Device: s.device}}}
	s.must(s.db.SCEP().ChallengeMade(t.Context(), c, e))
	s.must(s.db.SCEP().ChallengeRefused(t.Context(), c.Hash, scep.ErrKey.Msg, e))
	p, err := s.service.Device(t.Context(), s.device)
	s.must(err)
	if !slices.Contains(p.Notes, "The device asked for a certificate and was refused: The key is too weak, too large or of the wrong kind.") {
		t.Errorf("got %q", p.Notes)
	}
}
