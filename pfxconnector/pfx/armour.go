package pfx

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
)

const sequence = 0x30 // how every PKCS #12 file begins

var byteOrderMark = []byte("\xef\xbb\xbf")

// isJavaStore knows the files of Java before version 9: JKS and JCEKS.
func isJavaStore(file []byte) bool {
	return bytes.HasPrefix(file, []byte{0xfe, 0xed, 0xfe, 0xed}) || bytes.HasPrefix(file, []byte{0xce, 0xce, 0xce, 0xce})
}

// unwrap takes PEM or base64 off.
// Quirk: GnuTLS certtool writes PEM with an explanation above it by default.
func unwrap(file []byte) (der []byte, armoured bool, err error) {
	if len(file) == 0 {
		return nil, false, ErrNotPKCS12.Saying("The file is empty.")
	}
	if file[0] == sequence {
		return file, false, nil
	}
	if isJavaStore(file) {
		return nil, false, ErrJavaStore
	}
	text := bytes.TrimPrefix(file, byteOrderMark)
	if block, _ := pem.Decode(text); block != nil && block.Type == "PKCS12" {
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
