package appconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Revision names a state of all policies, which are in the order of their
// names: another state has another.
func Revision(policies []Policy) string {
	h := sha256.New()
	for _, p := range policies {
		text, err := json.Marshal([]any{p.Name, p.Priority, p.Assign, p.In, p.Out, p.Settings})
		if err != nil {
			panic(fmt.Sprintf("appconfig: policy %s: %v", p.Name, err)) // texts, numbers and lists of them
		}
		h.Write(append(text, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
