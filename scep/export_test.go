package scep

// ReadCSR opens the reading of certificate requests to tests.
func ReadCSR(der []byte, legacy bool) error {
	_, err := readCSR(der, legacy)
	return err
}

// ReadPoll opens the reading of what is in a CertPoll to tests.
func ReadPoll(der []byte) error { return readPoll(der) }
