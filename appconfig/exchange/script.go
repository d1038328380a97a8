package exchange

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

//go:embed set-smimeconfig.ps1
var scriptText string

var scriptTemplate = template.Must(template.New("script").Parse(scriptText))

// Script gives the PowerShell script that loads the collection into Exchange.
// Sst is the name of its file, beside the script. It is ASCII: Windows
// PowerShell takes anything else for the code page of the machine.
func Script(c Collection, sst string, now time.Time) ([]byte, error) {
	if strings.ContainsAny(sst, "'\r\n") {
		return nil, fmt.Errorf("%q cannot stand in a script", sst)
	}
	data := struct {
		File, Day, SHA256, End string
		CAs                    []string
	}{File: sst, Day: day(now), SHA256: fmt.Sprintf("%X", sha256.Sum256(SST(c.CAs))), End: day(c.FirstEnd())}
	for _, ca := range c.CAs {
		data.CAs = append(data.CAs, line(ca))
	}
	var out bytes.Buffer
	if err := scriptTemplate.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing the script: %w", err)
	}
	return bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n")), nil
}

// line describes a CA on a line of a comment.
func line(ca *x509.Certificate) string {
	return fmt.Sprintf("%s  until %s  %s", cert.FingerprintOf(ca.Raw), day(ca.NotAfter), inert(ca.Subject.String()))
}

// inert gives foreign text as one line of ASCII.
func inert(s string) string {
	s = strconv.QuoteToASCII(s)
	return s[:min(len(s), 200)]
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
