package profile

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// namespace is ours. A change would make every device hold everything twice.
var namespace = uuid.MustParse("6f1a2d0e-5c8b-4b0e-9a51-3e7d20c4f8b6")

// UUID gives the identifier for a stable name of one or more parts, in upper
// case: the same name always has the same UUID, and two names never share one.
//
// Spec: RFC 9562 section 5.5
func UUID(name ...string) string {
	var b strings.Builder
	for _, part := range name {
		b.WriteString(strconv.Itoa(len(part)) + ":" + part)
	}
	return strings.ToUpper(uuid.NewSHA1(namespace, []byte(b.String())).String())
}

func isUUID(s string) bool {
	_, err := uuid.Parse(s)
	return err == nil && len(s) == 36
}
