package scep_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// fresh makes a challenge for a device that nobody knows yet.
func (w *world) fresh(profile string) (string, subject.Device) {
	w.t.Helper()
	d := subject.Device{ID: subject.NewDeviceID(), User: w.user.ID}
	return w.challengeOf(profile, d), d
}

func (w *world) challengeOf(profile string, d subject.Device) string {
	w.t.Helper()
	return must(w.s.Challenge(w.t.Context(), worker, scep.ChallengeRequest{Profile: profile, User: w.user, Device: d}))(w.t).Secret.RevealString()
}

// Through the real handler, each type of message meets each state of a
// challenge, and a good challenge each request that must not be granted. One
// pair issues one certificate; each other is refused for its own reason, which
// the reply and the log name, and stores nothing. A repetition of the legal
// message gets the same certificate and stores nothing either.
func TestOneLegalCase(t *testing.T) {
	w := newWorld(t, func(c *scep.Config) { c.MaxFailures = 1 << 20 })
	l := &line{t: t, url: w.serve(scep.MailSigning)}
	keys := must(phone.NewSiblings())(t)
	someone := func() client { return selfSigned(keys.Next()) }

	states := map[string]state{
		"good":  {nil, func() string { c, _ := w.fresh(scep.MailSigning); return c }},
		"none":  {scep.ErrChallengeUnknown, func() string { return "" }},
		"wrong": {scep.ErrChallengeUnknown, func() string { return "AAAAAAAAAAAAAAAAAAAAAAAAAA" }},
		"used": {scep.ErrChallengeUsed, func() string {
			c, _ := w.fresh(scep.MailSigning)
			if got := w.send(ask{challenge: c, from: someone(), transaction: "T-used"}); got.status != "0" {
				t.Fatal(got)
			}
			return c
		}},
		"expired": {scep.ErrChallengeExpired, func() string { c, _ := w.fresh(scep.MailSigning); w.sleep(25 * time.Hour); return c }},
		"void": {scep.ErrChallengeVoid, func() string {
			c, d := w.fresh(scep.MailSigning)
			w.challengeOf(scep.MailSigning, d)
			return c
		}},
		"of another profile": {scep.ErrChallengeProfile, func() string { c, _ := w.fresh(scep.DeviceIdentity); return c }},
		"of a removed device": {scep.ErrHolder, func() string {
			c := w.challenge(scep.MailSigning).RevealString()
			w.remove()
			return c
		}},
	}
	for _, kind := range []string{"19", "17", "18", "3", "20", "21", "22", "99", ""} {
		for name, c := range states {
			t.Run("type "+kind+", challenge "+name, func(t *testing.T) {
				a := ask{kind: kind, challenge: c.make(), from: someone()}
				if kind == "" {
					a.attributes = dropping(oidMessageType)
				}
				w.sentOver(t, l, a, reasonFor(kind, c.want))
			})
		}
	}
	for name, c := range spoilt(t) {
		t.Run(name, func(t *testing.T) {
			a := ask{from: someone()}
			a.challenge, _ = w.fresh(scep.MailSigning)
			c.spoil(&a)
			w.sentOver(t, l, a, c.want)
		})
	}
}

// state is a kind of challenge, and why it is refused; nil when it is not.
type state struct {
	want error
	make func() string
}

// reasonFor tells why a type of message is refused with a challenge that is
// refused for that reason itself.
func reasonFor(kind string, challenge error) error {
	switch kind {
	case "19":
		return challenge
	case "17": // no certificate of ours signed it
		return scep.ErrRenewalUnknown
	case "20": // what it holds is no poll
		return scep.ErrUnreadable
	case "":
		return scep.ErrMessage
	}
	return scep.ErrMessageType
}

// sentOver sends a request. Without a reason to refuse it, it issues, and then
// no repetition does; any other is refused for that and stores nothing.
func (w *world) sentOver(t *testing.T, l *line, a ask, want error) {
	t.Helper()
	message, before, said := w.message(a), w.rows(), w.log.Len()
	got := w.over(l, a, message)
	after := w.rows()
	if want != nil {
		code := codeOf(want)
		if got.cert != nil || got.text != code && (got.err == nil || !strings.Contains(got.err.Error(), code)) {
			t.Errorf("got %v, want %s", got, code)
		}
		if log := w.log.String()[said:]; got.err == nil && !strings.Contains(log, "code="+code) {
			t.Errorf("the log says %q, want %s", log, code)
		}
		if after != before {
			t.Errorf("stored\n%s, want\n%s", after, before)
		}
		return
	}
	if got.cert == nil || after == before {
		t.Fatalf("got %v with %s stored", got, after)
	}
	for range 3 {
		if again := w.over(l, a, message); again.cert == nil || !again.cert.Equal(got.cert) {
			t.Errorf("sent again: got %v, want the same certificate", again)
		}
	}
	other := a
	other.transaction = "T-other"
	if got := w.over(l, other, w.message(other)); !got.refused("2", scep.ErrChallengeUsed) {
		t.Errorf("as another transaction: got %v", got)
	}
	if again := w.rows(); again != after {
		t.Errorf("repetitions stored\n%s, want\n%s", again, after)
	}
}

func edKey() (crypto.PublicKey, error) {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	return pub, err
}

func dropping(oid asn1.ObjectIdentifier) func([]cms.Attribute) []cms.Attribute {
	return func(list []cms.Attribute) (out []cms.Attribute) {
		for _, a := range list {
			if !a.Type.Equal(oid) {
				out = append(out, a)
			}
		}
		return out
	}
}

