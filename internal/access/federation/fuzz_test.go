package federation_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"testing"

	"github.com/signet-mdm/signet/internal/access/federation"
	"github.com/signet-mdm/signet/internal/access/federation/federationtest"
)

// Whatever an issuer publishes, only public keys of the known kinds are taken.
func FuzzKeys(f *testing.F) {
	s := federationtest.Start()
	defer s.Close()
	n := base64.RawURLEncoding.EncodeToString(s.Key().N.Bytes())
	d := base64.RawURLEncoding.EncodeToString(s.Key().D.Bytes())
	f.Add([]byte(`{"keys":[{"kty":"RSA","use":"sig","n":"` + n + `","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"` + n + `","e":"AQAB","d":"` + d + `"},{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},null,1]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := federation.ParseSet(body)
		if err == nil && len(keys) == 0 {
			t.Error("no key and no error")
		}
		for _, key := range keys {
			switch k := key.(type) {
			case *rsa.PublicKey:
				if k.N.BitLen() < 2048 {
					t.Errorf("took an RSA key of %d bits", k.N.BitLen())
				}
			case *ecdsa.PublicKey, ed25519.PublicKey:
			default:
				t.Errorf("took a %T", key)
			}
		}
	})
}
