package docs

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/metrics"
)

// counted has one of everything, so that every metric shows.
type counted struct{}

func (counted) Figures(context.Context) (metrics.Figures, error) {
	one := map[string]int{"x": 1}
	return metrics.Figures{Devices: one, Overdue: one, Parcels: one, Commands: one, Mails: one, CRLs: map[string]time.Time{"x": time.Now()}}, nil
}

func TestMetrics(t *testing.T) {
	m := metrics.New("x", "x", "x")
	m.Watch(metrics.Watched{
		Source: counted{}, Usable: func() error { return nil }, Now: time.Now,
		Expiries: func() map[string]time.Time { return map[string]time.Time{"x": time.Now()} },
		Space:    func() (uint64, uint64, error) { return 1, 1, nil },
	})
	m.Request("GET", "/", 200, "x", 0)
	m.Work("x", 0)
	m.Issued("x")
	m.Outbound("x", "x")
	m.Alarm("x")
	m.TurnedAway("x", func() int64 { return 1 })
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("# Metrics\n\nMade from the source. `/metrics` on the operations listener has these, and the usual `go_…` and `process_…` of the Prometheus client.\n\n")
	out.WriteString("| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "signet_") {
			continue
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		slices.Sort(labels)
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, " "), cell(f.GetHelp()))
	}
	page(t, "metrics.md", out.Bytes())
}
