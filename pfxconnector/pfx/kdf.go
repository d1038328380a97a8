package pfx

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"slices"
)

// checkEvery is after how many iterations a derivation asks whether anybody
// still waits for it. The standard library's PBKDF2 never asks.
const checkEvery = 1 << 16

// What pkcs12KDF derives.
const (
	forKey = 1
	forIV  = 2
	forMAC = 3
)

// pkcs12KDF derives size bytes. It ends early with the context's cause.
//
// Spec: RFC 7292 appendix B.2
func pkcs12KDF(ctx context.Context, h crypto.Hash, purpose byte, password, salt []byte, iterations int64, size int) ([]byte, error) {
	d := h.New()
	v := d.BlockSize()
	diversifier := bytes.Repeat([]byte{purpose}, v)
	input := append(fill(salt, v), fill(password, v)...)
	defer clear(input)
	out := make([]byte, 0, size+d.Size())
	for {
		a, err := chain(ctx, d, diversifier, input, iterations)
		if err != nil {
			return nil, err
		}
		out = append(out, a...)
		if len(out) >= size {
			return out[:size], nil
		}
		b := fill(a, v)[:v]
		for block := range slices.Chunk(input, v) {
			addOne(block, b)
		}
	}
}

// chain hashes diversifier and input, then the result again and again.
func chain(ctx context.Context, d hash.Hash, diversifier, input []byte, iterations int64) ([]byte, error) {
	d.Reset()
	d.Write(diversifier)
	d.Write(input)
	a := d.Sum(nil)
	for i := int64(1); i < iterations; i++ {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d.Reset()
		d.Write(a)
		a = d.Sum(a[:0])
	}
	return a, nil
}

// fill repeats b up to the next multiple of v; nothing stays nothing.
func fill(b []byte, v int) []byte {
	out := make([]byte, (len(b)+v-1)/v*v)
	for n := 0; n < len(out) && len(b) > 0; {
		n += copy(out[n:], b)
	}
	return out
}

// addOne sets a to a+b+1, as numbers of the same length.
func addOne(a, b []byte) {
	carry := 1
	for i := len(a) - 1; i >= 0; i-- {
		carry += int(a[i]) + int(b[i])
		a[i] = byte(carry)
		carry >>= 8
	}
}

// pbkdf2 derives size bytes. It ends early with the context's cause.
//
// Spec: RFC 8018 section 5.2
func pbkdf2(ctx context.Context, h crypto.Hash, password, salt []byte, iterations int64, size int) ([]byte, error) {
	prf := hmac.New(h.New, password)
	var out []byte
	for block := uint32(1); len(out) < size; block++ {
		prf.Reset()
		prf.Write(salt)
		prf.Write(binary.BigEndian.AppendUint32(nil, block))
		u := prf.Sum(nil)
		t := bytes.Clone(u)
		for i := int64(1); i < iterations; i++ {
			if i%checkEvery == 0 && ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			prf.Reset()
			prf.Write(u)
			u = prf.Sum(u[:0])
			for j := range t {
				t[j] ^= u[j]
			}
		}
		out = append(out, t...)
	}
	return out[:size], nil
}
