package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
)

var errGone = fault.New(fault.NotFound, "thing_gone", "The thing is gone.", "Look elsewhere.")

func TestErrorKeepsItsIdentityWhenWrapped(t *testing.T) {
	cause := errors.New("row 7")
	err := fmt.Errorf("reading shelf: %w", errGone.With(cause))

	if !errors.Is(err, errGone) {
		t.Errorf("errors.Is(%v, errGone) = false, want true", err)
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost in %v", err)
	}
	if got, want := fault.Of(err).Hint, "Look elsewhere."; got != want {
		t.Errorf("Hint: got %q, want %q", got, want)
	}
	if errors.Is(errGone, cause) {
		t.Error("With changed the declaration")
	}
}

func TestCode(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"none":     {nil, ""},
		"declared": {fmt.Errorf("x: %w", errGone), "thing_gone"},
		"plain":    {errors.New("x"), "internal"},
	} {
		if got := fault.Code(c.err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
