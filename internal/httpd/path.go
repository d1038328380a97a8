package httpd

import (
	"net/http"
	"strings"
)

// maxPath bounds an address; the longest honest one is a SCEP GET, whose
// message stands in the query.
const maxPath = 1024

// oddPath tells whether a path could mean something else to another reader:
// such a request is refused, never cleaned and redirected. In an encoded one
// slashes mean nothing.
func oddPath(r *http.Request, encoded bool) bool {
	p, raw := r.URL.Path, r.URL.EscapedPath()
	if len(raw) > maxPath || !strings.HasPrefix(p, "/") || strings.ContainsFunc(p, oddRune) {
		return true
	}
	if !encoded && (strings.Contains(p, "//") || strings.Contains(strings.ToLower(raw), "%2f")) {
		return true
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

func oddRune(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' || c == '\uFFFD' }
