package config_test

import (
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/config"
)

func TestMisspelt(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"SIGNET_LISTNE=:443", `"SIGNET_LISTEN"`},
		{"SIGNET_HTTP_LISTENS=:80", `"SIGNET_HTTP_LISTEN"`},
		{"SIGNET_TLS_CRET=x", `"SIGNET_TLS_CERT"`},
		{"SIGNET_DAT=x", `"SIGNET_DATA"`},
		{"SIGNET_LISTEN=:443", ""},
		{"SIGNET_TOKEN_FILE=x", ""},
		{"SIGNET_SERVICE_HOST=10.0.0.1", ""}, // Kubernetes, for a service of that name
		{"SIGNET_SERVICE_PORT=443", ""},
		{"SIGNET_PORT=tcp://10.0.0.1:443", ""},
		{"SIGNET_PORT_443_TCP_ADDR=10.0.0.1", ""},
		{"LISTEN=x", ""},
	} {
		err := config.Misspelt([]string{"PATH=/bin", c.set})
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.set, err, c.want)
		}
	}
}
