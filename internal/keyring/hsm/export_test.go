//go:build pkcs11

package hsm

// Drop closes the token.
func (t *Token) Drop() {
	t.mu.Lock()
	s := t.session
	t.mu.Unlock()
	if s != nil {
		t.drop(s)
	}
}
