// Package arch holds the house together: who may import whom.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/signet-mdm/signet/"

// rooms lists each package and which of our packages it may import. Domains
// stand on top, edges below, and the arrows go one way: domains never import
// one another. "*" may import anything.
var rooms = map[string]string{
	"internal/fault":   "",
	"internal/logx":    "",
	"internal/seal":    "",
	"internal/cms":     "",
	"internal/disk":    "",
	"internal/plist":   "internal/fault",
	"internal/subject": "internal/fault",
	"internal/cert":    "internal/subject internal/fault",
	"internal/journal": "internal/subject internal/cert",
	"internal/audit":   "internal/fault internal/logx internal/seal",

	"mdm/profile":            "internal/seal internal/cert internal/plist internal/cms",
	"mdm":                    "internal/fault internal/seal internal/subject internal/cert internal/journal internal/plist mdm/profile",
	"scep/ca":                "internal/cert",
	"scep":                   "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal internal/cms scep/ca",
	"pfxconnector/pfx":       "internal/fault internal/seal",
	"pfxconnector/manifest":  "internal/fault internal/seal",
	"pfxconnector/archive":   "internal/fault",
	"pfxconnector/escrow":    "internal/seal internal/subject internal/cert internal/journal",
	"pfxconnector/recovery":  "internal/fault internal/seal internal/subject internal/cert internal/cms pfxconnector/pfx",
	"pfxconnector/opener":    "internal/fault internal/logx internal/seal internal/subject internal/cert internal/cms internal/journal mdm/profile pfxconnector/pfx pfxconnector/escrow pfxconnector/recovery pfxconnector/tenant",
	"pfxconnector/keymaker":  "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal pfxconnector/escrow",
	"pfxconnector/transport": "internal/fault internal/seal internal/journal",
	"pfxconnector/gateway":   "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal mdm/profile",
	"pfxconnector":           "internal/fault internal/seal internal/subject internal/cert internal/journal pfxconnector/pfx pfxconnector/escrow",
	"appconfig":              "internal/fault internal/subject internal/journal internal/plist",
	"appconfig/exchange":     "internal/subject internal/cert",
	"notify":                 "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal",
	"notify/mail":            "internal/seal internal/subject notify",
	"notify/mail/mailtest":   "",
	"notify/apns":            "notify",
	"notify/apns/apnstest":   "notify",
	"internal/job":           "internal/fault internal/logx internal/subject internal/journal",
	"internal/backup":        "internal/fault",
	"internal/rollover":      "internal/fault internal/logx internal/subject internal/cert internal/journal",
	"internal/directory":     "internal/fault internal/subject internal/cert internal/journal",
	"internal/access":        "internal/fault internal/seal internal/journal",
	"internal/dial":          "",

	"internal/access/federation":                "internal/access internal/dial internal/fault internal/journal",
	"internal/access/federation/federationtest": "",

	"internal/delivery/plan": "internal/subject internal/cert appconfig",
	"internal/delivery":      "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal mdm/profile mdm appconfig internal/delivery/plan notify",

	"pfxconnector/tenant":                     "internal/fault internal/logx internal/seal internal/subject internal/cert internal/journal pfxconnector/transport",
	"pfxconnector/tenant/msgraph":             "internal/seal internal/cert pfxconnector/tenant pfxconnector/transport",
	"pfxconnector/tenant/msgraph/msgraphtest": "",

	"scep/upstream":              "internal/fault internal/seal internal/cms",
	"scep/upstream/upstreamtest": "internal/cms",
	"scep/intune":                "internal/fault internal/logx internal/seal internal/cert",
	"scep/intune/intunetest":     "",

	"internal/metrics": "",
	"internal/doctor":  "internal/audit internal/cert internal/config internal/disk internal/fault internal/keyring internal/metrics internal/seal pfxconnector/escrow",

	"internal/store":             "internal/audit internal/metrics internal/fault internal/rollover internal/seal internal/subject internal/cert internal/journal mdm scep pfxconnector pfxconnector/escrow pfxconnector/keymaker appconfig internal/directory internal/access internal/job internal/delivery internal/delivery/plan notify pfxconnector/transport pfxconnector/gateway pfxconnector/tenant",
	"internal/store/storetest":   "*",
	"internal/store/mariadbtest": "internal/judge",
	"internal/store/sqlitetest":  "internal/store",
	"internal/keyring":           "internal/fault internal/seal internal/cert internal/disk pfxconnector/escrow",

	"internal/keyring/hsm": "internal/fault internal/seal internal/cert",

	"internal/keyring/transit":             "internal/fault internal/seal",
	"internal/keyring/transit/transittest": "",

	"internal/httpd":           "internal/fault internal/logx internal/seal internal/access",
	"internal/httpd/device":    "internal/httpd internal/fault internal/access internal/seal internal/subject internal/cert internal/cms mdm mdm/profile scep",
	"internal/httpd/admin":     "internal/httpd internal/audit internal/rollover internal/fault internal/seal internal/subject internal/cert internal/journal internal/access internal/directory internal/job internal/backup appconfig pfxconnector pfxconnector/recovery pfxconnector/transport pfxconnector/gateway pfxconnector/tenant scep mdm notify",
	"internal/httpd/peer":      "internal/httpd internal/fault internal/access internal/cert scep pfxconnector/gateway",
	"internal/httpd/graph":     "internal/httpd internal/fault internal/seal internal/subject internal/cert internal/journal internal/access pfxconnector pfxconnector/pfx pfxconnector/transport",
	"internal/httpd/connector": "internal/httpd internal/fault internal/subject internal/cert internal/journal internal/access pfxconnector/gateway",
	"internal/httpd/console":   "internal/httpd internal/httpd/admin internal/fault internal/access internal/seal internal/directory pfxconnector",
	"internal/httpd/landing":   "internal/httpd internal/fault internal/seal internal/subject internal/cert internal/journal internal/access internal/delivery",

	"internal/phone":  "",
	"internal/config": "",
	"internal/judge":  "",

	"internal/browser": "internal/judge",

	"testdata":   "",
	"cmd/signet": "*",
}

