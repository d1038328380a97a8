package scep_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/signet-mdm/signet/scep"
)

// A thousand envelopes that are wrong in every way get one answer, and the
// challenge inside is as good as before.
func TestMangledEnvelopes(t *testing.T) {
	w := newWorld(t)
	challenge := w.challenge(scep.MailSigning).RevealString()
	other := theHouse().device.RA.Certificate // not the recipient's key
	seed := mrand.New(mrand.NewPCG(1, 2))
	garbage := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(seed.Uint32())
		}
		return b
	}
	manglers := map[string]func([]byte) []byte{
		"ciphertext bit":      ciphertext(func(b []byte) []byte { return flip(seed.IntN(len(b)))(b) }),
		"last block":          ciphertext(func(b []byte) []byte { return flip(-1 - seed.IntN(32))(b) }),
		"block lost":          ciphertext(func(b []byte) []byte { return b[:len(b)-16] }),
		"half a block":        ciphertext(func(b []byte) []byte { return b[:len(b)-seed.IntN(15)-1] }),
		"other ciphertext":    ciphertext(func(b []byte) []byte { return garbage(len(b)) }),
		"wrapped key bit":     wrappedKey(func(b []byte) []byte { return flip(seed.IntN(len(b)))(b) }),
		"wrapped key garbage": wrappedKey(func(b []byte) []byte { return garbage(len(b)) }),
		"wrapped key short":   wrappedKey(func(b []byte) []byte { return b[:seed.IntN(len(b))] }),
		"other recipient": wrappedKey(func([]byte) []byte {
			return made(rsa.EncryptPKCS1v15(rand.Reader, other.PublicKey.(*rsa.PublicKey), garbage(16)))
		}),
		"other content key": wrappedKey(func([]byte) []byte { return w.wrapForRA(garbage(16)) }),
		"key of 24":         wrappedKey(func([]byte) []byte { return w.wrapForRA(garbage(24)) }),
		"no key":            wrappedKey(func([]byte) []byte { return w.wrapForRA(nil) }),
		"IV":                initial(func(b []byte) []byte { return flip(seed.IntN(len(b)))(b) }),
		"garbage":           func([]byte) []byte { return garbage(300) },
	}
	tried := 0
	for tried < 1000 {
		for name, mangle := range manglers {
			tried++
			got := w.send(ask{challenge: challenge, envelope: mangle, remote: fmt.Sprint("192.0.2.", tried/50)})
			if !got.refused("1", scep.ErrUnreadable) {
				t.Fatalf("%s: got %v", name, got)
			}
		}
	}
	if got := w.send(ask{challenge: challenge}); got.status != "0" {
		t.Errorf("afterwards: got %v", got)
	}
}

func (w *world) wrapForRA(key []byte) []byte {
	return made(rsa.EncryptPKCS1v15(rand.Reader, theHouse().mail.RA.Certificate.PublicKey.(*rsa.PublicKey), key))
}

// envelope is the parts of EnvelopedData that tests exchange.
type envelope struct {
	Version    int
	Recipients []recipient `asn1:"set"`
	Encrypted  struct {
		Type      asn1.ObjectIdentifier
		Algorithm struct {
			ID asn1.ObjectIdentifier
			IV []byte
		}
		Content asn1.RawValue `asn1:"tag:0"`
	}
}

type recipient struct {
	Version   int
	ID        asn1.RawValue
	Algorithm asn1.RawValue
	Key       []byte
}

func edited(edit func(*envelope)) func([]byte) []byte {
	return func(der []byte) []byte {
		var info contentInfo
		var e envelope
		made(asn1.Unmarshal(der, &info))
		made(asn1.Unmarshal(info.Content.Bytes, &e))
		edit(&e)
		return made(asn1.Marshal(contentInfo{info.Type, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: made(asn1.Marshal(e))}}))
	}
}

func ciphertext(change func([]byte) []byte) func([]byte) []byte {
	return edited(func(e *envelope) {
		e.Encrypted.Content = asn1.RawValue{Class: 2, Tag: 0, Bytes: change(bytes.Clone(e.Encrypted.Content.Bytes))}
	})
}

func wrappedKey(change func([]byte) []byte) func([]byte) []byte {
	return edited(func(e *envelope) { e.Recipients[0].Key = change(e.Recipients[0].Key) })
}

// initial changes the IV, and with it the first block of the plaintext alone:
// the outermost length and type of the certificate request.
func initial(change func([]byte) []byte) func([]byte) []byte {
	return edited(func(e *envelope) { e.Encrypted.Algorithm.IV = change(e.Encrypted.Algorithm.IV) })
}
