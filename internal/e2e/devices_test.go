package e2e

import (
	"context"
	"database/sql"
	"encoding/pem"
	"errors"
	"os"
	"strconv"
	"time"

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

// rows waits until a question to the database has that many rows:
// `rows 3 'SELECT id FROM parcel WHERE sealed IS NOT NULL'`
func rows(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs("data/signet.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	ts.Check(err)
	defer db.Close()
	got := -1
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(pause) {
		ts.Check(db.QueryRow("SELECT COUNT(*) FROM (" + args[1] + ") AS found").Scan(&got))
		if got == want {
			return
		}
	}
	ts.Fatalf("got %d rows, want %d", got, want)
}
