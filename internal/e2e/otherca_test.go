package e2e

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/upstream/upstreamtest"
)

type otherCAKey struct{}

// otherCA has a CA that is not ours, once it runs.
type otherCA struct{ *upstreamtest.Server }

// otherCAVerb is a CA behind a SCEP server that is not ours: `otherca start`
// runs it, and the server finds it by its environment; `otherca undecided N` has
// a person there think about each request that often; `otherca issued N` wants
// it to have made that many certificates.
func otherCAVerb(ts *testscript.TestScript, neg bool, args []string) {
	o := ts.Value(otherCAKey{}).(*otherCA)
	if neg || len(args) == 0 || args[0] != "start" && o.Server == nil {
		ts.Fatalf("usage: otherca start|undecided|issued …")
	}
	switch args[0] {
	case "start":
		o.Server = upstreamtest.Start()
		ts.Defer(o.Close)
		o.Open()
		ts.Check(os.WriteFile(ts.MkAbs("other-ca.pem"), cert.PEM(o.Chain()...), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("other-root.pem"), cert.PEM(o.Root), 0o600))
		ts.Setenv("SIGNET_UPSTREAM_URL", o.Address())
		ts.Setenv("SIGNET_UPSTREAM_CA", ts.MkAbs("other-ca.pem"))
	case "undecided":
		o.Play(upstreamtest.Scene{Pending: number(ts, args[1])})
	case "issued":
		if got, want := len(o.Issued()), number(ts, args[1]); got != want {
			ts.Fatalf("the other CA made %d certificates, want %d", got, want)
		}
	default:
		ts.Fatalf("another CA cannot %s", args[0])
	}
}
