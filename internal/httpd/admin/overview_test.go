package admin_test

import (
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
)

// What wants somebody stands in the order of harm, and what is well is left out.
func TestOverview(t *testing.T) {
	w := newWorld(t)
	got, err := w.as(t, access.Helpdesk).Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var about []string
	for _, a := range got.Attention {
		if a.Sentence == "" || a.Try == "" {
			t.Errorf("got %+v", a)
		}
		about = append(about, a.About)
	}
	want := []string{"certificates", "certificates", "certificates", "renewals", "deliveries", "deliveries", "mails", "requests"}
	if !slices.Equal(about, want) {
		t.Errorf("got %q, want %q", about, want)
	}
	if got.Users != 2 || got.Keys != 3 || got.Devices["enrolled"] != 1 || got.Requests != 4 {
		t.Errorf("got %+v", got)
	}
}
