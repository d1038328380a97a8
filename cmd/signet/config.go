package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
)

// addSettings gives c a flag for each setting and --config.
func addSettings(c *cobra.Command) {
	c.Flags().String("config", "", "configuration `FILE`; SIGNET_CONFIG (default "+cmp.Or(packagedConfig, "signet.toml in the data directory")+")")
	for _, f := range config.Fields() {
		if f.Key == "data" {
			continue // every command has it
		}
		c.Flags().String(f.Flag(), f.Default, f.Doc)
		if f.Bool {
			c.Flags().Lookup(f.Flag()).NoOptDefVal = "true"
		}
	}
}

// settings gives the configuration: flags of c, environment, file. It is
// checked when something runs on it, see checked.
func (a *app) settings(c *cobra.Command) (config.Config, error) {
	if err := config.Misspelt(os.Environ()); err != nil {
		return config.Config{}, err
	}
	return config.Load(a.configFile(c), a.getenv, givenFlags(c))
}

// givenFlags are the settings on the command line, by key.
func givenFlags(c *cobra.Command) map[string]string {
	flags := map[string]string{}
	for _, f := range config.Fields() {
		if flag := c.Flags().Lookup(f.Flag()); flag != nil && flag.Changed {
			flags[f.Key] = flag.Value.String()
		}
	}
	return flags
}

// configFile is the file that was asked for.
func (a *app) configFile(c *cobra.Command) string {
	given := ""
	if f := c.Flags().Lookup("config"); f != nil {
		given = f.Value.String()
	}
	if packagedConfig != "" && a.dataDir() == packagedData {
		given = cmp.Or(given, a.getenv("SIGNET_CONFIG"), packagedConfig)
	}
	return cmp.Or(given, a.getenv("SIGNET_CONFIG"), filepath.Join(a.dataDir(), "signet.toml"))
}

// checked gives the configuration when nothing is wrong with it.
func (a *app) checked(c *cobra.Command) (config.Config, error) {
	cfg, err := a.settings(c)
	if err != nil {
		return cfg, err
	}
	if problems := cfg.Check(); len(problems) > 0 {
		return cfg, problems[0]
	}
	return cfg, nil
}

func (a *app) configCommand() *cobra.Command {
	return group("config", "Check and explain the configuration", a.configCheck(), a.configDescribe())
}

func (a *app) configCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration and how to right it, or what holds and why",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.settings(c)
			if err != nil {
				return err
			}
			file := a.configFile(c)
			list, err := config.Effective(file, a.getenv, givenFlags(c))
			if err != nil {
				return err
			}
			if _, err := os.Stat(file); err != nil {
				fmt.Fprintf(a.stderr, "there is no file %s: defaults, environment and flags only\n", file)
			}
			if problems := cfg.Check(); len(problems) > 0 {
				a.tellProblems(problems, list)
				return fmt.Errorf("%s to right", count(len(problems), "setting"))
			}
			return a.showEffective(list)
		},
	}
	addSettings(c)
	return c
}

// tellProblems names each with where the value comes from.
func (a *app) tellProblems(problems []config.Problem, list []config.Setting) {
	for _, p := range problems {
		where := ""
		for _, s := range list {
			if s.Key == p.Key && s.Origin != "" {
				where = s.Origin + ": "
			}
		}
		fmt.Fprintf(a.stderr, "%s%s: %s\n  %s\n", where, p.Key, plain(p.Msg), p.Hint)
	}
}

// effective is a setting as config check -o json shows it.
type effective struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // empty for the default
}

// showEffective shows what holds: all of it as JSON, else what is set.
func (a *app) showEffective(list []config.Setting) error {
	all, rows := []effective{}, [][]string{}
	for _, s := range list {
		all = append(all, effective(s))
		if s.Origin != "" {
			rows = append(rows, []string{s.Key, s.Value, s.Origin})
		}
	}
	return a.show(all, func(w io.Writer) {
		if len(rows) > 0 {
			writeTable(w, []string{"setting", "value", "set by"}, rows)
		}
		fmt.Fprintln(w, "the configuration is good; all else is at its default")
	})
}

// described is a setting as -o json shows it.
type described struct {
	Key     string `json:"key"`
	Flag    string `json:"flag"`
	Env     string `json:"env"`
	Default string `json:"default"`
	Doc     string `json:"doc"`
}

func (a *app) configDescribe() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe",
		Short: "Print signet.toml with every setting explained, as it is set now",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.settings(c)
			if err != nil {
				return err
			}
			if a.output != "json" {
				return config.Describe(a.stdout, cfg)
			}
			list := []described{}
			for _, f := range config.Fields() {
				list = append(list, described{f.Key, "--" + f.Flag(), f.Env(), f.Default, f.Doc})
			}
			return a.show(list, nil)
		},
	}
	addSettings(c)
	return c
}
