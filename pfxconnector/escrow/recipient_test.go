package escrow_test

import (
	"crypto/hpke"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

func TestRecipientText(t *testing.T) {
	for name, kem := range map[string]hpke.KEM{"hybrid": escrow.Hybrid(), "classic": escrow.Classic()} {
		private, err := kem.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		want := recipient(t, private)
		got, err := escrow.ParseRecipient(want.String())
		if err != nil || got.ID() != want.ID() || got.String() != want.String() || got.KEM().ID() != kem.ID() {
			t.Errorf("%s: got %v, %v; want %v", name, got.ID(), err, want.ID())
		}
		if id := want.ID(); !strings.HasPrefix(string(id), "hpke:") || len(id.Hex()) != 64 || id.Offline() {
			t.Errorf("%s: id is %s", name, id)
		}
	}
}

func TestNoRecipient(t *testing.T) {
	p256, err := hpke.MLKEM768P256().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := escrow.NewRecipient(p256.PublicKey()); err == nil {
		t.Error("a KEM that we do not use is taken")
	}
	classic, _ := escrow.Classic().GenerateKey()
	good := recipient(t, classic).String()
	for name, s := range map[string]string{
		"empty": "", "a line break": good + "\n", "a space before": " " + good, "cut": good[:len(good)-4],
		"more": good + "AAAA", "prefix only": "signet-escrow-", "unknown KEM": "signet-escrow-" + strings.Repeat("_", 46),
		"an age recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
	} {
		if r, err := escrow.ParseRecipient(s); err == nil {
			t.Errorf("%s: got %s", name, r.ID())
		}
	}
}

func TestRecoveryText(t *testing.T) {
	id := identity(t)
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"X25519": id.Recipient().String(), "hybrid": pq.Recipient().String(),
		"with comment": "# the safe\n" + id.Recipient().String() + "\n",
	} {
		r, err := escrow.ParseRecovery(s)
		if err != nil || !r.ID().Offline() || len(r.ID().Hex()) != 64 {
			t.Errorf("%s: got %s, %v", name, r.ID(), err)
		}
	}
	a, _ := escrow.ParseRecovery(id.Recipient().String())
	b, _ := escrow.ParseRecovery("# the safe\n" + id.Recipient().String())
	if a.ID() != b.ID() {
		t.Error("a comment changes the id")
	}
	for name, s := range map[string]string{
		"empty": "", "a secret key": id.String(), "two": id.Recipient().String() + "\n" + id.Recipient().String(),
		"SSH": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxh",
	} {
		if _, err := escrow.ParseRecovery(s); err == nil || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParseRecipient(f *testing.F) {
	f.Add("signet-escrow-ACAA")
	private, _ := escrow.Classic().GenerateKey()
	r, _ := escrow.NewRecipient(private.PublicKey())
	f.Add(r.String())
	f.Fuzz(func(t *testing.T, s string) {
		r, err := escrow.ParseRecipient(s)
		if err == nil && r.String() != s {
			t.Errorf("%q is read as %q", s, r)
		}
	})
}
