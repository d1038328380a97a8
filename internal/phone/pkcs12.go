package phone

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

// pkcs12 installs an identity from a PKCS #12 file, which must hold exactly one.
// Spec: Apple, com.apple.security.pkcs12
func (in *installation) pkcs12(_ context.Context, d dict, item *Payload) error {
	if in.from == byMDM && !d.has("Password") {
		return certErr(9000, nil, "The certificate %q has no password, and an installation by MDM cannot ask.", item.Identifier)
	}
	ids, err := importPKCS12(d.data("PayloadContent"), d.str("Password"), in.phone.os)
	switch {
	case errors.Is(err, errPassword):
		return certErr(9000, err, "The password for the certificate %q is incorrect.", item.Identifier)
	case err != nil:
		return certErr(9005, err, "The certificate %q is malformed.", item.Identifier)
	case len(ids) == 0:
		return certErr(9006, nil, "The certificate %q is not an identity.", item.Identifier)
	case len(ids) > 1:
		return certErr(9001, nil, "The payload %q has %d identities.", item.Identifier, len(ids))
	}
	in.own(&ids[0], item)
	return nil
}

type pfxASN1 struct {
	Version int
	Safe    contentInfoASN1
	MAC     asn1.RawValue `asn1:"optional"`
}

type macASN1 struct {
	Digest struct {
		Algorithm algorithmASN1
		Value     []byte
	}
	Salt       []byte
	Iterations asn1.RawValue `asn1:"optional"`
}

// OpenPKCS12 gives the identities of a PKCS #12 file as the given iOS version
// reads it: for what reaches a phone outside profiles, such as a file that
// the user opens in a mail app.
func OpenPKCS12(raw []byte, password, osVersion string) ([]Identity, error) {
	os, err := parseVersion(osVersion)
	if err != nil {
		return nil, err
	}
	return importPKCS12(raw, password, os)
}

// importPKCS12 reads a PKCS #12 file as Apple's p12import.c does in this
// version, and gives the identities in it. A wrong password and anything this
// version does not know are the same error, errPassword.
// Spec: RFC 7292
func importPKCS12(raw []byte, pass string, os version) ([]Identity, error) {
	f := &p12{pw: newPassword(pass), os: os, certs: map[string]*x509.Certificate{}}
	safe, err := f.authenticated(raw)
	if err != nil {
		return nil, err
	}
	for _, info := range safe {
		if err := f.safe(info); err != nil {
			return nil, err
		}
	}
	return f.identities()
}

// p12 gathers what lies in the bags of a file.
type p12 struct {
	pw    password
	os    version
	keys  []p12Key
	certs map[string]*x509.Certificate // by localKeyID or friendlyName; the last one with a name wins
	loose []*x509.Certificate
}

type p12Key struct {
	key  crypto.Signer
	name string
}

func decodeErr(err error) error { return &Error{errDecode.Domain, errDecode.Code, errDecode.Text, err} }

// authFailed keeps the reason for the log; the phone says wrong password.
func authFailed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errPassword}, args...)...)
}

// authenticated checks the MAC, which must be there, and gives the safes.
func (f *p12) authenticated(raw []byte) ([]contentInfoASN1, error) {
	b, err := der(raw)
	if err != nil {
		return nil, decodeErr(err)
	}
	var pfx pfxASN1
	var content []byte
	if err := unmarshal(b, &pfx, ""); err != nil {
		return nil, decodeErr(err)
	}
	if pfx.Version != 3 || !pfx.Safe.Type.Equal(oidData) {
		return nil, decodeErr(fmt.Errorf("version %d, content %v", pfx.Version, pfx.Safe.Type))
	}
	if err := unmarshal(pfx.Safe.Content.Bytes, &content, ""); err != nil {
		return nil, decodeErr(err)
	}
	if err := f.checkMAC(pfx.MAC.FullBytes, content); err != nil {
		return nil, err
	}
	if b, err = der(content); err != nil {
		return nil, decodeErr(err)
	}
	var safes []contentInfoASN1
	if err := unmarshal(b, &safes, ""); err != nil {
		return nil, decodeErr(err)
	}
	return safes, nil
}

// checkMAC knows HMAC with SHA-1, from iOS 18 with the SHA-2 family, never
// PBMAC1.
func (f *p12) checkMAC(raw, content []byte) error {
	if len(raw) == 0 {
		return authFailed("no MAC")
	}
	var m macASN1
	if err := unmarshal(raw, &m, ""); err != nil {
		return decodeErr(err)
	}
	n, err := iterations(m.Iterations)
	if err != nil {
		return decodeErr(err)
	}
	hash, err := digestOf(m.Digest.Algorithm.ID)
	if err != nil || hash != crypto.SHA1 && !f.os.atLeast(version{18, 0}) {
		return authFailed("iOS %d knows no MAC with %v", f.os[0], m.Digest.Algorithm.ID)
	}
	mac := hmac.New(hash.New, f.pw.derive(hash, 3, m.Salt, n, hash.Size()))
	mac.Write(content)
	if !hmac.Equal(mac.Sum(nil), m.Digest.Value) {
		return authFailed("the MAC differs")
	}
	return nil
}

// iterations reads an INTEGER of at most four bytes; absent or 0 is 1.
func iterations(v asn1.RawValue) (int, error) {
	if len(v.FullBytes) == 0 {
		return 1, nil
	}
	var n int
	if err := unmarshal(v.FullBytes, &n, ""); err != nil {
		return 0, err
	}
	if len(v.Bytes) > 4 || n < 0 || n > maxIterations {
		return 0, fmt.Errorf("%d iterations", n)
	}
	return max(n, 1), nil
}

// safe reads one part of the file: in clear, or encrypted by password.
func (f *p12) safe(info contentInfoASN1) error {
	content, err := f.safeContent(info)
	if err != nil {
		return err
	}
	if content, err = der(content); err != nil {
		return decodeErr(err)
	}
	var bags []bagASN1
	if err := unmarshal(content, &bags, ""); err != nil {
		return decodeErr(err)
	}
	for _, b := range bags {
		if err := f.bag(b); err != nil {
			return err
		}
	}
	return nil
}

func (f *p12) safeContent(info contentInfoASN1) (content []byte, err error) {
	switch {
	case info.Type.Equal(oidData):
		if err := unmarshal(info.Content.Bytes, &content, ""); err != nil {
			return nil, decodeErr(err)
		}
		return content, nil
	case info.Type.Equal(oidEncryptedData):
		var enc struct {
			Version int
			Content struct {
				Type   oid
				Cipher algorithmASN1
				Text   asn1.RawValue `asn1:"optional,tag:0"`
			}
		}
		if err := unmarshal(info.Content.Bytes, &enc, ""); err != nil {
			return nil, decodeErr(err)
		}
		text, err := octets(enc.Content.Text)
		if err != nil {
			return nil, decodeErr(err)
		}
		if content, err = decryptPBE(enc.Content.Cipher, text, f.pw, f.os); err != nil {
			return nil, authFailed("%v", err)
		}
		return content, nil
	}
	return nil, decodeErr(fmt.Errorf("safe of type %v", info.Type))
}
