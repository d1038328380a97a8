package pfx

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
)

const sequence = 0x30 // how every PKCS #12 file begins

// unwrap takes PEM or base64 off.
// Quirk: GnuTLS certtool writes PEM with an explanation above it by default.
func unwrap(file []byte) (der []byte, armoured bool, err error) {
	if len(file) == 0 {
		return nil, false, ErrNotPKCS12.Saying("The file is empty.")
	}
	if file[0] == sequence {
		return file, false, nil
	}
	text := bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != "PKCS12" {
			return nil, false, ErrNotPKCS12
		}
		return block.Bytes, true, nil
	}
	text = bytes.Join(bytes.Fields(text), nil)
	der = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(der, text)
	if err != nil || n == 0 || der[0] != sequence {
		return nil, false, ErrNotPKCS12
	}
	return der[:n], true, nil
}
