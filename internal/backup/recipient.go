package backup

import (
	"strings"

	"filippo.io/age"
)

// ParseRecipient reads one age recipient. ErrRecipient for one that cannot
// stand beside the unlock key: age does not mix kinds.
func ParseRecipient(text string) (age.Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, ErrRecipient.With(err)
	}
	r, ok := list[0].(*age.X25519Recipient)
	if !ok {
		return nil, ErrRecipient
	}
	return r, nil
}