type mistake struct {
	want  error
	spoil func(*ask)
}

// spoilt are requests that are refused although the challenge is good, and why.
func spoilt(t *testing.T) map[string]mistake {
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(rsaKey(1).N, 32768-2048), E: 65537}
	tiny := &rsa.PublicKey{N: new(big.Int).Rsh(rsaKey(1).N, 2048-512), E: 65537}
	odd := must(rsa.GenerateKey(rand.Reader, 2047))(t)
	ca := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}
	unsigned := func(pub crypto.PublicKey) func(*ask) {
		return func(a *ask) { a.csr = func([]byte) []byte { return csrWithKey(t, pub) } }
	}
	withKey := func(key crypto.Signer) func(*ask) { return func(a *ask) { a.key = key } }
	return map[string]mistake{
		"CA:TRUE":             {scep.ErrWantsCA, func(a *ask) { a.template.ExtraExtensions = []pkix.Extension{ca} }},
		"RSA 512":             {scep.ErrUnreadable, unsigned(tiny)},
		"RSA 1024":            {scep.ErrKey, func(a *ask) { a.from, a.key = selfSigned(rsaKey(smallKey)), nil }},
		"RSA 2047":            {scep.ErrKey, func(a *ask) { a.from, a.key = selfSigned(odd), nil }},
		"RSA 32768":           {scep.ErrUnreadable, unsigned(huge)},
		"P-224":               {scep.ErrKey, withKey(ecKey(elliptic.P224()))},
		"P-256, RSA signer":   {scep.ErrKeyForeign, withKey(ecKey(elliptic.P256()))},
		"P-521":               {scep.ErrKey, withKey(ecKey(elliptic.P521()))},
		"Ed25519":             {scep.ErrUnreadable, unsigned(must(edKey())(t))},
		"foreign key":         {scep.ErrKeyForeign, withKey(rsaKey(2))},
		"bad self-signature":  {scep.ErrUnreadable, func(a *ask) { a.csr = flip(-1) }},
		"SHA-1 in the CSR":    {scep.ErrAlgorithm, func(a *ask) { a.csr = withSHA1(a.from.key) }},
		"no CSR":              {scep.ErrUnreadable, func(a *ask) { a.csr = func([]byte) []byte { return nil } }},
		"plaintext of F0s":    {scep.ErrUnreadable, func(a *ask) { a.csr = func([]byte) []byte { return bytes.Repeat([]byte{0xf0}, 16) } }},
		"ciphertext of 5":     {scep.ErrUnreadable, func(a *ask) { a.envelope = ciphertext(func([]byte) []byte { return []byte("12345") }) }},
		"wrong RSA block":     {scep.ErrUnreadable, func(a *ask) { a.envelope = wrappedKey(flip(7)) }},
		"no transactionID":    {scep.ErrMessage, func(a *ask) { a.attributes = dropping(oidTransactionID) }},
		"no senderNonce":      {scep.ErrMessage, func(a *ask) { a.attributes = dropping(oidSenderNonce) }},
		"signed two days ago": {scep.ErrClock, func(a *ask) { a.signed = start.Add(-48 * time.Hour) }},
	}
}

// A request that asks for another's mail, for names that are paths, or for no
// subject at all, gets what our records say, and the same certificate again.
func TestNamesOfOthersOverHTTP(t *testing.T) {
	w := newWorld(t)
	l := &line{t: t, url: w.serve(scep.MailSigning)}
	keys := must(phone.NewSiblings())(t)
	for name, template := range map[string]x509.CertificateRequest{
		"another's mail": {Subject: pkix.Name{CommonName: "Mallory"}, EmailAddresses: []string{"mallory@example.com"}},
		"a path":         {Subject: pkix.Name{CommonName: "../../etc/passwd"}},
		"TAB and LF":     {Subject: pkix.Name{CommonName: "a\tb\nc"}},
		"no subject":     {},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask{from: selfSigned(keys.Next()), template: template}
			a.challenge, _ = w.fresh(scep.MailSigning)
			got := w.over(l, a, w.message(a))
			if got.cert == nil {
				t.Fatal(got)
			}
			w.sees(got.cert)
			if got.cert.Subject.String() != "CN=Alice Example" {
				t.Errorf("got %s", got.cert.Subject)
			}
		})
	}
}

// Bodies that broke other servers before anything in them was verified.
func TestBodiesOverHTTP(t *testing.T) {
	w := newWorld(t)
	l := &line{t: t, url: w.serve(scep.MailSigning)}
	good := w.message(ask{challenge: "x"})
	for name, c := range map[string]struct {
		body   []byte
		status int
	}{
		"nothing":          {nil, 400},
		"1F 80":            {[]byte{0x1f, 0x80}, 400},
		"1F 05":            {[]byte{0x1f, 0x05}, 400},
		"30 81":            {[]byte{0x30, 0x81}, 400},
		"30 84 01":         {[]byte{0x30, 0x84, 0x01}, 400},
		"two SignerInfos":  {secondSigner(t, good), 400},
		"broken signature": {flip(-1)(good), 400},
		"cut off":          {good[:len(good)-9], 400},
		"3 MiB":            {make([]byte, 3<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.rows()
			if got := l.post(c.body); got.status != c.status || w.rows() != before {
				t.Errorf("got %d, want %d", got.status, c.status)
			}
		})
	}
	if got := w.over(l, ask{}, good); !got.refused("2", scep.ErrChallengeUnknown) {
		t.Errorf("afterwards: %v", got)
	}
}
