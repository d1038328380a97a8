package e2e

import (
	"encoding/pem"
	"net/http"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/access/federation/federationtest"
)

type issuerKey struct{}

// provider signs tokens, once it runs.
type provider struct{ *federationtest.Server }

// issuerVerb is an identity provider of the organisation's: `issuer start` runs
// it, and the server finds it by its environment; `issuer token FILE
// program|person|role|tenant` writes a token, the last two without the role or of
// another tenant; `issuer away` has it answer no more.
func issuerVerb(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(issuerKey{}).(*provider)
	if len(args) == 0 || args[0] != "start" && p.Server == nil {
		ts.Fatalf("usage: issuer start|token|away …")
	}
	switch args[0] {
	case "start":
		startIssuer(ts, p)
	case "token":
		claims, known := map[string]federationtest.Claims{"program": p.ForProgram(), "person": p.ForPerson().Version1(),
			"role": p.ForProgram().But(federationtest.Claims{"roles": nil}), "tenant": p.ForProgram().But(federationtest.Claims{"tid": "other"})}[args[2]]
		if !known {
			ts.Fatalf("there is no token of %s", args[2])
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(p.Sign(claims)), 0o600))
	case "away":
		p.Play(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
	default:
		ts.Fatalf("the issuer cannot %s", args[0])
	}
}

func startIssuer(ts *testscript.TestScript, p *provider) {
	p.Server = federationtest.Start()
	ts.Defer(p.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("issuer-ca.pem"), ca, 0o600))
	for name, value := range map[string]string{"ISSUER": p.Issuer(), "AUDIENCE": federationtest.Audience, "TENANT": federationtest.Tenant,
		"PROGRAMS": federationtest.Program, "NETWORKS": "127.0.0.0/8", "TLS_CA": ts.MkAbs("issuer-ca.pem")} {
		ts.Setenv("SIGNET_GRAPH_"+name, value)
	}
}
