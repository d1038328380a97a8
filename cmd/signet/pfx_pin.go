package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Why nothing is sealed to whom the server names.
var (
	errEscrowUnknown = fault.New(fault.Unauthenticated, "escrow_key_unconfirmed",
		"Nobody has confirmed yet whom this server has keys sealed to.", "On the server, signet keys escrow fingerprint shows it: give that once with --escrow-key.")
	errEscrowOther = fault.New(fault.Denied, "escrow_key_other",
		"The server names others than those whom keys are to be sealed to, so nothing was sealed.", "After a rotation, give with --escrow-key what signet keys escrow fingerprint shows on the server; if nobody changed anything, look into the server.")
)

// trusted gives what seals to the recipients that the server names, after they
// were confirmed: by --escrow-key, by the data directory of this machine, by an
// earlier run, or by a person.
func (a *app) trusted(c *cobra.Command, to admin.Recipients, given string) (*escrow.Sealer, error) {
	s, active, recovery, err := sealerOf(to)
	if err != nil {
		return nil, admin.ErrAnswer.With(err)
	}
	pins, err := a.openPins()
	if err != nil {
		return nil, err
	}
	known, pinned := pins.of[a.place()]
	switch {
	case given != "" && given != s.Pin():
		return nil, other(s.Pin(), given)
	case given != "":
		a.remember(pins, given)
		return s, nil
	case a.ours(c, active, recovery):
		return s, nil
	case pinned && known == s.Pin():
		return s, nil
	case pinned:
		return nil, other(s.Pin(), known)
	case !a.terminal(a.stdin):
		return nil, errEscrowUnknown.Saying("Nobody has confirmed yet whom this server has keys sealed to. It says: " + s.Pin() + ".")
	}
	fmt.Fprintf(a.stderr, "Keys are to be sealed to %s.\nIs that what signet keys escrow fingerprint shows on the server? (yes or no) ", s.Pin())
	if line, _ := bufio.NewReader(a.stdin).ReadString('\n'); strings.TrimSpace(line) != "yes" {
		return nil, errEscrowUnknown
	}
	a.remember(pins, s.Pin())
	return s, nil
}

// remember keeps what was confirmed, if it can; else it is asked for again.
func (a *app) remember(p pins, pin string) {
	if err := p.keep(a.place(), pin); err != nil {
		fmt.Fprintln(a.stderr, "signet: it was confirmed for this time only:", err)
	}
}

func other(says, want string) error {
	return errEscrowOther.Saying(fmt.Sprintf("The server has keys sealed to %s, and not to %s, so nothing was sealed.", says, want))
}

// sealerOf reads recipients.
func sealerOf(to admin.Recipients) (*escrow.Sealer, escrow.KeyID, []escrow.KeyID, error) {
	active, err := escrow.ParseRecipient(to.Escrow)
	if err != nil {
		return nil, "", nil, err
	}
	var recovery []escrow.Recovery
	var ids []escrow.KeyID
	for _, text := range to.Recovery {
		r, err := escrow.ParseRecovery(text)
		if err != nil {
			return nil, "", nil, err
		}
		recovery, ids = append(recovery, r), append(ids, r.ID())
	}
	return escrow.NewSealer(active, recovery...), active.ID(), ids, nil
}

// ours tells whether the data directory of this machine, whose server it is, has
// these recipients. The escrow key may be one that is retiring: a server takes
// notice of a new one within seconds.
func (a *app) ours(c *cobra.Command, active escrow.KeyID, recovery []escrow.KeyID) bool {
	if a.serverAddress() != "" {
		return false
	}
	cfg, err := a.settings(c)
	if err != nil {
		return false
	}
	cfg.Data = a.dataDir()
	keys, err := keyring.Sealing(cfg.In("keys"))
	if err != nil || !slices.Contains(keys, active) {
		return false
	}
	var wanted []escrow.KeyID
	if r, err := escrow.ParseRecovery(cfg.Keys.Recovery); err == nil {
		wanted = append(wanted, r.ID())
	}
	return slices.Equal(wanted, recovery)
}

// pins are the recipients that were confirmed of servers elsewhere: a line each,
// its address and the fingerprint.
type pins struct {
	file string
	of   map[string]string
}

// openPins reads them from the user's configuration directory; without one there
// are none, and none are kept.
func (a *app) openPins() (pins, error) {
	p := pins{of: map[string]string{}}
	dir := a.getenv("XDG_CONFIG_HOME")
	if home := a.getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if !filepath.IsAbs(dir) {
		return p, nil
	}
	p.file = filepath.Join(dir, "signet", "escrow-keys")
	text, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("reading confirmed escrow keys: %w", err)
	}
	for line := range bytes.Lines(text) {
		place, pin, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if server, err := strconv.Unquote(place); ok && err == nil {
			p.of[server] = pin
		}
	}
	return p, nil
}

// keep writes down what was confirmed.
func (p pins) keep(server, pin string) error {
	if p.file == "" || p.of[server] == pin {
		return nil // no place to keep it: it is given each time
	}
	p.of[server] = pin
	var text bytes.Buffer
	for server, pin := range p.of {
		fmt.Fprintf(&text, "%q %s\n", server, pin)
	}
	if err := os.MkdirAll(filepath.Dir(p.file), 0o700); err != nil {
		return fmt.Errorf("keeping a confirmed escrow key: %w", err)
	}
	new := p.file + ".new"
	if err := os.WriteFile(new, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("keeping a confirmed escrow key: %w", err)
	}
	return os.Rename(new, p.file)
}
