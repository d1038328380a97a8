package pfx

// Public reads the certificate of an identity whose key is elsewhere, and the CA
// certificates that are said to lead upwards from it, within the limits of
// [Read]. What is no certificate, or leads nowhere, is left out of the chain.
// The identity has no key.
func Public(leaf []byte, chain [][]byte, l Limits) (Identity, error) {
	r := newReader(l)
	c, bad := r.certificate(leaf)
	if bad != nil {
		return Identity{}, bad
	}
	var certs []certificate
	for _, der := range chain[:min(len(chain), maxChain)] {
		if ca, bad := r.certificate(der); bad == nil {
			certs = append(certs, certificate{ca, ""})
		}
	}
	return Identity{Certificate: c, Chain: r.chain(c, certs)}, nil
}
