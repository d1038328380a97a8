package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Describe writes the annotated file of c: every setting with what it does,
// those at their default commented out. [Load] reads it back to the same.
func Describe(w io.Writer, c Config) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# signet.toml: what differs between installations. A flag (--tls-cert) beats an")
	fmt.Fprintln(out, "# environment variable (SIGNET_TLS_CERT), which beats this file. A variable whose")
	fmt.Fprintln(out, "# name is nearly that of a setting is refused.")
	section := ""
	for _, f := range Fields() {
		if in, _, ok := strings.Cut(f.Key, "."); ok && in != section {
			section = in
			fmt.Fprintf(out, "\n[%s]\n", section)
		}
		fmt.Fprintln(out)
		for _, line := range wrap(f.Doc, 76) {
			fmt.Fprintln(out, "# "+line)
		}
		mark, value := "", f.value(c)
		if value == f.value(Default()) {
			mark = "#"
		}
		if f.text {
			value = quote(value)
		}
		fmt.Fprintf(out, "%s%s = %s\n", mark, f.Key[strings.LastIndex(f.Key, ".")+1:], value)
	}
	return out.Flush()
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	lines := []string{}
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

// quote writes a TOML basic string.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
