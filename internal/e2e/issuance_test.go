package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crypto/rsa"
	"crypto/x509"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// soak gives the larger number when the tests may take long.
func soak(usual, long int) int {
	if os.Getenv("SIGNET_TEST_SOAK") == "1" {
		return long
	}
	return usual
}

// issuing is servers that issue certificates, one or two on one database, and
// clients that ask for them.
type issuing struct {
	workshop
	t       *testing.T
	servers []*issuer
	keys    *phone.Siblings
	asked   atomic.Uint32
}

// issuer is one server with a data directory of its own.
type issuer struct {
	data  string
	env   []string
	tls   string // address of the listener with TLS
	plain string // and of that without
	run   *exec.Cmd
	said  bytes.Buffer
}

func newIssuing(t *testing.T, dsn string) *issuing {
	k := &issuing{workshop: workshop{bin: build(t), dir: t.TempDir(), dsn: dsn}, t: t}
	if dsn != "" {
		k.must(os.WriteFile(filepath.Join(k.dir, "dsn"), []byte(dsn), 0o600))
	}
	var err error
	k.keys, err = phone.NewSiblings()
	k.must(err)
	k.must(k.signet("init", "--url", "https://127.0.0.1:1", "--listen", "127.0.0.1:1", "--organization", "Example"))
	k.serve(k.add(filepath.Join(k.dir, "data")))
	k.must(k.signet("user", "add", "alice@example.com", "--name", "Alice Example"))
	return k
}

func (k *issuing) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// add makes a server of a data directory, with addresses of its own.
func (k *issuing) add(data string) *issuer {
	k.t.Helper()
	var ports [2]string
	for n := range ports {
		port, err := freePort()
		k.must(err)
		ports[n] = "127.0.0.1:" + port
	}
	s := &issuer{data: data, tls: ports[0], plain: ports[1], env: []string{"SIGNET_DATA=" + data,
		"SIGNET_URL=https://" + ports[0], "SIGNET_LISTEN=" + ports[0], "SIGNET_HTTP_LISTEN=" + ports[1]}}
	k.servers = append(k.servers, s)
	k.t.Cleanup(func() { k.kill(s) })
	return s
}

func (k *issuing) serve(s *issuer) {
	k.t.Helper()
	s.run = k.command("serve")
	s.run.Env = append(s.run.Env, s.env...)
	s.run.Stderr = &s.said
	k.must(s.run.Start())
	k.must(listening("unix", filepath.Join(s.data, "signet.sock")))
	k.must(listening("tcp", s.plain))
}

func (k *issuing) kill(s *issuer) {
	if s.run != nil {
		s.run.Process.Kill()
		s.run.Wait()
		s.run = nil
	}
}

// challenge makes one; an error when the server is not there.
func (k *issuing) challenge(ctx context.Context) (string, error) {
	c, err := admin.Dial(filepath.Join(k.servers[0].data, "signet.sock")).
		CreateChallenge(ctx, admin.NewChallenge{Profile: "smime-signing", User: "alice@example.com"})
	return c.Challenge, err
}

// ask enrolls a client that comes from an address of its own: what one address
// may ask for is bounded.
func (k *issuing) ask(ctx context.Context, s *issuer, challenge string, key *rsa.PrivateKey, ready func()) (*x509.Certificate, error) {
	n := k.asked.Add(1)
	here := &net.TCPAddr{IP: net.IPv4(127, byte(2+n>>16), byte(n>>8), byte(n))}
	t := &http.Transport{DialContext: (&net.Dialer{LocalAddr: here}).DialContext}
	defer t.CloseIdleConnections()
	p := phone.New(phone.Config{HTTP: &http.Client{Transport: t, Timeout: patience}})
	defer p.Close()
	id, err := p.SCEP(ctx, phone.SCEPRequest{URL: "http://" + s.plain + "/scep/smime-signing", Challenge: challenge,
		Keysize: 2048, KeyUsage: 1, Key: key, Ready: ready})
	if err != nil {
		return nil, err
	}
	return id.Certificate, nil
}

// sql reads one number from the database.
func (k *issuing) sql(query string, args ...any) (n int) {
	k.t.Helper()
	db, err := k.raw()
	k.must(err)
	defer db.Close()
	k.must(db.QueryRow(query, args...).Scan(&n))
	return n
}

func (k *issuing) raw() (*sql.DB, error) {
	if k.dsn != "" {
		return sql.Open("mysql", k.dsn)
	}
	return sql.Open("sqlite", "file:"+filepath.Join(k.dir, "data", "signet.db")+"?_pragma=busy_timeout(5000)")
}

