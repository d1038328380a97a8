package federation

import "crypto"

// ParseSet is opened to the tests.
func ParseSet(body []byte) ([]crypto.PublicKey, error) {
	set, err := parseSet(body)
	if err != nil {
		return nil, err
	}
	return set.PublicKeys, nil
}
