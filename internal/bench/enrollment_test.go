package bench

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/phone"
)

// enrollments is how many one round has; there are [rounds] for each number of
// certificates that the database holds before.
const enrollments = 300

// BenchmarkEnrollment is the processor time that the server takes for one
// enrollment over SCEP, HTTP and the durable writes of SQLite included, with as
// many certificates stored as the name says: medians of alternating rounds.
// Messages are made before; rsa is one operation with a private key of 2048
// bits, measured between the rounds.
func BenchmarkEnrollment(b *testing.B) {
	keys := siblings(b)
	key := keys.Next()
	list := []*stocked{}
	for _, n := range []int{0, 100_000, 1_000_000} {
		list = append(list, stock(b, keys, n))
	}
	var rsaTook []time.Duration
	for b.Loop() {
		for range rounds {
			rsaTook = append(rsaTook, rsaOperation(b, key))
			for _, s := range list {
				s.round(b)
			}
		}
	}
	one := ms(median(rsaTook))
	b.ReportMetric(one, "rsa-ms")
	for _, s := range list {
		took := ms(median(s.took))
		b.Logf("%8d certificates: %.2f ms, %.2f RSA operations; rounds %v", s.certificates, took, took/one, s.took)
		b.ReportMetric(took, fmt.Sprintf("ms-at-%d(bar:3.4)", s.certificates))
	}
	empty, full := ms(median(list[0].took)), ms(median(list[len(list)-1].took))
	b.ReportMetric(empty/one, "rsa-operations")
	b.ReportMetric(full/empty, "full/empty(bar:1.10)")
	b.ReportMetric(0, "ns/op")
}

