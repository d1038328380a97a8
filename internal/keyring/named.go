package keyring

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/seal"
)

// named is a key with its certificate and the chain above.
type named struct {
	key   crypto.Signer
	certs []*x509.Certificate
}

const (
	keySuffix  = ".key.age"
	certSuffix = ".pem"
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// Add stores a new key under a name, with its certificate and the chain above,
// issuer first; there may be none. ErrKeyExists when the name is taken.
func (r *Ring) Add(name string, key crypto.Signer, certs []*x509.Certificate) error {
	if !nameForm.MatchString(name) {
		return ErrName
	}
	if len(certs) > 0 && !cert.SameKey(key.Public(), certs[0].PublicKey) {
		return ErrCertificate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.named[name]; taken {
		return ErrKeyExists
	}
	if exists(filepath.Join(r.dir, name+keySuffix)) { // another process made it
		return ErrKeyExists
	}
	// The key comes last: certificates that a crash left without one are
	// replaced the next time.
	if err := disk.Replace(filepath.Join(r.dir, name+certSuffix), cert.PEM(certs...), 0o600); err != nil {
		return fmt.Errorf("writing certificates of %s: %w", name, err)
	}
	if err := r.write(name, key); errors.Is(err, fs.ErrExist) {
		return ErrKeyExists.With(err)
	} else if err != nil {
		return err
	}
	r.named[name] = named{key, slices.Clone(certs)}
	return nil
}

// write puts a key into a file of its own, or says that it is on the token.
func (r *Ring) write(name string, key crypto.Signer) error {
	if k, is := key.(tokenKey); is {
		text, err := k.file(name)
		if err != nil {
			return err
		}
		return disk.Create(filepath.Join(r.dir, name+referenceSuffix), text, 0o600)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding key %s: %w", name, err)
	}
	defer clear(der)
	return r.encrypt(name+keySuffix, seal.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// Certify stores the certificate of a key, and the chain above it, in place of
// the one it has. Without a key of that name there are certificates alone, as of
// an authority that is elsewhere.
func (r *Ring) Certify(name string, certs []*x509.Certificate) error {
	k, err := r.get(name)
	alone := errors.Is(err, ErrKeyUnknown)
	switch {
	case !nameForm.MatchString(name):
		return ErrName
	case err != nil && !alone:
		return err
	case len(certs) == 0 || !alone && !cert.SameKey(k.key.Public(), certs[0].PublicKey):
		return ErrCertificate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := disk.Replace(filepath.Join(r.dir, name+certSuffix), cert.PEM(certs...), 0o600); err != nil {
		return fmt.Errorf("writing certificates of %s: %w", name, err)
	}
	if !alone {
		r.named[name] = named{k.key, slices.Clone(certs)}
	}
	return nil
}

// Names lists the named keys in alphabetical order.
func (r *Ring) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.named))
}

// Signer gives a key to sign with.
func (r *Ring) Signer(name string) (crypto.Signer, error) {
	k, err := r.get(name)
	return k.key, err
}

// Decrypter gives an RSA key to decrypt with.
func (r *Ring) Decrypter(name string) (crypto.Decrypter, error) {
	k, err := r.get(name)
	if err != nil {
		return nil, err
	}
	d, ok := k.key.(crypto.Decrypter)
	if !ok {
		return nil, ErrKeyUse
	}
	return d, nil
}

// Certificates gives the certificate of a key and the chain above it, also
// where the key itself is elsewhere.
func (r *Ring) Certificates(name string) ([]*x509.Certificate, error) {
	k, err := r.get(name)
	if errors.Is(err, ErrKeyUnknown) && nameForm.MatchString(name) && exists(filepath.Join(r.dir, name+certSuffix)) {
		return r.readChain(name)
	}
	return slices.Clone(k.certs), err
}

func (r *Ring) get(name string) (named, error) {
	r.mu.RLock()
	k, ok := r.named[name]
	r.mu.RUnlock()
	switch {
	case !ok:
		return r.late(name)
	case len(k.certs) > 0:
		return k, nil
	}
	return r.certified(name, k), nil
}

// certified gives a key that waited for its certificate, with the one that
// another process may have stored by now.
func (r *Ring) certified(name string, k named) named {
	certs, err := r.readChain(name)
	if err != nil || len(certs) == 0 || !cert.SameKey(k.key.Public(), certs[0].PublicKey) {
		return k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named[name] = named{k.key, certs}
	return r.named[name]
}

// late gives a key that came into the directory after the ring was opened, from
// another server that has it or a copy of it.
func (r *Ring) late(name string) (named, error) {
	if !nameForm.MatchString(name) || !exists(filepath.Join(r.dir, name+keySuffix)) && !exists(filepath.Join(r.dir, name+referenceSuffix)) {
		return named{}, ErrKeyUnknown
	}
	k, err := r.readOne(name)
	if err != nil {
		return named{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named[name] = k
	return k, nil
}

func (r *Ring) readNamed() (map[string]named, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	out := map[string]named{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), keySuffix)
		if !ok {
			name, ok = strings.CutSuffix(e.Name(), referenceSuffix)
		}
		if !ok || !nameForm.MatchString(name) {
			continue
		}
		if out[name], err = r.readOne(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Ring) readOne(name string) (named, error) {
	readKey := r.readKey
	if exists(filepath.Join(r.dir, name+referenceSuffix)) {
		readKey = r.readReference
	}
	signer, err := readKey(name)
	if err != nil {
		return named{}, err
	}
	certs, err := r.readChain(name)
	if err != nil {
		return named{}, err
	}
	if len(certs) > 0 && !cert.SameKey(signer.Public(), certs[0].PublicKey) {
		return named{}, ErrCertificate.With(fmt.Errorf("key %s", name))
	}
	return named{signer, certs}, nil
}

// readKey gives a key that is a file.
func (r *Ring) readKey(name string) (crypto.Signer, error) {
	text, err := r.decrypt(name + keySuffix)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	block, _ := pem.Decode(text.Reveal())
	if block == nil {
		return nil, damaged(filepath.Join(r.dir, name+keySuffix), errors.New("no PEM"))
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, damaged(filepath.Join(r.dir, name+keySuffix), errors.New("no signing key"))
	}
	return signer, nil
}

func (r *Ring) readChain(name string) ([]*x509.Certificate, error) {
	path := filepath.Join(r.dir, name+certSuffix)
	rest, err := read(path)
	if err != nil {
		return nil, damaged(path, err)
	}
	var certs []*x509.Certificate
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, damaged(path, errors.New("no PEM"))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, damaged(path, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}
