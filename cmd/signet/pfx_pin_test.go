package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// The server is on another machine: whom it names is believed only after it was
// confirmed, and what it gets is neither file nor password nor key.
func TestSealHereForElsewhere(t *testing.T) {
	c := newCLI(t)
	c.ok("user", "add", testdata.Owner)
	token := c.file("token", []byte(c.ok("token", "create", "--name", "importer", "--role", "admin")))
	ca := c.file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.tls.Certificate().Raw}))
	one, two := testdata.History()[6], testdata.History()[5]
	password := c.file("pw", []byte(one.Password+"\n"))
	first, second := c.file(one.Name, one.Data), c.file(two.Name, two.Data)
	run := func(file string, more ...string) (int, string) {
		t.Helper()
		status, out, errs := c.run(append([]string{"--server", c.tls.URL, "--token-file", token, "--ca", ca,
			"pfx", "import", "--password-file", password, file}, more...)...)
		return status, out + errs
	}
	pin := c.sealer.Pin()
	for _, more := range [][]string{nil, {"--escrow-key", "SHA256:abc"}} {
		if status, said := run(first, more...); status != exitFailed || !strings.Contains(said, "(escrow_key_") || !strings.Contains(said, pin) {
			t.Errorf("%v: status %d\n%s", more, status, said)
		}
	}
	if status, said := run(first, "--dry-run"); status != exitDone {
		t.Errorf("a dry run seals nothing: status %d\n%s", status, said)
	}
	if status, said := run(first, "--escrow-key", pin); status != exitDone || !strings.Contains(said, "1 identity imported") {
		t.Fatalf("confirmed: status %d\n%s", status, said)
	}
	if status, said := run(first); status != exitDone || !strings.Contains(said, "1 unchanged") {
		t.Errorf("confirmed before: status %d\n%s", status, said)
	}
	c.leftNothing(t, one)

	// Another takes the server over and names a key of his own.
	stranger := filepath.Join(t.TempDir(), "keys")
	cliSealer(t, stranger)
	to, err := keyring.Recipient(stranger)
	if err != nil {
		t.Fatal(err)
	}
	c.sealer.Succeed(to)
	before := c.heard.all.Len()
	if status, said := run(second, "--user", testdata.Owner); status != exitFailed || !strings.Contains(said, "(escrow_key_other)") {
		t.Errorf("swapped: status %d\n%s", status, said)
	}
	if more := c.heard.all.String()[before:]; strings.Contains(more, "/imports/offers") || strings.Contains(more, "/imports/deposits") {
		t.Error("swapped: files were offered all the same")
	}
	if status, _, errs := c.run("pfx", "import", "--password-file", password, second); status != exitFailed || !strings.Contains(errs, "escrow_key_unconfirmed") {
		t.Errorf("swapped, over the socket: status %d\n%s", status, errs)
	}
	if status, said := run(second, "--escrow-key", c.sealer.Pin(), "--user", testdata.Owner, "--upload"); status != exitUsage {
		t.Errorf("--upload seals nothing here: status %d\n%s", status, said)
	}
}

// leftNothing looks for the file, its password and its key in what the server
// got and has stored.
func (c cli) leftNothing(t *testing.T, s testdata.File) {
	t.Helper()
	r, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), pfx.Default)
	if err != nil {
		t.Fatal(err)
	}
	key := r.Identities[0].PKCS8.Reveal()
	places := map[string][]byte{"what came over TLS": c.heard.all.Bytes()}
	for _, name := range []string{"signet.db", "signet.db-wal"} {
		if places[name], err = os.ReadFile(filepath.Join(c.dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(places["what came over TLS"], []byte("/imports/deposits")) || len(places["signet.db"]) == 0 {
		t.Fatal("there is nothing to look at")
	}
	for name, text := range places {
		for what, secret := range map[string][]byte{"the password": []byte(s.Password), "the file": s.Data[40:90], "the key": key[len(key)-60 : len(key)-10]} {
			if contains(text, secret) {
				t.Errorf("%s has %s", name, what)
			}
		}
	}
	if !contains([]byte(base64.StdEncoding.EncodeToString(append([]byte("x"), key...))), key[len(key)-60:len(key)-10]) {
		t.Error("who looks does not find")
	}
}

// contains looks for bytes, as they are and in base64 wherever they begin.
func contains(text, secret []byte) bool {
	if bytes.Contains(text, secret) {
		return true
	}
	for shift := range 3 {
		coded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		if bytes.Contains(text, []byte(coded[4:len(coded)-4])) {
			return true
		}
	}
	return false
}
