package keyring

// Escrow lists the escrow keys, the active one last.
func (r *Ring) Escrow() []EscrowKey {
	list := make([]EscrowKey, len(r.escrow))
	for i, k := range r.escrow {
		list[i] = k.EscrowKey
	}
	return list
}

// WorkFactor makes passphrases cheap while tests run.
func WorkFactor(n int) { workFactor = n }
