package dial_test

import (
	"net"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/dial"
)

// What is refused is refused before a packet leaves.
func TestGuarded(t *testing.T) {
	connect := dial.Guarded(nil)
	for _, ip := range []string{"127.0.0.1", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.31.0.1", "192.168.1.1", "192.0.0.8", "198.18.0.1",
		"224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "fc00::1",
		"fd12::1", "fe80::1", "fec0::1", "ff02::1"} {
		c, err := connect(t.Context(), "tcp", net.JoinHostPort(ip, "9"))
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "not asked") {
			t.Errorf("%s: got %v, want it not to be asked", ip, err)
		}
	}
	if _, err := connect(t.Context(), "tcp", "localhost:9"); err == nil || !strings.Contains(err.Error(), "not asked") {
		t.Errorf("a name of ours: got %v", err)
	}
}

func TestAllowed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for text, reached := range map[string]bool{"127.0.0.0/8": true, " 10.0.0.0/8, 127.0.0.1/32 ": true, "10.0.0.0/8": false, "": false} {
		networks, err := dial.Networks(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := dial.Guarded(networks)(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		if (err == nil) != reached {
			t.Errorf("allowed %q: got %v, want reached %t", text, err, reached)
		}
	}
	if _, err := dial.Networks("10.0.0.1"); err == nil {
		t.Error("an address is taken for a network")
	}
}
