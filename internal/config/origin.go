package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Setting is a value with where it comes from.
type Setting struct {
	Key    string
	Value  string
	Origin string // "--listen", "SIGNET_LISTEN", "signet.toml:12"; empty for the default
}

// Effective lists every setting as [Load] gives them, with its origin.
func Effective(file string, getenv func(string) string, flags map[string]string) ([]Setting, error) {
	c, err := Load(file, getenv, flags)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	lines := linesOf(data)
	var list []Setting
	for _, f := range Fields() {
		s := Setting{Key: f.Key, Value: f.value(c)}
		if line := lines[f.Key]; line > 0 {
			s.Origin = fmt.Sprintf("%s:%d", file, line)
		}
		if getenv(f.Env()) != "" {
			s.Origin = f.Env()
		}
		if _, given := flags[f.Key]; given {
			s.Origin = "--" + f.Flag()
		}
		list = append(list, s)
	}
	return list, nil
}

// linesOf gives the line of each name that a file sets. The file was read
// before, so nothing is wrong with it.
func linesOf(data []byte) map[string]int {
	lines, section := map[string]int{}, ""
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		parts, line := []string{}, 0
		for it := e.Key(); it.Next(); {
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
			parts = append(parts, string(it.Node().Data))
		}
		switch e.Kind {
		case unstable.Table:
			section = strings.Join(parts, ".") + "."
		case unstable.KeyValue:
			lines[section+strings.Join(parts, ".")] = line
		}
	}
	return lines
}
