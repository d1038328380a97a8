package config

import (
	"fmt"
	"slices"
	"strings"
)

// ours are the environment variables that are no settings.
var ours = []string{"SIGNET_CA", "SIGNET_CONFIG", "SIGNET_DATA", "SIGNET_SERVER", "SIGNET_TOKEN_FILE"}

// Misspelt says which variable of the environment (NAME=value) is no setting and
// nearly one. Others that begin with SIGNET_ are let be: Kubernetes gives every
// container SIGNET_SERVICE_HOST and the like for a service of that name.
func Misspelt(environ []string) error {
	known := slices.Clone(ours)
	for _, f := range Fields() {
		known = append(known, f.Env())
	}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "SIGNET_") || slices.Contains(known, name) {
			continue
		}
		near := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
		if distance(name, near) < 3 {
			return fmt.Errorf("there is no setting %q; did you mean %q?", name, near)
		}
	}
	return nil
}
