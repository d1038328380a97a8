package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Default gives every setting its default.
func Default() Config {
	var c Config
	for _, f := range Fields() {
		if f.Default == "" {
			continue
		}
		if err := f.set(&c, f.Default); err != nil {
			panic("config: default of " + f.Key + ": " + err.Error())
		}
	}
	return c
}

// Load gives the settings: of flags (by key) first, then of the environment,
// then of the file, then the defaults. A file that does not exist is an empty
// one; an empty environment variable is none. Nothing is judged beyond its
// syntax: see [Config.Check].
func Load(file string, getenv func(string) string, flags map[string]string) (Config, error) {
	c := Default()
	if err := readFile(file, &c); err != nil {
		return c, err
	}
	for _, f := range Fields() {
		source, text := f.Env(), getenv(f.Env())
		if flag, ok := flags[f.Key]; ok {
			source, text = "--"+f.Flag(), flag
		} else if text == "" {
			continue
		}
		if err := f.set(&c, text); err != nil {
			return c, fmt.Errorf("%s: %w", source, err)
		}
	}
	return c, nil
}

func readFile(file string, c *Config) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("%s is larger than %d bytes", file, maxFile)
	}
	err = Parse(data, c)
	if at, ok := errors.AsType[*lineError](err); ok {
		return fmt.Errorf("%s:%d: %w", file, at.row, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// lineError is about one line of the file.
type lineError struct {
	row  int // from 1
	text string
}

func (e *lineError) Error() string { return e.text }

// Parse reads the text of a file into c. An unknown name and a wrong value are
// shown in their line.
func Parse(data []byte, c *Config) error {
	err := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields().Decode(c)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		first := unknown.Errors[0]
		row, _ := first.Position()
		return &lineError{row, unknownName(strings.Join(first.Key(), ".")) + "\n" + first.String()}
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := wrong.Position()
		return &lineError{row, wrongLine(data, wrong)}
	}
	return err
}

// wrongLine says what a line that cannot be read should hold; the decoder's
// own words about types are about Go.
func wrongLine(data []byte, e *toml.DecodeError) string {
	row, _ := e.Position()
	lines := strings.Split(string(data), "\n")
	if row > len(lines) || !strings.HasPrefix(e.Error(), "toml: cannot decode") {
		return "a line cannot be read\n" + e.String()
	}
	key, takes := strings.Join(e.Key(), "."), "a section of its own, in brackets"
	if i := slices.IndexFunc(Fields(), func(f Field) bool { return f.Key == key }); i >= 0 {
		takes = Fields()[i].takes()
	}
	return fmt.Sprintf("%s takes %s\n%d| %s", key, takes, row, lines[row-1])
}

func unknownName(key string) string {
	s := fmt.Sprintf("there is no setting %q", key)
	if near := nearest(key); near != "" {
		s += fmt.Sprintf("; did you mean %q?", near)
	}
	return s
}

// nearest gives the setting whose name is at most two edits away.
func nearest(key string) string {
	best, least := "", 3
	for _, f := range Fields() {
		if d := distance(key, f.Key); d < least {
			best, least = f.Key, d
		}
	}
	return best
}

// distance is the number of single-character edits between both.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := slices.Min([]int{row[j+1] + 1, row[j] + 1, diagonal + cost})
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
