package graph

// What the fuzz tests reach for.
var (
	ParseFilter = parseFilter
	ParseKey    = parseKey
)

func (f filter) User() string       { return f.user }
func (f filter) Thumbprint() string { return f.thumbprint }
