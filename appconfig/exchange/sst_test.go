package exchange_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/appconfig/exchange"
)

var errStore = errors.New("no serialized certificate store")

// readSST is the other side: it reads what Windows would, written from
// MS-OSHARED alone. Properties before a certificate are skipped.
func readSST(b []byte) (certs [][]byte, err error) {
	word := func() (n uint32) {
		if len(b) < 4 {
			err = errStore
			return 0
		}
		n, b = binary.LittleEndian.Uint32(b), b[4:]
		return n
	}
	if version, kind := word(), word(); err != nil || version != 0 || kind != 0x54524543 {
		return nil, errStore
	}
	pending := false
	for {
		id, encoding, length := word(), word(), word()
		switch {
		case err != nil:
			return nil, errStore
		case id == 0 && encoding == 0 && length == 0 && len(b) == 0 && !pending:
			return certs, nil
		case encoding != 1 || uint64(length) > uint64(len(b)) || id == 0 || id > 0xffff:
			return nil, errStore
		}
		value := b[:length]
		b = b[length:]
		if pending = id != 0x20; !pending {
			certs = append(certs, value)
		}
	}
}

func TestSST(t *testing.T) {
	root := newCA(t, "Root", nil)
	sub := newCA(t, "Sub", root)
	for name, list := range map[string][]*x509.Certificate{"none": nil, "one": {root.cert}, "two": {sub.cert, root.cert}} {
		t.Run(name, func(t *testing.T) {
			out := exchange.SST(list)
			size := 8 + 12
			for _, c := range list {
				size += 12 + len(c.Raw)
			}
			if len(out) != size {
				t.Errorf("got %d bytes, want %d", len(out), size)
			}
			got, err := readSST(out)
			if err != nil || len(got) != len(list) {
				t.Fatalf("read back: %d certificates, %v; want %d", len(got), err, len(list))
			}
			for i, c := range list {
				if !bytes.Equal(got[i], c.Raw) {
					t.Errorf("certificate %d is another", i)
				}
			}
			for n := range out {
				if _, err := readSST(out[:n]); err == nil {
					t.Fatalf("%d of %d bytes read as a whole", n, len(out))
				}
			}
		})
	}
}

// The first bytes are those that the format's description gives.
func TestSSTBegins(t *testing.T) {
	out := exchange.SST([]*x509.Certificate{{Raw: make([]byte, 0x034d)}})
	want := []byte("\x00\x00\x00\x00CERT\x20\x00\x00\x00\x01\x00\x00\x00\x4d\x03\x00\x00")
	if !bytes.HasPrefix(out, want) {
		t.Errorf("got % x, want % x", out[:20], want)
	}
}

func FuzzSST(f *testing.F) {
	f.Add([]byte{})
	f.Add(exchange.SST(nil))
	f.Add(exchange.SST([]*x509.Certificate{{Raw: []byte("abc")}, {Raw: nil}}))
	f.Add([]byte("\x00\x00\x00\x00CERT\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00x\x20\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ders, err := readSST(b)
		if err != nil {
			return
		}
		var list []*x509.Certificate
		for _, der := range ders {
			list = append(list, &x509.Certificate{Raw: der})
		}
		again, err := readSST(exchange.SST(list))
		if err != nil || len(again) != len(ders) {
			t.Fatalf("written again: %d, %v; want %d", len(again), err, len(ders))
		}
	})
}
