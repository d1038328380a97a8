package pfx_test

import (
	"testing"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

func TestReadHistory(t *testing.T) {
	for _, f := range testdata.History() {
		res, err := pfx.Read(t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		id, err := res.One()
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if got := id.Certificate.EmailAddresses; len(got) != 1 || got[0] != testdata.Owner {
			t.Errorf("%s: got addresses %v, want %s", f.Name, got, testdata.Owner)
		}
	}
}
