package doctor_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/doctor"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// looksAtKEKs makes the checks of the escrow keys alone.
func (i *installation) looksAtKEKs() map[string]doctor.Result {
	all := map[string]doctor.Result{}
	doctor.Run(i.t.Context(), i.KEKChecks(), func(r doctor.Result) { all[r.Group+": "+r.Name] = r })
	return all
}

// holder is one that is said to be so.
func holder(h doctor.Holding, err error) []doctor.Holder {
	return []doctor.Holder{{Name: "transit", Look: func(context.Context) (doctor.Holding, error) { return h, err }}}
}

func TestKEKs(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*installation)
		check  string
		status doctor.Status
		cause  string
	}{
		"well": {func(*installation) {}, "escrow: where", doctor.OK, " active in file"},
		"two":  {func(i *installation) { i.rotate() }, "escrow: where", doctor.OK, " retiring in file; hpke:"},
		"left over": {func(i *installation) {
			file := filepath.Join(i.Config.In("keys"), "escrow-"+i.ring.Escrow()[0].ID.Hex()+".transit.age")
			if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
				i.t.Fatal(err)
			}
		}, "escrow: where", doctor.Warn, "a copy of an escrow key that should be gone"},
		"holder":      {func(i *installation) { i.Holders = holder(doctor.Holding{What: "key signet"}, nil) }, "escrow: transit", doctor.OK, "key signet"},
		"holder away": {func(i *installation) { i.Holders = holder(doctor.Holding{}, keyring.ErrHolderAway) }, "escrow: transit", doctor.Fail, "does not give it now"},
		"loose":       {func(i *installation) { i.Holders = holder(doctor.Holding{Loose: []string{"can be exported"}}, nil) }, "escrow: transit", doctor.Warn, "can be exported"},
		"token ends":  {func(i *installation) { i.Holders = holder(doctor.Holding{Ends: time.Hour}, nil) }, "escrow: transit", doctor.Warn, "ends in 1h0m0s"},
		"token renews": {func(i *installation) {
			i.Holders = holder(doctor.Holding{What: "key", Ends: time.Hour, Renews: true}, nil)
		}, "escrow: transit", doctor.OK, "key"},
		"no recovery":        {func(i *installation) { i.Config.Keys.Recovery = "" }, "escrow: recovery", doctor.Warn, "the escrow key alone"},
		"an escrow key away": {func(i *installation) { i.db.wraps = map[escrow.KeyID]int{"hpke:00": 2} }, "escrow: keys", doctor.Fail, "it is not here"},
		"a bad setting":      {func(i *installation) { i.Config.Listen = "x" }, "configuration: settings", doctor.Fail, "no address"},
	} {
		t.Run(name, func(t *testing.T) {
			i := healthy(t)
			c.spoil(i)
			got, made := i.looksAtKEKs()[c.check]
			if !made || got.Status != c.status || !strings.Contains(got.Cause, c.cause) {
				t.Errorf("got %+v, want %s with %q", got, c.status, c.cause)
			}
		})
	}
}
