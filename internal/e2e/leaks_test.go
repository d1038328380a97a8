package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// needle is a secret, in one form, that must not be found.
type needle struct {
	what string
	data []byte
}

// leaks fails when a file below one of the folders, of those not excepted by
// -not=NAME, holds a secret of the files given after "--": a word of them, or,
// when the file is a private key in PEM, a piece of that key in any usual form.
// `leaks data -not=unlock.key -- canaries alice.pem`
//
// The data directory is searched with the database that belongs to it.
func leaks(ts *testscript.TestScript, neg bool, args []string) {
	split := slices.Index(args, "--")
	if split < 1 {
		ts.Fatalf("usage: leaks [-not=NAME] FOLDER… -- FILE…")
	}
	var needles []needle
	for _, f := range args[split+1:] {
		found, err := needlesOf(f, ts.ReadFile(f))
		ts.Check(err)
		needles = append(needles, found...)
	}
	var dirs, except []string
	for _, a := range args[:split] {
		if name, ok := strings.CutPrefix(a, "-not="); ok {
			except = append(except, name)
		} else {
			dirs = append(dirs, ts.MkAbs(a))
		}
	}
	ts.Check(dump(ts, dirs[0]))
	leak, files, err := search(dirs, except, needles)
	switch {
	case err != nil:
		ts.Fatalf("leaks: %v", err)
	case files == 0 || len(needles) == 0:
		ts.Fatalf("leaks: %d files searched for %d secrets", files, len(needles))
	case leak != "" && !neg:
		ts.Fatalf("%s", leak)
	case leak == "" && neg:
		ts.Fatalf("none of %d secrets is in %d files", len(needles), files)
	}
	ts.Logf("%d files, %d secrets. %s", files, len(needles), leak)
}

// search gives the first leak, and how many files it looked at.
func search(dirs, except []string, needles []needle) (leak string, files int, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || slices.Contains(except, d.Name()) {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, n := range needles {
				if leak == "" && bytes.Contains(data, n.data) {
					leak = path + " holds " + n.what
				}
			}
			return nil
		})
		if err != nil {
			return "", files, err
		}
	}
	return leak, files, nil
}

// shortest is what is long enough not to be found by chance.
const shortest = 8

func needlesOf(name, text string) ([]needle, error) {
	if strings.Contains(text, "PRIVATE KEY") {
		return keyNeedles(name, text)
	}
	var list []needle
	for i, word := range strings.Fields(text) {
		if len(word) < shortest {
			return nil, fmt.Errorf("word %d of %s is too short to look for", i+1, name)
		}
		list = append(list, needle{fmt.Sprintf("word %d of %s", i+1, name), []byte(word)})
	}
	return list, nil
}

// keyNeedles gives pieces of the secret numbers of a key: they stand in every
// encoding of it, and short ones are found although a database splits what is
// long over pages and PEM over lines.
func keyNeedles(name, text string) ([]needle, error) {
	_, text, ok := strings.Cut(text, "-----BEGIN PRIVATE KEY") // OpenSSL puts bag attributes before it
	block, _ := pem.Decode([]byte("-----BEGIN PRIVATE KEY" + text))
	if !ok || block == nil {
		return nil, fmt.Errorf("%s is no PKCS #8 key", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	var list []needle
	switch k := key.(type) {
	case *rsa.PrivateKey:
		for part, number := range map[string][]byte{"d": k.D.Bytes(), "p": k.Primes[0].Bytes(), "q": k.Primes[1].Bytes()} {
			list = append(list, pieces(part+" of "+name, number)...)
		}
	case *ecdsa.PrivateKey:
		number, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		list = pieces("the key of "+name, number)
	default:
		return nil, fmt.Errorf("%s: no rule for %T", name, key)
	}
	return list, nil
}

// pieces cuts a number into pieces of 18 bytes, and gives each as it is, in
// hexadecimal and in base64 at each of the three places where it can begin.
func pieces(what string, number []byte) (list []needle) {
	const size = 18
	for at := 0; at+size+2 <= len(number); at += size {
		p := number[at : at+size]
		list = append(list, needle{what, p}, needle{what + " in hexadecimal", []byte(hex.EncodeToString(p))})
		for shift := range 3 {
			p := number[at+shift : at+shift+size]
			list = append(list, needle{what + " in base64", []byte(base64.StdEncoding.EncodeToString(p))})
		}
	}
	return list
}
