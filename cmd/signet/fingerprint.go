package main

import (
	"strings"

	"github.com/signet-mdm/signet/pfxconnector"
)

// Lengths of a SHA-256 in hexadecimal: whole, and as tables show it.
const (
	fullFingerprint  = 64
	shortFingerprint = 16
)

// minPrefix keeps a slip of the hand from naming a certificate.
const minPrefix = 8

// fingerprint reads a SHA-256, or its beginning, as programs print it: with
// small or capital letters, with or without colons.
func fingerprint(text string) (string, error) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	if strings.Trim(digits, "0123456789abcdef") != "" || len(digits) > fullFingerprint || len(digits) < minPrefix {
		return "", usagef("%q is no SHA-256 fingerprint: it has 64 hexadecimal digits, of which the first %d are enough", text, minPrefix)
	}
	return digits, nil
}

// only gives the one certificate whose fingerprint begins so; what begins like
// none is left to the server to refuse.
func only(keys []pfxconnector.Item, prefix string) (string, error) {
	found := prefix
	for _, k := range keys {
		if !strings.HasPrefix(k.Cert, prefix) {
			continue
		}
		if found != prefix {
			return "", usagef("several fingerprints begin with %s: give more of it", prefix)
		}
		found = k.Cert
	}
	if len(found) < fullFingerprint {
		return "", pfxconnector.ErrKeyUnknown
	}
	return found, nil
}
