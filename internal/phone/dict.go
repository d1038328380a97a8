package phone

// dict is a property list dictionary.
type dict map[string]any

func (d dict) str(key string) string  { s, _ := d[key].(string); return s }
func (d dict) flag(key string) bool   { b, _ := d[key].(bool); return b }
func (d dict) data(key string) []byte { b, _ := d[key].([]byte); return b }
func (d dict) dict(key string) dict   { m, _ := d[key].(map[string]any); return m }
func (d dict) array(key string) []any { a, _ := d[key].([]any); return a }
func (d dict) has(key string) bool    { _, ok := d[key]; return ok }
func (d dict) integer(key string) int64 {
	n, _ := integer(d[key])
	return n
}

// integer gives the value of <integer>, which the decoder returns in one of
// two types.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n < 1<<63
	}
	return 0, false
}

// strings gives the texts of an array; other members are left out.
func (d dict) strings(key string) []string {
	var out []string
	for _, v := range d.array(key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
