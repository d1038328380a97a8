package exchange

import (
	"crypto/x509"
	"encoding/binary"
)

// What a serialized certificate store is made of, all little-endian.
const (
	sstVersion     = 0
	sstType        = 0x54524543 // "CERT"
	sstCertificate = 0x20
	sstX509        = 1
)

// SST writes a serialized certificate store, as Windows calls it, without
// properties.
//
// Spec: MS-OSHARED section 2.3.2.5
func SST(certificates []*x509.Certificate) []byte {
	le := binary.LittleEndian
	out := le.AppendUint32(nil, sstVersion)
	out = le.AppendUint32(out, sstType)
	for _, c := range certificates {
		out = le.AppendUint32(out, sstCertificate)
		out = le.AppendUint32(out, sstX509)
		out = le.AppendUint32(out, uint32(len(c.Raw)))
		out = append(out, c.Raw...)
	}
	return append(out, make([]byte, 12)...) // the end marker: element 0 and eight bytes
}
