package pfx_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// openStore opens PKCS #12 files that it is told on standard input, one a line
// with its password, and says how long the chain of the one key in each is.
const openStore = `
import java.io.*; import java.security.*; import java.security.cert.Certificate;
class OpenStore {
  public static void main(String[] a) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null;) {
      String[] w = line.split(" ");
      KeyStore s = KeyStore.getInstance("PKCS12");
      try (InputStream f = new FileInputStream(w[0])) { s.load(f, w[1].toCharArray()); }
      String alias = s.aliases().nextElement();
      Certificate[] chain = s.getCertificateChain(alias);
      System.out.println(s.size() + " " + s.getKey(alias, w[1].toCharArray()).getFormat() + " " + chain.length);
    }
  }
}`

// reissue is a file for iOS made of an identity of the corpus.
type reissue struct {
	name, file, password string
	certificates         int
}

// reissued writes every identity of the corpus that iOS takes, each once for
// both generations, into a folder.
func reissued(t *testing.T) (all []reissue) {
	dir := t.TempDir()
	done := map[[32]byte]bool{}
	for _, s := range testdata.PFXCorpus() {
		if s.Outcome != "ok" || s.Identities == 0 || strings.HasPrefix(s.Name, "gnutls") || strings.HasPrefix(s.Name, "nss") {
			continue // the last two have the same keys, and take long
		}
		res, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), patient())
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for _, id := range res.Identities {
			what := sha256.New()
			what.Write(id.Certificate.Raw)
			for _, c := range id.Chain {
				what.Write(c.Raw)
			}
			sum := [32]byte(what.Sum(nil))
			if done[sum] {
				continue
			}
			done[sum] = true
			for _, ios := range []int{17, 18} {
				pass := seal.Random()
				out, err := pfx.Write(id.Key, id.Certificate, id.Chain, pass, ios) // which lints
				if errors.Is(err, pfx.ErrNotDeliverable) {
					continue
				}
				if err != nil {
					t.Errorf("%s for iOS %d: %v", s.Name, ios, err)
					continue
				}
				r := reissue{fmt.Sprintf("%s for iOS %d", s.Name, ios), filepath.Join(dir, fmt.Sprint(len(all))), pass.RevealString(), 1 + len(id.Chain)}
				if err := os.WriteFile(r.file, out, 0o600); err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d files", len(all))
	}
	return all
}

// TestEverybodyOpensTheCorpus: whatever file an identity came from, three
// readers that are not ours open what becomes of it.
func TestEverybodyOpensTheCorpus(t *testing.T) {
	judge.Need(t, "openssl", "pk12util", "certutil", "java")
	all := reissued(t)
	t.Run("OpenSSL", func(t *testing.T) {
		for _, r := range all {
			out := string(judge.Run(t, nil, "openssl", "pkcs12", "-in", r.file, "-passin", "pass:"+r.password, "-noenc"))
			if n := strings.Count(out, "BEGIN CERTIFICATE"); !strings.Contains(out, "BEGIN PRIVATE KEY") || n != r.certificates {
				t.Errorf("%s: OpenSSL finds %d certificates, want %d and a key", r.name, n, r.certificates)
			}
		}
	})
	t.Run("NSS", func(t *testing.T) {
		db := "sql:" + t.TempDir()
		judge.Run(t, nil, "certutil", "-N", "-d", db, "--empty-password")
		for _, r := range all {
			out := string(judge.Run(t, nil, "pk12util", "-l", r.file, "-d", db, "-W", r.password))
			if n := strings.Count(out, "Certificate"); n < r.certificates || !strings.Contains(out, "Key(shrouded)") {
				t.Errorf("%s: NSS finds %d certificates, want %d and a key:\n%s", r.name, n, r.certificates, out)
			}
		}
	})
	t.Run("Java", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "OpenStore.java")
		if err := os.WriteFile(program, []byte(openStore), 0o600); err != nil {
			t.Fatal(err)
		}
		var in, want bytes.Buffer
		for _, r := range all {
			fmt.Fprintln(&in, r.file, r.password)
			fmt.Fprintln(&want, 1, "PKCS#8", r.certificates)
		}
		got := strings.Split(string(judge.Run(t, in.Bytes(), "java", program)), "\n")
		for i, line := range strings.Split(want.String(), "\n") {
			if i >= len(got) || got[i] != line {
				t.Errorf("%s: Java does not find %q", all[min(i, len(all)-1)].name, line)
			}
		}
	})
}
