package device_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

const topic = "com.apple.mgmt.External.6d1f8e4c-0000-4000-8000-000000000000"

var admin = journal.Actor{Kind: journal.Local, ID: "socket"}

// keys are made once for all tests.
var keys = sync.OnceValue(func() (k struct {
	root, tls, signer *ecdsa.PrivateKey
	ca, ra            *rsa.PrivateKey
	phones            []*rsa.PrivateKey
}) {
	for _, to := range []**ecdsa.PrivateKey{&k.root, &k.tls, &k.signer} {
		*to = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	k.ca, k.ra = must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	for range 6 {
		k.phones = append(k.phones, must(rsa.GenerateKey(rand.Reader, 2048)))
	}
	return k
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// server is the whole of the device's side of Signet on loopback.
type server struct {
	t     testing.TB
	url   string
	db    *store.DB
	mdm   *mdm.Service
	scep  *scep.Service
	roots *x509.CertPool
	keys  *phone.KeyPool // of its phones, no two alike
	site  http.Handler
	live  *httpd.Live
	ahead atomic.Int64 // by so many nanoseconds is the server's clock
}

func (s *server) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// options change how a server is set up.
type options struct {
	lab, unsigned, mutual bool
	progress              string
}

func newServer(t testing.TB, o options) *server {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	socket := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := socket.Addr().String()
	socket.Close()

	k := keys()
	s := &server{t: t, url: "https://" + addr, db: db, roots: x509.NewCertPool(), keys: &phone.KeyPool{}}
	s.keys.Add(k.phones...)
	root := must(ca.NewRoot(k.root, ca.Names{CommonName: "Example Root", Organization: "Example"}, time.Now()))
	s.roots.AddCert(root)
	rootCA := must(ca.NewIssuer("root", k.root, []*x509.Certificate{root}, ca.URLs{}))
	deviceCert := must(ca.NewDeviceCA(rootCA, k.ca.Public(), ca.Names{CommonName: "Example Device CA", Organization: "Example"}, time.Now()))
	deviceCA := must(ca.NewIssuer("device", k.ca, []*x509.Certificate{deviceCert, root}, ca.URLsBelow("http://"+addr, "device")))
	ra := must(ca.NewRA(deviceCA, k.ra.Public(), ca.Names{CommonName: "Example RA", Organization: "Example"}, time.Now()))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	profiles := scep.Fixed(scep.Shipped("device", "mail")[:1])
	keeper := scep.NewCertifier(scep.CertifierConfig{Store: db.SCEP(), Seats: []scep.Seat{{Issuer: rootCA}, {Issuer: deviceCA, RA: scep.RA{Certificate: ra, Signer: k.ra, Decrypter: k.ra}}}, Profiles: profiles, Log: log, Now: s.now})
	s.scep = must(scep.New(scep.Config{Store: db.SCEP(), Keeper: keeper, Profiles: profiles, URL: s.url + "/scep", Log: log, Now: s.now,
		Authorities: []scep.Authority{{Issuer: rootCA.Public}, {Issuer: deviceCA.Public, RA: scep.RA{Certificate: ra, Signer: k.ra, Decrypter: k.ra}}}}))
	s.mdm = mdm.New(mdm.Config{Store: db.MDM(must(seal.NewBox(seal.RandomRoot(), "enrollment"))), BaseURL: s.url,
		Organization: "Example", Topic: fixed(topic), Lab: o.lab, Now: s.now})
	c := device.Config{MDM: s.mdm, SCEP: s.scep, Sessions: access.New(db.Access(), s.now),
		Live: httpd.NewLive(), Help: httpd.Help{Name: "The help desk", Phone: "+49 30 123"},
		Roots: func() []*x509.Certificate { return []*x509.Certificate{root} }, Progress: o.progress}
	s.live = c.Live
	if !o.unsigned {
		signer := must(ca.NewProfileSigner(rootCA, k.signer.Public(), ca.Names{CommonName: "Example IT", Organization: "Example"}, time.Now()))
		c.Signer = signing{cms.Signer{Certificate: signer, Key: k.signer, Include: []*x509.Certificate{root}}}
	}
	s.site = httpd.NewSite(log, []string{"127.0.0.1"}, append(device.Areas(c), httpd.Static())...)
	s.serve(addr, must(ca.NewTLSServer(rootCA, k.tls.Public(), []string{"127.0.0.1"}, time.Now())), k.tls, o.mutual)
	return s
}

func (s *server) serve(addr string, c *x509.Certificate, key crypto.Signer, mutual bool) {
	s.t.Helper()
	own := &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	l, err := httpd.Listen("--listen", addr, httpd.TLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }, mutual), s.site)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- httpd.Serve(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)), l) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

type signing struct{ cms.Signer }

func (s signing) SignProfile(b []byte) ([]byte, error) { return profile.Sign(b, s.Signer) }

func (s *server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) user(mail, name string) subject.User {
	s.t.Helper()
	u := subject.User{ID: subject.NewUserID(), Mail: mail, UPN: mail, Name: name, CreatedAt: time.Now(),
		Aliases: []string{}, Groups: []subject.GroupID{}}
	s.must(s.db.Directory().UserSaved(s.t.Context(), u, journal.Entry{At: time.Now(), Actor: admin, Action: journal.UserAdded}))
	return u
}

// invite gives link and code.
func (s *server) invite(u subject.User) (inv mdm.Invitation, link, code string) {
	s.t.Helper()
	inv, l, c, err := s.mdm.Invite(s.t.Context(), admin, u)
	s.must(err)
	return inv, l.RevealString(), c.RevealString()
}

// phone makes an iPhone whose user taps through the warning about our
// certificate, and that trusts nothing but what the profile brings.
func (s *server) phone(change ...func(*phone.Config)) *phone.Phone {
	c := phone.Config{VisitAnyway: true, Keys: s.keys}
	for _, f := range change {
		f(&c)
	}
	p := phone.New(c)
	s.t.Cleanup(p.Close)
	return p
}

// enrolled gives a phone that is enrolled for a user.
func (s *server) enrolled(u subject.User, change ...func(*phone.Config)) (*phone.Phone, mdm.Invitation) {
	s.t.Helper()
	p := s.phone(change...)
	inv, link, code := s.invite(u)
	b, err := p.Open(s.t.Context(), link, code)
	s.must(err)
	s.must(p.Enroll(s.t.Context(), b))
	return p, inv
}

func (s *server) state(inv mdm.Invitation) mdm.State {
	s.t.Helper()
	d, err := s.mdm.Device(s.t.Context(), string(inv.Device.ID))
	s.must(err)
	return d.State
}

func (s *server) entries(a journal.Action, code string) int {
	s.t.Helper()
	list, err := s.db.Journal().Latest(s.t.Context(), 1000)
	s.must(err)
	n := 0
	for _, e := range list {
		if e.Action == a && (code == "" || e.Detail["code"] == code) {
			n++
		}
	}
	return n
}

// browser is a plain HTTP client that follows no redirect.
func (s *server) browser() *http.Client {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	s.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask makes a request and gives status, header and body.
func (s *server) ask(method, url string, header http.Header, body io.Reader) (int, http.Header, string) {
	s.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = s.url + url
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, body)
	s.must(err)
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := s.browser().Do(r)
	s.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	s.must(err)
	return resp.StatusCode, resp.Header, string(b)
}

// fixed gives a topic as if there were a push certificate.
func fixed(topic string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return topic, nil }
}