// twice counts the challenges that gave more than one certificate.
const twice = `SELECT COUNT(*) FROM (SELECT challenge FROM issuance WHERE state = 'issued' GROUP BY challenge HAVING COUNT(*) > 1) x`

// Two servers share one MariaDB. Of many clients that come to both with one
// challenge, one gets a certificate, and the database has one.
func TestOneChallengeOnTwoServers(t *testing.T) {
	t.Parallel()
	rounds, clients := soak(50, 1000), 8
	k := newIssuing(t, mariadbtest.Database(t))
	k.must(exec.Command("cp", "-a", k.servers[0].data, filepath.Join(k.dir, "second")).Run())
	k.must(os.Remove(filepath.Join(k.dir, "second", "signet.sock")))
	k.serve(k.add(filepath.Join(k.dir, "second")))
	wins := [2]int{}
	for range rounds {
		wins[k.race(clients)]++
	}
	t.Logf("%d challenges, %d clients each; the servers issued %v", rounds, clients, wins)
	for what, n := range map[string]int{
		"certificates":         k.sql(`SELECT COUNT(*) FROM certificate WHERE source = 'issued' AND profile = 'smime-signing'`),
		"issuances":            k.sql(`SELECT COUNT(*) FROM issuance WHERE state = 'issued' AND profile = 'smime-signing'`),
		"challenges used":      k.sql(`SELECT COUNT(*) FROM scep_challenge WHERE used_at > 0`),
		"entries of a journal": k.sql(`SELECT COUNT(*) FROM journal WHERE action = 'certificate.issued'`),
	} {
		if n != rounds {
			t.Errorf("%d %s, want %d", n, what, rounds)
		}
	}
	if n := k.sql(twice); n != 0 {
		t.Errorf("%d challenges gave several certificates", n)
	}
}

// race sends clients with different keys and one challenge to both servers at
// once, and tells which of them issued.
func (k *issuing) race(clients int) (winner int) {
	k.t.Helper()
	challenge, err := k.challenge(k.t.Context())
	k.must(err)
	var here, group sync.WaitGroup
	here.Add(clients)
	won := make(chan int, clients)
	for n := range clients {
		group.Go(func() {
			var once sync.Once
			arrive := func() { once.Do(here.Done) }
			defer arrive()
			_, err := k.ask(k.t.Context(), k.servers[n%2], challenge, k.keys.Next(), func() { arrive(); here.Wait() })
			refusal, isRefusal := errors.AsType[*phone.SCEPFailure](err)
			switch {
			case err == nil:
				won <- n % 2
			case !isRefusal || refusal.FailInfo != "2" || refusal.Text != "scep_challenge_used":
				k.t.Errorf("a loser heard %v", err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 {
		k.t.Fatalf("%d of %d clients got a certificate", len(won), clients)
	}
	return <-won
}

// Clients enroll while the server is killed at random moments: with its
// database on SQLite, and the database server as well on MariaDB. What they
// were given is on record and not revoked; nothing was issued twice; who asks
// again gets the same; and serial numbers that were only reserved are revoked.
func TestIssuanceIsKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		k := newIssuing(t, "")
		k.underFire(k.shoot)
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		db := mariadbtest.New(t)
		k := newIssuing(t, db.Database(t))
		k.underFire(k.shoot, func() { db.Kill(); k.must(db.Start()) })
	})
}

func (k *issuing) shoot() {
	k.kill(k.servers[0])
	k.serve(k.servers[0])
}

// given is a certificate that a client has, and what it asked with.
type given struct {
	challenge string
	key       *rsa.PrivateKey
	cert      *x509.Certificate
}

func (k *issuing) underFire(shots ...func()) {
	ctx, stop := context.WithCancel(k.t.Context())
	defer stop()
	var group sync.WaitGroup
	var mu sync.Mutex
	var all []given
	var again atomic.Int32 // requests that were sent more than once
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				g := k.enroll(ctx, &again)
				if g.cert != nil {
					mu.Lock()
					all = append(all, g)
					mu.Unlock()
				}
			}
		})
	}
	kills := soak(5, 20)
	for n := range kills {
		time.Sleep(time.Duration(50+mathrand.IntN(500)) * time.Millisecond)
		shots[n%len(shots)]()
	}
	stop()
	group.Wait()
	reserved := k.sql(`SELECT COUNT(*) FROM issuance WHERE state <> 'issued'`)
	k.t.Logf("%d kills, %d certificates given, %d requests repeated, %d serial numbers reserved in vain", kills, len(all), again.Load(), reserved)
	if len(all) == 0 || again.Load() == 0 {
		k.t.Error("nothing was given, or nothing was broken off")
	}
	k.onRecord(all)
	k.revokedInVain(all)
}

