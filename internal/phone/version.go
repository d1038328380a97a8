package phone

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// version is an iOS version, major and minor.
type version [2]int

func parseVersion(s string) (version, error) {
	var v version
	major, rest, _ := strings.Cut(s, ".")
	minor, _, _ := strings.Cut(rest, ".")
	var err error
	if v[0], err = strconv.Atoi(major); err != nil {
		return v, fmt.Errorf("iOS version %q: %w", s, err)
	}
	if minor == "" {
		return v, nil
	}
	if v[1], err = strconv.Atoi(minor); err != nil {
		return v, fmt.Errorf("iOS version %q: %w", s, err)
	}
	return v, nil
}

func mustVersion(s string) version {
	v, err := parseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

func (v version) atLeast(w version) bool {
	return v[0] > w[0] || v[0] == w[0] && v[1] >= w[1]
}

// build makes up a build number of the right shape: iOS 18 builds start with
// 22, iOS 26 builds with 23.
func (v version) build() string {
	n := v[0] + 4
	if v[0] >= 26 {
		n = v[0] - 3
	}
	return fmt.Sprintf("%d%c%d", n, 'A'+v[1]%26, 100+v[1])
}

// Randomness of a phone comes from Config.Rand; a reader that fails is a
// mistake of the program that made the phone.

func random(r io.Reader, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		panic(err)
	}
	return b
}

func hexOf(r io.Reader, n int) string {
	return strings.ToUpper(hex.EncodeToString(random(r, n)))
}

func digits(r io.Reader, n int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	v := new(big.Int).SetBytes(random(r, n))
	return fmt.Sprintf("%0*s", n, v.Mod(v, limit))
}

func uuidOf(r io.Reader) string {
	b := random(r, 16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
