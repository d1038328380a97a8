package scep_test

import (
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/scep"
)

// What is read as a CertPoll is two sequences in one, and nothing more.
func FuzzPoll(f *testing.F) {
	f.Add(newWorld(f).issuerAndSubject())
	for _, s := range []string{"", "0\x04000\x00", "0\x040\x000\x00", "0\x040\x000\x01", "0\x80" + "0\x000\x00\x00\x00", "0\x81\x040\x000\x00", "1\x040\x000\x00", "0\x060\x000\x000\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		err := scep.ReadPoll(der)
		if err != nil && !errors.Is(err, scep.ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
		input := cryptobyte.String(der)
		var body, name cryptobyte.String
		good := input.ReadASN1(&body, cbasn1.SEQUENCE) && input.Empty() && body.ReadASN1(&name, cbasn1.SEQUENCE) &&
			body.ReadASN1(&name, cbasn1.SEQUENCE) && body.Empty()
		if good != (err == nil) {
			t.Errorf("%x: got %v", der, err)
		}
	})
}
