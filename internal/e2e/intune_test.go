package e2e

import (
	"encoding/pem"
	"os"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/scep/intune/intunetest"
)

type intuneKey struct{}

// tenant has Intune, once it runs.
type tenant struct{ *intunetest.Server }

// intuneVerb is Microsoft's cloud: `intune start` runs it, and the server finds
// it by its environment; `intune challenge SECRET NAME MAIL` makes a challenge;
// `intune away WHAT` has it answer that it is under maintenance there, `intune
// back` ends that; `intune told N REASON…` waits until it was told of that many
// certificates, and wants it to have been told of these refusals; `intune revoke
// SERIAL` asks for a revocation, `intune revoked SERIAL RESULT` waits for that.
func intuneVerb(ts *testscript.TestScript, neg bool, args []string) {
	t := ts.Value(intuneKey{}).(*tenant)
	if len(args) == 0 || args[0] != "start" && t.Server == nil {
		ts.Fatalf("usage: intune start|challenge|away|back|told|revoke|revoked …")
	}
	switch args[0] {
	case "start":
		startIntune(ts, t)
	case "challenge":
		t.Challenge(args[1], intunetest.Expected{CommonName: args[2], Mail: args[3]})
	case "away":
		t.Play(args[1], slices.Repeat([]intunetest.Trouble{{Status: 503}}, 10_000)...)
	case "back":
		t.Heal()
	case "told":
		soon(ts, "Intune is not told of that many certificates", func() bool { return len(t.Successes()) == number(ts, args[1]) })
		var reasons []string
		for _, f := range t.Failures() {
			reasons = append(reasons, f.Reason)
		}
		if !slices.Equal(reasons, args[2:]) {
			ts.Fatalf("Intune was told of the refusals %v, want %v", reasons, args[2:])
		}
	case "revoke":
		t.Wish("wish "+args[1], args[1], "CN=any")
	case "revoked":
		soon(ts, "Intune is not told what became of it", func() bool { return t.Results()["wish "+args[1]] == args[2] })
	default:
		ts.Fatalf("Intune cannot %s", args[0])
	}
}

// soon waits until is.
func soon(ts *testscript.TestScript, otherwise string, is func() bool) {
	for until := time.Now().Add(patience); !is(); time.Sleep(pause) {
		if time.Now().After(until) {
			ts.Fatalf("%s", otherwise)
		}
	}
}

func startIntune(ts *testscript.TestScript, t *tenant) {
	t.Server = intunetest.Start()
	ts.Defer(t.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("intune-ca.pem"), ca, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("intune-secret"), []byte(intunetest.Secret+"\n"), 0o600))
	for name, value := range map[string]string{"TENANT": intunetest.Tenant, "CLIENT_ID": intunetest.ClientID, "SECRET_FILE": ts.MkAbs("intune-secret"),
		"LOGIN_URL": t.URL, "GRAPH_URL": t.URL, "TLS_CA": ts.MkAbs("intune-ca.pem")} {
		ts.Setenv("SIGNET_INTUNE_"+name, value)
	}
}
