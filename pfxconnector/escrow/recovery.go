package escrow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Recovery is an age recipient whose identity is kept offline. What is sealed
// to it opens without any of our keys:
//
//	age -d -i recovery.txt FILE | openssl pkcs12 -export -out NEW.p12
type Recovery struct {
	to age.Recipient
	id KeyID
}

// ParseRecovery reads one age recipient ("age1…", X25519 or hybrid).
func ParseRecovery(s string) (Recovery, error) {
	list, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(list) != 1 {
		return Recovery{}, ErrRecipient
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(list[0])))
	return Recovery{list[0], KeyID("age:" + hex.EncodeToString(sum[:]))}, nil
}

// ID gives the fingerprint, the SHA-256 of the recipient's text.
func (r Recovery) ID() KeyID { return r.id }

// Wrap writes the age file: private key and certificate as PEM.
func (r Recovery) Wrap(k Key) (Wrap, error) {
	var plain, file bytes.Buffer
	plain.Grow(3 * (len(k.PKCS8) + len(k.Certificate.Raw))) // so that no copy is left behind
	defer func() { clear(plain.Bytes()[:cap(plain.Bytes())]) }()
	pem.Encode(&plain, &pem.Block{Type: "PRIVATE KEY", Bytes: k.PKCS8})
	pem.Encode(&plain, &pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate.Raw})
	w, err := age.Encrypt(&file, r.to)
	if err == nil {
		_, err = w.Write(plain.Bytes())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return Wrap{}, fmt.Errorf("wrapping for %s: %w", r.id, err)
	}
	return Wrap{Key: r.id, Sealed: file.Bytes()}, nil
}
