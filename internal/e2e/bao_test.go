package e2e

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/keyring/transit/transittest"
)

type baoKey struct{}

// vault has OpenBao, once it runs.
type vault struct{ *transittest.Server }

// baoVerb is a server with OpenBao's Transit: `bao start` runs it, and signet
// finds it by its environment; `bao seal` and `bao unseal`; `bao revoke` ends all
// tokens, `bao token` writes another; `bao rotate LEAST` adds a version to the
// key and retires those below LEAST; `bao replace` puts another key in its place.
func baoVerb(ts *testscript.TestScript, neg bool, args []string) {
	v := ts.Value(baoKey{}).(*vault)
	if len(args) == 0 || args[0] != "start" && v.Server == nil {
		ts.Fatalf("usage: bao start|seal|unseal|revoke|token|rotate|replace")
	}
	switch args[0] {
	case "start":
		v.Server = transittest.Start()
		ts.Defer(v.Close)
		ts.Check(os.WriteFile(ts.MkAbs("bao-ca.pem"), v.CA(), 0o600))
		v.write(ts)
		for name, value := range map[string]string{"ADDRESS": v.URL, "KEY": transittest.Key, "TOKEN_FILE": ts.MkAbs("bao-token"), "CA": ts.MkAbs("bao-ca.pem")} {
			ts.Setenv("SIGNET_TRANSIT_"+name, value)
		}
	case "seal", "unseal":
		v.Seal(args[0] == "seal")
	case "revoke":
		v.Revoke()
	case "token":
		v.write(ts)
	case "rotate":
		v.Rotate(number(ts, args[1]))
	case "replace":
		v.Replace()
	default:
		ts.Fatalf("OpenBao cannot %s", args[0])
	}
}

// write writes a token that lasts an hour.
func (v *vault) write(ts *testscript.TestScript) {
	ts.Check(os.WriteFile(ts.MkAbs("bao-token"), []byte(v.NewToken(3600)+"\n"), 0o600))
}
