// Package dial connects to addresses that come from somewhere else than our own
// configuration, without letting them lead into our own network: what a name
// resolves to is judged when it is dialled, so that no later answer of the name
// server counts.
package dial

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// connectTime is for one connection.
const connectTime = 5 * time.Second

// closed lists what is not on the public Internet, or leads elsewhere from there.
var closed = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "224.0.0.0/3",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fc00::/7", "fe80::/9", "ff00::/8",
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Networks reads networks such as "10.1.0.0/16, 192.0.2.7/32", with commas
// between.
func Networks(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network", s)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// Guarded connects to public addresses, and to those of the networks that are
// allowed besides.
func Guarded(allowed []netip.Prefix) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !open(at.Addr().Unmap().WithZone(""), allowed) {
			return fmt.Errorf("dial: %s is in a network that is not asked", address)
		}
		return nil
	}}
	return d.DialContext
}

// open tells whether ip may be connected to.
func open(ip netip.Addr, allowed []netip.Prefix) bool {
	return within(ip, allowed) || !within(ip, closed)
}

func within(ip netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
