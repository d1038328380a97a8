package scep_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
)

// countedKey counts what is done with an RA's key.
type countedKey struct {
	*rsa.PrivateKey
	signed, decrypted *atomic.Int64
}

func (k countedKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	k.signed.Add(1)
	return k.PrivateKey.Sign(r, digest, o)
}

func (k countedKey) Decrypt(r io.Reader, b []byte, o crypto.DecrypterOpts) ([]byte, error) {
	k.decrypted.Add(1)
	return k.PrivateKey.Decrypt(r, b, o)
}

// families are envelopes that fail in three places: the key's own padding,
// somebody else's recipient, and the content.
func (w *world) families() map[string][]func([]byte) []byte {
	random := func(n int) []byte { b := make([]byte, n); rand.Read(b); return b }
	other := theHouse().device.RA.Certificate
	recipientID := made(asn1.Marshal(struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}{asn1.RawValue{FullBytes: other.RawIssuer}, other.SerialNumber}))
	to := func(e *envelope) { e.Recipients[0].ID = asn1.RawValue{FullBytes: recipientID} }
	return map[string][]func([]byte) []byte{
		"padding of the key": {
			wrappedKey(func(b []byte) []byte { return append([]byte{0}, random(len(b)-1)...) }),
			wrappedKey(func(b []byte) []byte { return flip(9)(b) }),
			wrappedKey(func([]byte) []byte { return w.wrapForRA(random(24)) }),
			wrappedKey(func([]byte) []byte { return w.wrapForRA(nil) }),
			wrappedKey(func(b []byte) []byte { return b[:100] }),
		},
		"another recipient": {
			edited(to),
			edited(func(e *envelope) { to(e); e.Recipients[0].Key = random(256) }),
			edited(func(e *envelope) { e.Recipients = nil }),
		},
		"content": {
			ciphertext(func(b []byte) []byte { return flip(-1)(b) }),
			ciphertext(func(b []byte) []byte { return flip(0)(b) }),
			ciphertext(func(b []byte) []byte { return b[:len(b)-16] }),
			ciphertext(func(b []byte) []byte { return b[:len(b)-7] }),
			ciphertext(func(b []byte) []byte { return random(len(b)) }),
			wrappedKey(func([]byte) []byte { return w.wrapForRA(random(16)) }),
			initial(func(b []byte) []byte { return flip(0)(b) }),
			func(b []byte) []byte { return b[:len(b)/2] },
		},
	}
}

// oracle is a server behind HTTP whose RA key is counted, and the message of a
// client with an envelope that fails.
type oracle struct {
	*world
	*line
	signed, decrypted atomic.Int64
	wanted            string // a challenge that is good
}

func newOracle(t testing.TB) *oracle {
	o := &oracle{}
	o.world = newWorld(t, func(c *scep.Config) {
		key := countedKey{rsaKey(keyOfMailRA), &o.signed, &o.decrypted}
		c.Authorities[1].RA.Signer, c.Authorities[1].RA.Decrypter = key, key
	})
	o.line = &line{t: t, url: o.serve(scep.MailSigning)}
	o.wanted, _ = o.fresh(scep.MailSigning)
	return o
}

// mangled gives n messages, in turn of each family.
func (o *oracle) mangled(n int) (families []string, messages [][]byte) {
	all := o.families()
	names := slices.Sorted(maps.Keys(all))
	me := newClient(1)
	for i := range n {
		family := names[i%len(names)]
		manglers := all[family]
		a := ask{challenge: o.wanted, from: me, envelope: manglers[i/len(names)%len(manglers)]}
		families, messages = append(families, family), append(messages, o.message(a))
	}
	return families, messages
}

// shape is a reply without what differs in any two: nonce, times, signature and
// the number of the request.
func shape(t testing.TB, a answered) string {
	t.Helper()
	var info contentInfo
	var data signedData
	made(asn1.Unmarshal(a.body, &info))
	made(asn1.Unmarshal(info.Content.Bytes, &data))
	var signer struct {
		Version   int
		ID        asn1.RawValue
		Digest    pkix.AlgorithmIdentifier
		Signed    []cmsAttribute `asn1:"set,tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	made(asn1.Unmarshal(data.Signers[0].FullBytes, &signer))
	body := bytes.Clone(a.body)
	hide := func(b []byte) {
		i := bytes.Index(body, b)
		if i < 0 || len(b) == 0 {
			t.Fatal("what should be hidden is not there")
		}
		clear(body[i : i+len(b)])
	}
	hide(signer.Signature)
	for _, x := range signer.Signed {
		if x.Type.Equal(oidSenderNonce) || x.Type.Equal(oidSigningTime) {
			hide(x.Values.Bytes)
		}
	}
	a.header.Del("Date")
	a.header.Del("X-Request-Id")
	return fmt.Sprintf("%d %v\n%x", a.status, a.header, body)
}

type cmsAttribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue
}

var oidSigningTime = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}

// A thousand wrong envelopes get, through HTTP, one and the same status, header
// and body, for the same work with the RA's key, and leave nothing behind.
func TestOneAnswerToWrongEnvelopes(t *testing.T) {
	o := newOracle(t)
	before := o.rows()
	families, messages := o.mangled(1000)
	want := ""
	for n, m := range messages {
		signed, decrypted := o.signed.Load(), o.decrypted.Load()
		got := shape(t, o.post(m))
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("message %d (%s) is answered otherwise: got\n%.2000s\nwant\n%.2000s", n, families[n], got, want)
		}
		if s, d := o.signed.Load()-signed, o.decrypted.Load()-decrypted; s != 1 || d != 1 {
			t.Fatalf("message %d (%s): %d signatures and %d decryptions, want 1 each", n, families[n], s, d)
		}
	}
	reply := o.readReply(ask{}.defaults(), o.post(messages[0]).body)
	if !reply.refused("1", scep.ErrUnreadable) {
		t.Errorf("got %v", reply)
	}
	if after := o.rows(); after != before {
		t.Errorf("stored\n%s, want\n%s", after, before)
	}
	if ticket, err := o.db.SCEP().Ticket(t.Context(), seal.SecretString(o.wanted).Hash()); err != nil || ticket.Attempts != 0 {
		t.Errorf("the challenge inside was tried %d times, %v", ticket.Attempts, err)
	}
}

// BenchmarkWrongEnvelopes prints how far the medians of the families of wrong
// envelopes lie apart in time.
func BenchmarkWrongEnvelopes(b *testing.B) {
	o := newOracle(b)
	families, messages := o.mangled(999)
	took := map[string][]time.Duration{}
	for b.Loop() {
		for n, m := range messages {
			begin := time.Now()
			o.post(m)
			took[families[n]] = append(took[families[n]], time.Since(begin))
		}
	}
	var medians []time.Duration
	for family, list := range took {
		slices.Sort(list)
		medians = append(medians, list[len(list)/2])
		b.Logf("%s: median %v", family, list[len(list)/2])
	}
	b.ReportMetric(float64((slices.Max(medians)-slices.Min(medians)).Microseconds())/1000, "ms-apart(bar:2)")
	b.ReportMetric(0, "ns/op")
}
