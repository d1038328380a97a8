package keyring

import "github.com/signet-mdm/signet/internal/seal"

// Option says more of how a ring is opened.
type Option func(*ways)

// ways is what a ring may need besides its files.
type ways struct {
	passphrase func() (seal.Secret, error)
	token      Token
	holders    []holding
	escrowIn   string
}

// Passphrase gives the passphrase of an unlock key that is encrypted with one.
// It is asked once, and only when it is needed.
func Passphrase(ask func() (seal.Secret, error)) Option {
	return func(w *ways) { w.passphrase = ask }
}

func waysOf(options []Option) ways {
	w := ways{token: noToken{}}
	for _, o := range options {
		o(&w)
	}
	return w
}
