package scep_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// BenchmarkRevoke is one revocation among a million certificates, from the call
// to its end: written down, and in the published lists. There is a CA with an
// ECDSA key and one with RSA; more and more certificates are revoked already.
func BenchmarkRevoke(b *testing.B) {
	const certificates = 1_000_000
	path := filepath.Join(b.TempDir(), "signet.db")
	db := must(store.OpenSQLite(b.Context(), path))(b)
	defer db.Close()
	raw := must(sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)&_pragma=temp_store(MEMORY)"))(b)
	defer raw.Close()
	fillCertificates(b, raw, certificates)
	revoked := 0
	for _, many := range []int{10_000, 100_000, 500_000} {
		fillRevocations(b, raw, revoked, many)
		revoked = many
		for name, key := range map[string]crypto.Signer{"ECDSA": ecKey(elliptic.P256()), "RSA": rsaKey(keyOfDeviceCA)} {
			s, keeper := bigAuthority(b, db, key)
			if _, err := keeper.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
			next := must(raw.Query(`SELECT fingerprint FROM certificate WHERE revoked_at = 0 ORDER BY fingerprint LIMIT 1000`))(b)
			var list []cert.Fingerprint
			for next.Next() {
				var text string
				if err := next.Scan(&text); err != nil {
					b.Fatal(err)
				}
				list = append(list, must(cert.ParseFingerprint(text))(b))
			}
			next.Close()
			b.Run(fmt.Sprintf("%s/%d-of-%d-revoked", name, many, certificates), func(b *testing.B) {
				begin := cpuTime(b)
				n := 0
				for b.Loop() {
					if err := s.Revoke(b.Context(), worker, list[n], "superseded"); err != nil {
						b.Fatal(err)
					}
					n++
				}
				list = list[n:]
				b.ReportMetric(float64((cpuTime(b)-begin).Microseconds())/1000/float64(n), "ms-CPU/op(bar:200)")
				for _, column := range []string{"whole", "shard"} {
					var size int
					order := map[string]string{"whole": "shard = ''", "shard": "shard <> ''"}[column]
					if err := raw.QueryRow(`SELECT MAX(length(der)) FROM crl WHERE ` + order).Scan(&size); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(size)/1000, "kB-"+column)
				}
			})
		}
	}
}

// bigAuthority is a CA whose certificates fillCertificates made up.
func bigAuthority(b *testing.B, db *store.DB, key crypto.Signer) (*scep.Service, *scep.Certifier) {
	own := made(ca.NewMailCA(theHouse().root, key.Public(), ca.Names{CommonName: "Example CA big"}, start))
	urls := ca.URLsBelow("http://mdm.example.com", "big")
	urls.Shards = shardsThere
	i := made(ca.NewIssuer("big", key, []*x509.Certificate{own, theHouse().root.Certificate()}, urls))
	now := func() time.Time { return time.Now() }
	log := slog.New(slog.DiscardHandler)
	keeper := scep.NewCertifier(scep.CertifierConfig{Store: db.SCEP(), Seats: []scep.Seat{{Issuer: i}}, Profiles: scep.Fixed{}, Log: log, Now: now})
	s := must(scep.New(scep.Config{Store: db.SCEP(), Keeper: keeper, Profiles: scep.Fixed{}, URL: "https://mdm.example.com/scep", Log: log, Now: now,
		Authorities: []scep.Authority{{Issuer: i.Public}}}))(b)
	return s, keeper
}

const shardsThere = 64

// fillCertificates makes up certificates of one CA as large as real ones.
func fillCertificates(b *testing.B, raw *sql.DB, n int) {
	b.Helper()
	for _, query := range []string{
		`CREATE TABLE made AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ` + fmt.Sprint(n) + `)
			SELECT n, lower(hex(randomblob(32))) AS fingerprint, '7' || substr(lower(hex(randomblob(16))), 2) AS serial, abs(random()) % ` + fmt.Sprint(shardsThere) + ` AS shard FROM numbers`,
		`INSERT INTO issuance (issuer, serial, shard, state, profile, user_id, device_id, names, challenge, renews, transaction_id, spki, tbs,
			fingerprint, not_after, created_at, issued_at, abandoned_at, superseded_at)
			SELECT 'big', serial, printf('%02x', shard), 'issued', 'smime-signing', 'u' || (n / 4), 'd' || (n / 2), '{}', fingerprint, '', serial, fingerprint, X'',
			fingerprint, 4102444800000000, n, n, 0, 0 FROM made ORDER BY serial`,
		`INSERT INTO certificate (fingerprint, user_id, device_id, spki, thumbprint, source, use_, profile, serial, subject, issuer, addresses,
			not_before, not_after, der, chain, deliverable, pinned, created_at, revoked_at, reason)
			SELECT fingerprint, 'u' || (n / 4), 'd' || (n / 2), fingerprint, substr(fingerprint, 1, 40), 'issued', 'signing', 'smime-signing', serial, 'CN=x', 'CN=y', '[]',
			n, 4102444800000000, randomblob(900), X'', '', 0, n, 0, '' FROM made ORDER BY fingerprint`,
		`INSERT INTO crl (issuer, shard, revision, published, number, this_update, der) SELECT DISTINCT 'big', printf('%02x', shard), 1, 0, 0, 0, X'' FROM made`,
	} {
		if _, err := raw.ExecContext(context.Background(), query); err != nil {
			b.Fatal(err)
		}
	}
}

// fillRevocations revokes the certificates with those numbers.
func fillRevocations(b *testing.B, raw *sql.DB, from, to int) {
	b.Helper()
	for _, query := range []string{
		`INSERT OR IGNORE INTO revocation (issuer, shard, serial, revoked_at, reason, not_after)
			SELECT 'big', printf('%02x', shard), serial, 1764000000000000 + n, 'superseded', 4102444800000000 FROM made WHERE n > ? AND n <= ?`,
		`UPDATE certificate SET revoked_at = 1764000000000000, reason = 'superseded'
			WHERE fingerprint IN (SELECT fingerprint FROM made WHERE n > ? AND n <= ?)`,
	} {
		if _, err := raw.Exec(query, from, to); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := raw.Exec(`UPDATE crl SET revision = revision + 1`); err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
