package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/store"
)

// Version and commit of a release, and when that commit was made; set when it is
// built, by -ldflags -X. A build of one's own has what the go command writes
// into it.
var version, commit, committed string

// sourceDate is when this release's source was committed, with a day for clocks that
// differ; zero in a build of one's own.
func sourceDate() time.Time {
	at, err := time.Parse(time.RFC3339, committed)
	if err != nil {
		return time.Time{}
	}
	return at.AddDate(0, 0, -1)
}

// build is what the binary knows of itself.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"` // not exactly that commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Schema   int64  `json:"schema"` // of the database, which this build brings it to
}

func newBuild() (b build) {
	b = build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schema: store.NewestSchema()}
	defer func() {
		b.Version, b.Commit, b.Time = cmp.Or(version, b.Version), cmp.Or(commit, b.Commit), cmp.Or(committed, b.Time)
		if of, changed := strings.CutSuffix(b.Commit, "-changed"); changed {
			b.Commit, b.Modified = of, true
		}
	}()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			b := newBuild()
			commit := b.Commit
			if b.Modified {
				commit += " and changes"
			}
			return a.showRecord(b, "signet", b.Version, "commit", commit, "of", b.Time, "go", b.Go, "platform", b.Platform, "schema", strconv.FormatInt(b.Schema, 10))
		},
	}
}