// enroll is what one client does until it has a certificate or ctx ends.
func (k *issuing) enroll(ctx context.Context, again *atomic.Int32) given {
	g := given{key: k.keys.Next()}
	for ctx.Err() == nil && g.challenge == "" {
		g.challenge, _ = k.challenge(ctx) // may be killed
	}
	for try := 0; ctx.Err() == nil; try++ {
		if try > 0 {
			again.Add(1)
			time.Sleep(pause)
		}
		c, err := k.ask(ctx, k.servers[0], g.challenge, g.key, nil)
		if err == nil {
			g.cert = c
			return g
		}
		if refusal, ok := errors.AsType[*phone.SCEPFailure](err); ok && refusal.Text != "database_unavailable" && refusal.Text != "database_outcome_unknown" {
			k.t.Errorf("a client that came again was refused: %v", err)
			return g
		}
	}
	return g
}

// onRecord looks for what was given, and asks for it once more.
func (k *issuing) onRecord(all []given) {
	k.t.Helper()
	db, err := k.raw()
	k.must(err)
	defer db.Close()
	serials := map[string]bool{}
	for _, g := range all {
		serials[g.cert.SerialNumber.String()] = true
		var n int
		k.must(db.QueryRow(`SELECT COUNT(*) FROM certificate c JOIN issuance i ON i.fingerprint = c.fingerprint
			WHERE c.fingerprint = ? AND c.revoked_at = 0 AND i.state = 'issued'`, cert.FingerprintOf(g.cert.Raw).String()).Scan(&n))
		if n != 1 {
			k.t.Errorf("certificate %x, which a client has, is %d times on record", g.cert.SerialNumber, n)
		}
		c, err := k.ask(k.t.Context(), k.servers[0], g.challenge, g.key, nil)
		if err != nil || !c.Equal(g.cert) {
			k.t.Errorf("asking again for %x: another one, or %v", g.cert.SerialNumber, err)
		}
	}
	if len(serials) != len(all) {
		k.t.Errorf("%d serial numbers on %d certificates", len(serials), len(all))
	}
	if n := k.sql(twice); n != 0 {
		k.t.Errorf("%d challenges gave several certificates", n)
	}
	if n := k.sql(`SELECT COUNT(*) FROM scep_challenge c WHERE used_at > 0 AND NOT EXISTS
		(SELECT 1 FROM issuance i WHERE i.challenge = c.hash AND i.state = 'issued')`); n != 0 {
		k.t.Errorf("%d challenges were used up for nothing", n)
	}
}

// revokedInVain revokes one certificate, a day later, and wants on the list it,
// all serial numbers that were reserved in vain, and no other.
func (k *issuing) revokedInVain(all []given) {
	k.t.Helper()
	db, err := k.raw()
	k.must(err)
	defer db.Close()
	_, err = db.Exec(`UPDATE issuance SET created_at = created_at - 86400000000 WHERE state = 'issuing'`)
	k.must(err)
	one := all[0].cert
	k.must(k.signet("ca", "revoke", cert.FingerprintOf(one.Raw).String(), "--reason", "superseded"))
	want := map[string]bool{string(cert.SerialOf(one.SerialNumber)): true}
	rows, err := db.Query(`SELECT serial FROM issuance WHERE issuer = 'smime' AND state <> 'issued'`)
	k.must(err)
	defer rows.Close()
	for rows.Next() {
		var serial string
		k.must(rows.Scan(&serial))
		want[serial] = true
	}
	k.must(rows.Err())
	got := k.list()
	for until := time.Now().Add(2 * patience); !maps.Equal(got, want) && time.Now().Before(until); time.Sleep(pause) {
		got = k.list() // what died is looked for once a minute
	}
	if !maps.Equal(got, want) {
		k.t.Errorf("%d serial numbers are on the list, want %d: %v", len(got), len(want), got)
	}
}

// list reads the CA's published list.
func (k *issuing) list() map[string]bool {
	k.t.Helper()
	resp, err := http.Get("http://" + k.servers[0].plain + "/pki/smime.crl")
	k.must(err)
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	k.must(err)
	list, err := x509.ParseRevocationList(der)
	k.must(err)
	got := map[string]bool{}
	for _, e := range list.RevokedCertificateEntries {
		got[string(cert.SerialOf(e.SerialNumber))] = true
	}
	return got
}
