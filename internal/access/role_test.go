package access_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
)

// The table of who may do what, for people to review: testdata/matrix.txt is
// the whole of it, and a change shows as a difference.
func TestMatrix(t *testing.T) {
	roles := append(access.TokenRoles(), access.Socket, access.Person, access.Enrolling, access.FrontEnd, access.OtherMDM, "")
	permissions := access.Permissions()
	slices.Sort(permissions)
	var out strings.Builder
	fmt.Fprintf(&out, "%-16s", "")
	for _, r := range roles {
		fmt.Fprintf(&out, " %-9s", cmp.Or(r, "stranger"))
	}
	for _, p := range permissions {
		fmt.Fprintf(&out, "\n%-16s", p)
		for _, r := range roles {
			mark := "-"
			if (access.Caller{Role: r}).May(p) {
				mark = "yes"
			}
			fmt.Fprintf(&out, " %-9s", mark)
		}
	}
	golden(t, filepath.Join("testdata", "matrix.txt"), trimLines(out.String()))
}

func trimLines(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; now it is:\n%s", file, got)
	}
}

func TestAuthorize(t *testing.T) {
	for name, c := range map[string]struct {
		caller access.Caller
		p      access.Permission
		want   error
	}{
		"stranger, public":     {access.Caller{}, access.Anyone, nil},
		"stranger, guarded":    {access.Caller{}, access.UserRead, access.ErrUnauthenticated},
		"helpdesk reads":       {access.Caller{Role: access.Helpdesk}, access.UserRead, nil},
		"helpdesk may not":     {access.Caller{Role: access.Helpdesk}, access.KeyImport, access.ErrDenied},
		"person may not":       {access.Caller{Role: access.Person}, access.UserRead, access.ErrDenied},
		"a person decides":     {access.Caller{Role: access.Approver, User: "u-1"}, access.RequestDecide, nil},
		"nobody decides":       {access.Caller{Role: access.Approver}, access.RequestDecide, access.ErrPerson},
		"no approver decides":  {access.Caller{Role: access.Admin, User: "u-1"}, access.RequestDecide, access.ErrPerson},
		"the socket decides":   {access.Local(), access.RequestDecide, access.ErrPerson},
		"a stranger decides":   {access.Stranger("192.0.2.1"), access.RequestDecide, access.ErrUnauthenticated},
		"unknown role":         {access.Caller{Role: "root"}, access.UserRead, access.ErrDenied},
		"permission not known": {access.Caller{Role: access.Admin}, "everything", access.ErrDenied},
	} {
		if err := c.caller.Authorize(c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
