package testdata_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/testdata"
)

// openssl takes one file of the history apart.
func openssl(t *testing.T, f testdata.File) (cert, key string) {
	dir := t.TempDir()
	in := filepath.Join(dir, f.Name)
	if err := os.WriteFile(in, f.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	pass := "pass:" + f.Password
	judge.Run(t, nil, "openssl", "pkcs12", "-legacy", "-in", in, "-passin", pass, "-nokeys", "-clcerts", "-out", cert)
	judge.Run(t, nil, "openssl", "pkcs12", "-legacy", "-in", in, "-passin", pass, "-nocerts", "-nodes", "-out", key)
	return cert, key
}

func TestHistoryIsWholeAndOnlyTheLastIsValid(t *testing.T) {
	judge.Need(t, "openssl")
	files := testdata.History()
	if len(files) < 6 {
		t.Fatalf("got %d files, want at least 6", len(files))
	}
	until := ""
	for i, f := range files {
		cert, _ := openssl(t, f)
		text := string(judge.Run(t, nil, "openssl", "x509", "-in", cert, "-noout", "-email", "-startdate", "-enddate"))
		if !strings.Contains(text, testdata.Owner) {
			t.Errorf("%s does not name %s:\n%s", f.Name, testdata.Owner, text)
		}
		_, dates, _ := strings.Cut(text, "notBefore=")
		from, to, _ := strings.Cut(strings.TrimSpace(dates), "\nnotAfter=")
		if until != "" && from != until {
			t.Errorf("%s begins %s, want %s, the end of the one before", f.Name, from, until)
		}
		until = to
		if i < len(files)-1 {
			judge.Refuses(t, nil, "openssl", "x509", "-in", cert, "-noout", "-checkend", "0")
			continue
		}
		judge.Run(t, nil, "openssl", "x509", "-in", cert, "-noout", "-checkend", "315360000")
	}
}

func TestOldestOpensTheOldMail(t *testing.T) {
	judge.Need(t, "openssl")
	cert, key := openssl(t, testdata.History()[0])
	plain := judge.Run(t, testdata.OldMail(), "openssl", "cms", "-decrypt", "-recip", cert, "-inkey", key)
	if _, body, _ := bytes.Cut(plain, []byte("\r\n\r\n")); string(body) != testdata.OldMailText() {
		t.Errorf("got %q, want %q", body, testdata.OldMailText())
	}
}

func TestPasswordsCarryTheMark(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range testdata.History() {
		if !strings.HasPrefix(f.Password, "canary-") || seen[f.Password] {
			t.Errorf("%s: the password is not a canary of its own", f.Name)
		}
		seen[f.Password] = true
	}
}

// TestCorpusListsEveryFile: a sample without an expectation proves nothing.
func TestCorpusListsEveryFile(t *testing.T) {
	listed := map[string]bool{"corpus.csv": true, "replicas.csv": true, "remake.sh": true, "keys": true}
	for _, s := range testdata.PFXCorpus() {
		listed[s.Name] = true
	}
	entries, err := os.ReadDir("pfx")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !listed[e.Name()] {
			t.Errorf("pfx/%s stands in no table", e.Name())
		}
	}
}
