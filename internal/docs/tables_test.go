package docs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// head gives the part of a page that people write.
func head(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPolicies(t *testing.T) {
	out := bytes.NewBuffer(head(t, "policies.head.md"))
	out.WriteString("\n## What each mail app can do\n\n| app | purpose | keys from | how | why |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range appconfig.Capabilities {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", c.App, c.Purpose, c.Source, c.How, cell(c.Why))
	}
	out.WriteString("\n## Settings\n\nDots are levels of the document.\n\n| setting | value | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, s := range appconfig.Table {
		value := string(s.Type)
		if len(s.Choices) > 0 {
			value = strings.Join(s.Choices, ", ")
		}
		def := ""
		if s.Default != nil {
			def = fmt.Sprintf("`%v`", s.Default)
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", s.Key, value, def, cell(s.Doc))
	}
	fmt.Fprintf(out, "\n## Variables\n\nIn texts, without regard to case: `{{%s}}`.\n", strings.Join(subject.Variables(), "}}`, `{{"))
	page(t, "policies.md", out.Bytes())
}

func TestConfiguration(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("# Configuration\n\n`signet config describe` prints this; `signet config check` says what is wrong with yours.\n\n```toml\n")
	if err := config.Describe(&out, config.Default()); err != nil {
		t.Fatal(err)
	}
	out.WriteString("```\n")
	page(t, "configuration.md", out.Bytes())
}

// The policies that the pages show are taken by the parser.
func TestExamples(t *testing.T) {
	found := 0
	for _, name := range []string{"policies.head.md", "quickstart.md"} {
		text := string(head(t, name))
		for {
			_, rest, ok := strings.Cut(text, "```yaml\n")
			if !ok {
				break
			}
			example, after, _ := strings.Cut(rest, "```")
			if _, err := appconfig.Parse([]byte(example)); err != nil {
				t.Errorf("%s: %v\n%s", name, err, example)
			}
			found, text = found+1, after
		}
	}
	if found < 2 {
		t.Errorf("found %d examples, want at least 2", found)
	}
}

func TestCertificates(t *testing.T) {
	text := head(t, "certificates.head.md")
	for _, v := range subject.Variables() {
		if !strings.Contains(strings.ToLower(string(text)), "`{{"+v+"}}`") {
			t.Errorf("certificates.head.md does not have the variable %s", v)
		}
	}
	out := bytes.NewBuffer(text)
	out.WriteString("## Fields\n\nDots are levels of the document.\n\n| field | meaning |\n| --- | --- |\n")
	for _, f := range scep.Fields() {
		fmt.Fprintf(out, "| `%s` | %s |\n", f.Name, cell(f.Doc))
	}
	fmt.Fprintf(out, "\nAttributes of a subject: `%s`, or an OID.\n", strings.Join(cert.AttributeTypes(), "`, `"))
	page(t, "certificates.md", out.Bytes())
}
