package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readPFX reads a file to import, and with a .key file the certificate that
// lies beside it under the same name.
func readPFX(name string) ([]byte, error) {
	data, err := readBounded(name)
	if err != nil || !hasExt(name, ".key") {
		return data, err
	}
	defer clear(data)
	cert, err := readBounded(certificateOf(name))
	if os.IsNotExist(err) {
		return slices.Clone(data), nil // both may be in the one file
	}
	if err != nil {
		return nil, err
	}
	if c, err := x509.ParseCertificate(cert); err == nil {
		cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return bytes.Join([][]byte{data, cert}, []byte("\n")), nil
}

// certificateOf gives the file with the certificate of a key, or a name that
// there is not.
func certificateOf(key string) string {
	stem := strings.TrimSuffix(key, filepath.Ext(key))
	for _, ext := range []string{".crt", ".cer", ".pem"} {
		if _, err := os.Stat(stem + ext); err == nil {
			return stem + ext
		}
	}
	return stem + ".crt"
}

// goesWithKey tells whether a .pem file is read together with its .key file.
func goesWithKey(name string) bool {
	key := strings.TrimSuffix(name, filepath.Ext(name)) + ".key"
	_, err := os.Stat(key)
	return err == nil && certificateOf(key) == name
}