func siblings(b *testing.B) *phone.Siblings {
	b.Helper()
	keys, err := phone.NewSiblings()
	if err != nil {
		b.Fatal(err)
	}
	return keys
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stocked is a server whose database holds certificates.
type stocked struct {
	*server
	keys         *phone.Siblings
	certificates int
	plain        string // address of the listener without TLS
	api          *admin.Client
	ra           *x509.Certificate
	users        int
	from         int // addresses that asked
	took         []time.Duration
}

func stock(b *testing.B, keys *phone.Siblings, n int) *stocked {
	plain := freeAddress(b)
	s := &stocked{server: install(b, "SIGNET_HTTP_LISTEN="+plain, "SIGNET_LIMITS_CERTIFICATES_PER_HOUR=100000"), keys: keys, certificates: n, plain: plain}
	s.start()
	s.api = admin.Dial(filepath.Join(s.data, "signet.sock"))
	s.findRA(b)
	s.enroll(b, s.messages(b, 1))
	if n > 0 {
		s.stop()
		file := filepath.Join(s.data, "signet.db")
		multiply(b, file, n, "scep_challenge", "issuance", "certificate", "journal")
		chain(b, file)
		s.start()
	}
	s.enroll(b, s.messages(b, 50)) // what is done once only
	return s
}

// chain has the copies in the journal be of the day before and chained, as they
// are everywhere but in the minutes after an upgrade: what is new is looked for
// among the lines of some minutes. It is not a chain that anybody could verify.
func chain(b *testing.B, file string) {
	b.Helper()
	db := opened(b, file)
	defer db.Close()
	const far, inBlock = 1 << 40, 1000 // no block of the server has such a number
	day := (24 * time.Hour).Microseconds()
	if _, err := db.Exec(`UPDATE journal SET at = at - ? WHERE id NOT IN (SELECT entry FROM audit_link)`, day); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO audit_link (block, n, entry, digest) SELECT ? + rowid / ?, rowid % ?, id, '' FROM journal
		WHERE id NOT IN (SELECT entry FROM audit_link)`, far, inBlock, inBlock); err != nil {
		b.Fatal(err)
	}
}

func (s *stocked) scep(operation string) string {
	return "http://" + s.plain + "/scep/smime-signing?operation=" + operation
}

func (s *stocked) findRA(b *testing.B) {
	b.Helper()
	resp, err := http.Get(s.scep("GetCACert"))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	list, err := cms.Certificates(body, 0)
	if err != nil || len(list) == 0 {
		b.Fatalf("%d certificates, %v", len(list), err)
	}
	s.ra = list[0]
}

// messages makes requests, each with a challenge and a key of its own. A user
// has perUser of them, few enough for the limit of an hour.
func (s *stocked) messages(b *testing.B, n int) [][]byte {
	b.Helper()
	const perUser = 10
	list := make([][]byte, n)
	var address string
	for i := range list {
		if i%perUser == 0 {
			address = s.user(b)
		}
		c, err := s.api.CreateChallenge(b.Context(), admin.NewChallenge{Profile: "smime-signing", User: address})
		if err != nil {
			b.Fatal(err)
		}
		list[i] = s.message(b, c.Challenge, s.keys.Next())
	}
	return list
}

// user adds a user and gives the address.
func (s *stocked) user(b *testing.B) string {
	b.Helper()
	s.users++
	address := fmt.Sprintf("user%d@example.com", s.users)
	if _, err := s.api.AddUser(b.Context(), admin.NewUser{Mail: address, Name: "User Example"}); err != nil {
		b.Fatal(err)
	}
	return address
}

func (s *stocked) message(b *testing.B, challenge string, key *rsa.PrivateKey) []byte {
	b.Helper()
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: challenge}, key)
	if err != nil {
		b.Fatal(err)
	}
	envelope, err := cms.Encrypt(csr, s.ra, cms.AES128CBC)
	if err != nil {
		b.Fatal(err)
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	var signed []byte
	attribute := func(n int, v any) cms.Attribute {
		return cms.Attribute{Type: asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}, Value: v}
	}
	if signed, err = cms.Sign(envelope, cms.Signer{Certificate: selfSigned(b, key), Key: key, Time: time.Now()},
		attribute(2, "19"), attribute(5, nonce), attribute(7, fmt.Sprintf("%x", sha256.Sum256(csr)))); err != nil {
		b.Fatal(err)
	}
	return signed
}

func selfSigned(b *testing.B, key *rsa.PrivateKey) *x509.Certificate {
	b.Helper()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// round measures enrollments.
func (s *stocked) round(b *testing.B) {
	b.Helper()
	list := s.messages(b, enrollments)
	before := cpu(b, s.run.Process.Pid)
	s.enroll(b, list)
	s.took = append(s.took, (cpu(b, s.run.Process.Pid)-before)/enrollments)
}

// perClient is how many requests one address sends: the server limits what it
// does for each.
const perClient = 50

// enroll sends requests and wants a certificate for each.
func (s *stocked) enroll(b *testing.B, list [][]byte) {
	b.Helper()
	for part := range slices.Chunk(list, perClient) {
		s.from++
		here := &net.TCPAddr{IP: net.IPv4(127, 1, byte(s.from>>8), byte(s.from))}
		t := &http.Transport{DialContext: (&net.Dialer{LocalAddr: here}).DialContext}
		c := &http.Client{Transport: t, Timeout: patience}
		for _, m := range part {
			s.ask(b, c, m)
		}
		t.CloseIdleConnections()
	}
}

func (s *stocked) ask(b *testing.B, c *http.Client, message []byte) {
	b.Helper()
	resp, err := c.Post(s.scep("PKIOperation"), "application/x-pki-message", bytes.NewReader(message))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	reply, err := cms.Verify(body, cms.Accept{})
	if err != nil {
		b.Fatalf("%d %.200q: %v", resp.StatusCode, body, err)
	}
	status := ""
	if err := reply.Attribute(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}, &status); err != nil || status != "0" {
		b.Fatalf("pkiStatus %q, %v", status, err)
	}
}

// rsaOperation is how long one takes with a private key of 2048 bits.
func rsaOperation(b *testing.B, key *rsa.PrivateKey) time.Duration {
	b.Helper()
	digest := sha256.Sum256(nil)
	const times = 200
	begin := cpuOfSelf(b)
	for range times {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
	return (cpuOfSelf(b) - begin) / times
}
