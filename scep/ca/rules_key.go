package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"slices"
)

// How large RSA keys may be: larger ones cost every reader.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// GoodKey tells whether certificates are made for this key: RSA of 2048 to
// 4096 bits with a sane exponent and an honest modulus, or one of the curves
// P-256 and P-384.
func GoodKey(pub any) bool {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && bits%8 == 0 && key.E >= 3 && key.E%2 == 1 &&
			!hasSmallFactor(key.N) && !hasROCA(key.N)
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() || key.Curve == elliptic.P384()
	}
	return false
}

// allow tells whether a key is among the chosen ones.
func (k Keys) allow(pub any) bool {
	chosen := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	switch key := pub.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return chosen(k.Types, "rsa") && bits >= k.RSAMin && (k.RSAMax == 0 || bits <= k.RSAMax)
	case *ecdsa.PublicKey:
		return chosen(k.Types, "ec") && chosen(k.Curves, key.Curve.Params().Name)
	}
	return false
}

// oddPrimes are those up to 167.
var oddPrimes = func() (list []int64) {
	for n := int64(3); n <= 167; n += 2 {
		if big.NewInt(n).ProbablyPrime(0) {
			list = append(list, n)
		}
	}
	return list
}()

// smallPrimes is the product of the odd primes below 100: no honest modulus
// shares a factor with it.
var smallPrimes = func() *big.Int {
	product := big.NewInt(1)
	for _, n := range oddPrimes {
		if n < 100 {
			product.Mul(product, big.NewInt(n))
		}
	}
	return product
}()

func hasSmallFactor(n *big.Int) bool {
	return n.Bit(0) == 0 || new(big.Int).GCD(nil, nil, n, smallPrimes).BitLen() > 1
}

// rocaRests are, for each odd prime, the rests that a power of 65537 can leave.
var rocaRests = func() map[int64][]bool {
	rests := map[int64][]bool{}
	for _, p := range oddPrimes {
		rests[p] = make([]bool, p)
		for r := int64(1); !rests[p][r]; r = r * 65537 % p {
			rests[p][r] = true
		}
	}
	return rests
}()

// hasROCA tells whether a modulus is of Infineon's chips of 2012 to 2017, whose
// primes are powers of 65537 modulo the product of small primes and can be
// found. An honest modulus looks so once in 2^27.
//
// Spec: CVE-2017-15361, fingerprint of Nemec et al., section 3.2
func hasROCA(n *big.Int) bool {
	rest := new(big.Int)
	for p, possible := range rocaRests {
		if !possible[rest.Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}
