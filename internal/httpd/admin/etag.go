package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/signet-mdm/signet/internal/httpd"
)

// etag names a state of a thing: another state has another.
//
// Spec: RFC 9110 section 8.8.3
func etag(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("admin: " + err.Error()) // our own types only
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// unchanged gives httpd.ErrPrecondition unless the thing is in the state that
// the caller saw; without If-Match anything goes.
//
// Spec: RFC 9110 section 13.1.1
func unchanged(ifMatch, now string) error {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if strings.TrimSpace(tag) == now {
			return nil
		}
	}
	return httpd.ErrPrecondition
}