// doors lists what is reached from outside through few rooms only.
var doors = map[string]string{
	"database/sql":                                            "internal/store internal/store/mariadbtest",
	"github.com/groob/plist":                                  "internal/plist internal/phone",
	"github.com/smallstep/pkcs7":                              "internal/cms",
	"github.com/ThalesGroup/crypto11":                         "internal/keyring/hsm",
	"software.sslmate.com/src/go-pkcs12":                      "pfxconnector/pfx pfxconnector/tenant/msgraph/msgraphtest",
	"github.com/coreos/go-oidc/v3/oidc":                       "internal/access/federation",
	"github.com/wneessen/go-mail":                             "notify/mail",
	"github.com/emersion/go-smtp":                             "notify/mail/mailtest",
	"net/http":                                                "internal/httpd internal/httpd/device internal/httpd/admin internal/httpd/landing internal/httpd/console internal/httpd/peer internal/httpd/graph internal/httpd/connector internal/phone cmd/signet notify/apns notify/apns/apnstest scep/upstream scep/upstream/upstreamtest scep/intune scep/intune/intunetest pfxconnector/tenant/msgraph pfxconnector/tenant/msgraph/msgraphtest internal/access/federation internal/access/federation/federationtest internal/keyring/transit internal/keyring/transit/transittest",
	module + "pfxconnector/opener":                            "cmd/signet",
	"github.com/prometheus/client_golang/prometheus":          "internal/metrics",
	"github.com/prometheus/client_golang/prometheus/promhttp": "cmd/signet",
}

func TestArrows(t *testing.T) {
	for dir, imports := range tree(t) {
		allowed, known := rooms[dir]
		if !known {
			t.Errorf("%s has no row in rooms: say what it may import", dir)
			continue
		}
		for imp, file := range imports {
			if target, ours := strings.CutPrefix(imp, module); ours && allowed != "*" && !contains(allowed, target) {
				t.Errorf("%s: %s may not import %s", file, dir, target)
			}
			if through, door := doors[imp]; door && !contains(through, dir) {
				t.Errorf("%s: %s goes through %s only", file, imp, through)
			}
		}
	}
}

// What nobody uses is not allowed either: the table stays the truth.
func TestNoUnusedPermission(t *testing.T) {
	packages := tree(t)
	for dir, allowed := range rooms {
		imports, there := packages[dir]
		if !there {
			t.Errorf("rooms has a row for %s, which is not there", dir)
		}
		for target := range strings.FieldsSeq(allowed) {
			if _, used := imports[module+target]; !used && target != "*" {
				t.Errorf("%s may import %s and does not", dir, target)
			}
		}
	}
	for imp, through := range doors {
		for dir := range strings.FieldsSeq(through) {
			if _, used := packages[dir][imp]; !used {
				t.Errorf("%s may use %s and does not", dir, imp)
			}
		}
	}
}

func contains(list, item string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == item {
			return true
		}
	}
	return false
}

// tree parses every non-test file and gives the imports of each package with
// one file that has it. It parses by itself: `go list` would be served from
// the test cache after a forbidden import was added.
func tree(t *testing.T) map[string]map[string]string {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]map[string]string{}
	err = fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(p)
		if packages[dir] == nil {
			packages[dir] = map[string]string{}
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			packages[dir][name] = p
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}
