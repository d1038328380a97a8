package pfx

import (
	"context"
	"crypto/cipher"

	"github.com/signet-mdm/signet/internal/seal"
)

// The derivations and RC2, for files that tests put together and for the
// vectors of the standards.
var (
	PKCS12KDF = pkcs12KDF
	PBKDF2    = pbkdf2
	BMPString = bmpString
)

// NewRC2 is the cipher with its effective bits.
func NewRC2(key []byte, effective int) cipher.Block { return newRC2(key, effective) }

// ToDER rewrites one element under the limits.
func ToDER(b []byte, l Limits) (der, rest []byte, err error) {
	w := walker{depth: l.Depth, nodes: l.Nodes}
	return w.der(b)
}

// ReadUnchecked reads without asking the MAC, so that a fuzzer gets below it.
func ReadUnchecked(ctx context.Context, file []byte, password seal.Secret, l Limits) (*Result, error) {
	r := newReader(l)
	defer r.wipe()
	o, err := r.outer(file)
	if err != nil {
		return nil, err
	}
	safes, err := r.safes(ctx, o.content, attempts(password)[0])
	if err != nil {
		return nil, err
	}
	return r.result(ctx, contents{o, safes})
}

// ReadSafe reads the decrypted contents of one safe.
func ReadSafe(ctx context.Context, plain []byte, password seal.Secret, l Limits) (*Result, error) {
	r := newReader(l)
	defer r.wipe()
	der, err := r.normal(plain)
	if err != nil {
		return nil, err
	}
	bags, err := r.safeContents(ctx, der, attempts(password)[0], 1)
	if err != nil {
		return nil, err
	}
	return r.result(ctx, contents{safes: []safe{{bags: bags}}})
}

// Secrets opens file and gives the buffers that were to be overwritten, after
// that.
func Secrets(ctx context.Context, file []byte, password seal.Secret) ([][]byte, error) {
	r := newReader(Default)
	c, err := r.open(ctx, file, password)
	if err != nil {
		return nil, err
	}
	res, err := r.result(ctx, c)
	if err != nil {
		return nil, err
	}
	res.Wipe()
	r.wipe()
	return r.secrets, nil
}

// Decoding tells how many files are being read.
func Decoding() int { return len(decoders) }

// Cost is the work that reading a file took, and its answer.
type Cost struct {
	Iterations int64
	Nodes      int
	Bags       int
	Checks     int   // of signatures
	RSA        int64 // checking of RSA keys, in keys of 2048 bits
}

// Measure reads file like Read and counts.
func Measure(ctx context.Context, file []byte, password seal.Secret, l Limits) (Cost, error) {
	r := newReader(l)
	defer r.wipe()
	c, err := r.open(ctx, file, password)
	if err == nil {
		var res *Result
		if res, err = r.result(ctx, c); err == nil {
			res.Wipe()
		}
	}
	return Cost{r.spent, l.Nodes - r.walker.nodes, r.bags, r.checks, r.rsaBits >> 33}, err
}
