package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
)

// maxSecretFile bounds files that hold a token or a password.
const maxSecretFile = 64 << 10

// dataDir is the data directory that was asked for.
func (a *app) dataDir() string {
	return cmp.Or(a.data, a.getenv("SIGNET_DATA"), packagedData, config.Default().Data)
}

// serverAddress is the server that was asked for; "" is the one here.
func (a *app) serverAddress() string { return cmp.Or(a.server, a.getenv("SIGNET_SERVER")) }

// client gives the way to the server: --server, or the socket.
func (a *app) client() (*admin.Client, error) {
	server := a.serverAddress()
	if server == "" {
		return admin.Dial(config.Config{Data: a.dataDir()}.Socket()), nil
	}
	if !strings.HasPrefix(server, "https://") {
		return nil, usagef("--server takes an address that begins with https://")
	}
	file := cmp.Or(a.tokenFile, a.getenv("SIGNET_TOKEN_FILE"))
	if file == "" {
		return nil, usagef("--server needs --token-file")
	}
	token, err := a.secretFile(file)
	if err != nil {
		return nil, err
	}
	roots, err := roots(cmp.Or(a.ca, a.getenv("SIGNET_CA")))
	if err != nil {
		return nil, err
	}
	return admin.Remote(server, token, roots), nil
}

// read gives at most that many bytes of a file; "-" is standard input.
func (a *app) read(name string, most int64) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return b, nil
}

// secretFile reads a secret without the line end that editors leave behind it.
func (a *app) secretFile(name string) (seal.Secret, error) {
	b, err := a.read(name, maxSecretFile)
	if err != nil {
		return seal.Secret{}, err
	}
	return seal.SecretString(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")), nil
}

// roots reads CA certificates; none without a file, which means the system's.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(file + " holds no PEM certificate")
	}
	return pool, nil
}

// onOne is a command that does one thing to what its argument names.
func (a *app) onOne(use, short, done string, do func(*admin.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  takes(strings.Fields(use)[1]),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := do(client, c.Context(), args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{done: args[0]}, func(w io.Writer) { fmt.Fprintln(w, done) })
		},
	}
}
