package e2e

import (
	"context"
	"encoding/pem"
	"errors"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// identity writes the certificate that the phone proves itself with:
// `phone a identity OUT`
func identity(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	e, ok := p.Enrollment()
	if !ok {
		return errors.New("the phone is not enrolled")
	}
	block := &pem.Block{Type: "CERTIFICATE", Bytes: e.Identity.Certificate.Raw}
	return os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600)
}

// reconnect makes the phone open its connections anew.
func reconnect(_ context.Context, _ *testscript.TestScript, p *handset, _ []string) error {
	p.Close()
	return nil
}
