package keyring

// WorkFactor makes passphrases cheap while tests run.
func WorkFactor(n int) { workFactor = n }
