package main

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/keyring"
)

// listedKey is a key as people see it.
type listedKey struct {
	Name  string     `json:"name"`
	Kind  string     `json:"kind"`            // such as ECDSA P-256
	Where string     `json:"where"`           // file, token or elsewhere
	Until *time.Time `json:"until,omitempty"` // the end of its certificate, if it has one
}

func (a *app) keysList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the keys of the server, and where each lives",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, ring, err := a.opened(c)
			if err != nil {
				return err
			}
			list, err := keysOf(ring, cfg)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"name", "kind", "where", "until"}, func(k listedKey) []string {
				until := "-"
				if k.Until != nil {
					until = day(*k.Until)
				}
				return []string{k.Name, k.Kind, k.Where, until}
			})
		},
	}
	addSettings(c)
	return c
}

// keysOf lists the named keys, and the root where that is a certificate alone.
func keysOf(ring *keyring.Ring, cfg config.Config) ([]listedKey, error) {
	list := []listedKey{}
	for _, name := range ring.Names() {
		key, err := ring.Signer(name)
		if err != nil {
			return nil, err
		}
		k := listedKey{Name: name, Kind: kindOf(key.Public()), Where: "file"}
		if slices.Contains(ring.TokenKeys(), name) {
			k.Where = "token"
		}
		if chain, err := ring.Certificates(name); err != nil {
			return nil, err
		} else if len(chain) > 0 {
			k.Until = &chain[0].NotAfter
		}
		list = append(list, k)
	}
	root, err := ring.Certificates(rootKey)
	switch {
	case cfg.CA.OfflineRoot && err == nil:
		list = append(list, listedKey{rootKey, kindOf(root[0].PublicKey), "elsewhere", &root[0].NotAfter})
	case err != nil && !errors.Is(err, keyring.ErrKeyUnknown):
		return nil, err
	}
	slices.SortFunc(list, func(a, b listedKey) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// kindOf says what a key is.
func kindOf(pub crypto.PublicKey) string {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + pub.Curve.Params().Name
	}
	return fmt.Sprintf("%T", pub)
}
