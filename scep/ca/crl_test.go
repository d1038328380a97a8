package ca_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// sharded is a CA over as many lists, with a responder or without.
func sharded(t *testing.T, shards int, ocsp string) *ca.Issuer {
	t.Helper()
	h, key := newHouse(t), ecKey(t, elliptic.P256())
	own := must[*x509.Certificate](t)(ca.NewMailCA(h.root, key.Public(), ca.Names{CommonName: "Example Mail"}, now))
	urls := ca.URLsBelow(base, "smime")
	urls.Shards, urls.OCSP = shards, ocsp
	return must[*ca.Issuer](t)(ca.NewIssuer("smime", key, []*x509.Certificate{own, h.root.Certificate()}, urls))
}

// A certificate names the list of its shard, that list says the same address
// and that it is for certificates which name it, and all shards are used.
//
// Spec: RFC 5280 section 5.2.5
func TestShards(t *testing.T) {
	i := sharded(t, 4, base+"/ocsp/smime")
	key := rsaKey(t, "leaf", 2048).Public()
	used := map[string]string{}
	for range 200 {
		p := must[*ca.Prepared](t)(i.Prepare(signing(key), now))
		used[p.Shard()] = p.Draft.CRLDistributionPoints[0]
		if want := base + "/pki/smime/" + p.Shard() + ".crl"; len(p.Draft.CRLDistributionPoints) != 1 || used[p.Shard()] != want || i.Shard(p.Serial()) != p.Shard() {
			t.Fatalf("on list %q it names %v", p.Shard(), p.Draft.CRLDistributionPoints)
		}
		if len(p.Draft.OCSPServer) != 1 || p.Draft.OCSPServer[0] != base+"/ocsp/smime" {
			t.Fatalf("it names the responders %v", p.Draft.OCSPServer)
		}
	}
	if len(used) != 4 {
		t.Errorf("of 4 lists %d are used", len(used))
	}
	for shard, url := range used {
		der := must[[]byte](t)(i.CRL(ca.List{Number: 1, Shard: shard, Partial: true, Revoked: []ca.Revocation{{Serial: "7f00", At: now, Reason: ca.Superseded}}}, now))
		if scope, critical := scopeOf(t, der); !critical || !bytes.Contains(scope, []byte(url)) || scope[len(scope)-1] != 0xff {
			t.Errorf("the list of %s says critical %v, %x", url, critical, scope)
		}
	}
	if scope, _ := scopeOf(t, must[[]byte](t)(i.CRL(ca.List{Number: 2}, now))); scope != nil {
		t.Errorf("the whole list is only for %x", scope)
	}
}

// scopeOf gives the issuing distribution point of a list; nil for none.
func scopeOf(t *testing.T, der []byte) (scope []byte, critical bool) {
	t.Helper()
	list := must[*x509.RevocationList](t)(x509.ParseRevocationList(der))
	for _, e := range list.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) {
			return e.Value, e.Critical
		}
	}
	return nil, false
}

// What names no list or no responder does so because somebody said so.
func TestUnsharded(t *testing.T) {
	key := rsaKey(t, "leaf", 2048).Public()
	whole := base + "/pki/smime.crl"
	if p := must[*ca.Prepared](t)(sharded(t, 1, "").Prepare(signing(key), now)); p.Shard() != "" || p.Draft.CRLDistributionPoints[0] != whole || len(p.Draft.OCSPServer) != 0 {
		t.Errorf("one list, no responder: names %v and %v", p.Draft.CRLDistributionPoints, p.Draft.OCSPServer)
	}
	i := sharded(t, 4, base+"/ocsp/smime")
	ra := must[*x509.Certificate](t)(ca.NewRA(i, key, ca.Names{CommonName: "RA"}, now))
	if ra.CRLDistributionPoints[0] != whole || len(ra.OCSPServer) != 0 {
		t.Errorf("the RA, which is on no record, names %v and %v", ra.CRLDistributionPoints, ra.OCSPServer)
	}
	for serial, want := range map[cert.Serial]string{"": "", "7f": "", "zzzzz": "", "7f0000": "00", "7f0007": "03"} {
		if got := i.Shard(serial); got != want {
			t.Errorf("serial number %q is on list %q, want %q", serial, got, want)
		}
	}
}
