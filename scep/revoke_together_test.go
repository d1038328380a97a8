package scep_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Two servers on one database revoke at once. When one has answered, the other
// serves the revocation: on the certificate's list, on the whole list, and by
// OCSP, although people ask all the time.
func TestRevokedTogether(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) [2]*store.DB{
		"SQLite": func(t *testing.T) [2]*store.DB {
			path := t.TempDir() + "/signet.db"
			return [2]*store.DB{must(store.OpenSQLite(t.Context(), path))(t), must(store.OpenSQLite(t.Context(), path))(t)}
		},
		"MariaDB": func(t *testing.T) [2]*store.DB {
			dsn := mariadbtest.Reused(t)
			return [2]*store.DB{must(store.OpenMySQL(t.Context(), dsn))(t), must(store.OpenMySQL(t.Context(), dsn))(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dbs := open(t)
			var servers [2]*scep.Service
			for n, db := range dbs {
				t.Cleanup(func() { db.Close() })
				servers[n] = publisher(t, db)
			}
			certs := madeUp(t, dbs[0], 16)
			var wg sync.WaitGroup
			for n, c := range certs {
				wg.Go(func() { known(t, servers[n%2], c.serial, ocsp.Good) })
				wg.Go(func() {
					if err := servers[n%2].Revoke(t.Context(), worker, c.fingerprint, "superseded"); err != nil {
						t.Error(err)
						return
					}
					other := servers[(n+1)%2]
					for _, shard := range []string{"", c.shard} {
						listed(t, other, shard, c.serial)
					}
					known(t, other, c.serial, ocsp.Revoked)
				})
			}
			wg.Wait()
			for _, c := range certs {
				known(t, servers[0], c.serial, ocsp.Revoked)
			}
		})
	}
}

// publisher is a server of the S/MIME CA alone, with its keys.
func publisher(t *testing.T, db *store.DB) *scep.Service {
	i := theHouse().mail.Issuer
	w := &world{t: t, now: start}
	keeper := scep.NewCertifier(scep.CertifierConfig{Store: db.SCEP(), Seats: []scep.Seat{{Issuer: i}}, Profiles: scep.Fixed{}, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	return must(scep.New(scep.Config{Store: db.SCEP(), Keeper: keeper, Profiles: scep.Fixed{}, URL: "https://mdm.example.com/scep", Log: slog.New(slog.DiscardHandler), Now: w.clock,
		Authorities: []scep.Authority{{Issuer: i.Public}}}))(t)
}

type madeUpCert struct {
	fingerprint cert.Fingerprint
	serial      cert.Serial
	shard       string
}

// madeUp stores certificates of clients that are not managed, which nobody
// signed, on two shards.
func madeUp(t *testing.T, db *store.DB, n int) (list []madeUpCert) {
	t.Helper()
	u := subject.User{ID: subject.NewUserID(), UPN: "a@example.com", Mail: "a@example.com", Name: "A", CreatedAt: start}
	e := journal.Entry{At: start, Actor: worker}
	must(0, db.Directory().UserSaved(t.Context(), u, e))(t)
	for k := range n {
		name := fmt.Sprintf("7%031x", k)
		f := cert.FingerprintOf([]byte(name))
		ticket := scep.Ticket{Grant: scep.Grant{Profile: "p", Holder: cert.Holder{User: u.ID, Device: subject.NewDeviceID()}}, Hash: seal.Random().Hash(),
			Created: start, Expires: start.AddDate(0, 0, 1)}
		i := scep.Issuance{Grant: ticket.Grant, Issuer: "smime", Serial: cert.Serial(name), Shard: fmt.Sprintf("%02x", k%2), Challenge: ticket.Hash,
			Transaction: name, SPKI: f, TBS: []byte{1}, NotAfter: start.AddDate(1, 0, 0), At: start}
		r := cert.Record{Fingerprint: f, SPKI: f, Holder: i.Holder, Source: cert.Issued, Use: cert.Signing, Profile: "p", Serial: i.Serial,
			NotBefore: start, NotAfter: i.NotAfter, DER: []byte{1}, CreatedAt: start}
		must(0, db.SCEP().ChallengeMade(t.Context(), ticket, e))(t)
		must(0, db.SCEP().SerialReserved(t.Context(), i))(t)
		must(0, db.SCEP().CertificateIssued(t.Context(), i, r, e))(t)
		list = append(list, madeUpCert{f, i.Serial, i.Shard})
	}
	return list
}

// known asks by OCSP. Of a certificate that is being revoked it may hear that.
func known(t *testing.T, s *scep.Service, serial cert.Serial, want int) {
	t.Helper()
	issuer := theHouse().mail.Issuer.Certificate()
	n, _ := new(big.Int).SetString(string(serial), 16)
	request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: n}, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		t.Error(err)
		return
	}
	a, err := s.OCSP(t.Context(), "smime", request)
	if err != nil {
		t.Error(err)
		return
	}
	r, err := ocsp.ParseResponse(a.DER, issuer)
	if err != nil || r.Status != want && r.Status != ocsp.Revoked {
		t.Errorf("%s: got %+v, %v; want status %d", serial, r, err, want)
	}
}

func listed(t *testing.T, s *scep.Service, shard string, serial cert.Serial) {
	t.Helper()
	c, err := s.CRL(t.Context(), "smime", shard)
	if err != nil {
		t.Error(err)
		return
	}
	list, err := x509.ParseRevocationList(c.DER)
	if err != nil {
		t.Error(err)
		return
	}
	for _, e := range list.RevokedCertificateEntries {
		if cert.SerialOf(e.SerialNumber) == serial {
			return
		}
	}
	t.Errorf("%s is not on list %q, which has %d", serial, shard, len(list.RevokedCertificateEntries))
}
