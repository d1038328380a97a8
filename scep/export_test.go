package scep

// ReadCSR opens the reading of certificate requests to tests.
func ReadCSR(der []byte, legacy bool) error {
	_, err := readCSR(der, legacy)
	return err
}

// LogKeys are the keys of log records.
var LogKeys = []string{keyCert, keyCode, keyDevice, keyErr, keyKind, keyProfile, keyRemote, keySerial, keyUser}
