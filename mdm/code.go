package mdm

import (
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/signet-mdm/signet/internal/seal"
)

// A code is ten letters, 43 bits, that nobody mistakes or spells a word with
// and that a phone's keyboard shows without switching. Together with five
// tries that is one chance in two million million.
//
// Spec: RFC 8628 section 6.1
const (
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 10
	maxTries    = 5
)

// newCode gives a code as it is shown: BCDFG-HJKLM.
func newCode() seal.Secret {
	b := make([]byte, 0, codeLength+1)
	for i := range codeLength {
		if i == codeLength/2 {
			b = append(b, '-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(codeLetters))))
		if err != nil {
			panic("mdm: no randomness: " + err.Error())
		}
		b = append(b, codeLetters[n.Int64()])
	}
	return seal.NewSecret(b)
}

// tidyCode undoes what a hand and a keyboard do to a code.
func tidyCode(typed seal.Secret) seal.Secret {
	return seal.SecretString(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r
		}
		return -1
	}, typed.RevealString()))
}

// codeHash is what is stored of a code. It takes in the token, which the
// database does not hold, so that nobody can search for the code there.
func codeHash(token, code seal.Secret) seal.Hash {
	return seal.SecretString(token.RevealString() + " " + tidyCode(code).RevealString()).Hash()
}
