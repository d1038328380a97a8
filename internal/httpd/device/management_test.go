package device_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/mdm"
)

// Devices prove themselves by the signature of real iPhones, by those of other
// clients, and by mutual TLS.
func TestProof(t *testing.T) {
	for name, c := range map[string]struct {
		o      options
		change func(*phone.Config)
	}{
		"as iPhones sign":         {options{}, func(*phone.Config) {}},
		"DER, SHA-256":            {options{}, func(c *phone.Config) { c.Signature = phone.SignatureShape{DER: true, Hash: crypto.SHA256} }},
		"with signed attributes":  {options{}, func(c *phone.Config) { c.Signature = phone.SignatureShape{DER: true, Attributes: true} }},
		"TLS asks, phone has not": {options{mutual: true}, func(*phone.Config) {}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.o)
			p, inv := s.enrolled(s.user("alice@example.com", "Alice"), c.change)
			s.must(s.mdm.Refresh(t.Context(), admin, inv.Device.ID, false))
			if n, err := p.Poll(t.Context()); err != nil || n != 2 {
				t.Errorf("got %d commands, %v; want 2", n, err)
			}
		})
	}
}

// The key of a TLS client is proof without any signature.
func TestMutualTLS(t *testing.T) {
	s := newServer(t, options{mutual: true})
	p, _ := s.enrolled(s.user("alice@example.com", "Alice"), func(c *phone.Config) { c.MutualTLS = true })
	bob, _ := s.enrolled(s.user("bob@example.com", "Bob"))
	p.Close() // what follows goes over a connection that has the identity
	unsigned := http.Header{"Mdm-Signature": nil}
	for udid, want := range map[string]int{p.UDID(): 200, bob.UDID(): 403} {
		if status, _, err := p.Probe(t.Context(), phone.Message{Kind: phone.Connect, Body: idle(udid), Header: unsigned}); err != nil || status != want {
			t.Errorf("own UDID %v: got %d, %v; want %d", udid == p.UDID(), status, err, want)
		}
	}
}

// Over mutual TLS a signed message is that of its signer, who must be the same
// device: one that renews its identity, and nobody else.
func TestSignedOverMutualTLS(t *testing.T) {
	c := newCastOn(t, options{mutual: true}, func(c *phone.Config) { c.MutualTLS = true })
	c.sender.Close() // what follows goes over a connection that has Alice's first identity
	for name, x := range map[string]struct {
		by   *phone.Identity
		udid string
		want int
	}{
		"her renewed identity":         {c.mine, c.udid, 200},
		"Bob's, his device":            {c.his, c.bobs, 400},
		"Bob's, her device":            {c.his, c.udid, 400},
		"her other device, not joined": {c.invited, c.udid, 400},
	} {
		if status, answer := c.tell(phone.Connect, x.by, idle(x.udid)); status != x.want {
			t.Errorf("%s: got %d %q, want %d", name, status, answer, x.want)
		}
	}
}

func idle(udid string) map[string]any { return map[string]any{"Status": "Idle", "UDID": udid} }

// selfSigned is a certificate that says it is the phone's and is not ours.
func selfSigned(t *testing.T, like *x509.Certificate, key crypto.Signer) *phone.Identity {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: like.Subject.CommonName}, URIs: like.URIs,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &phone.Identity{Certificate: must(x509.ParseCertificate(der)), Key: key}
}

// Whatever comes from who is not the device is refused, is never 401, and
// leaves the device as it was.
func TestStrangersAreRefused(t *testing.T) {
	s := newServer(t, options{})
	alice, inv := s.enrolled(s.user("alice@example.com", "Alice"))
	bob, _ := s.enrolled(s.user("bob@example.com", "Bob"))
	mine, _ := alice.Enrollment()
	others, _ := bob.Enrollment()
	header := func(v ...string) http.Header { return http.Header{"Mdm-Signature": v} }
	for name, c := range map[string]struct {
		m       phone.Message
		journal string
	}{
		"no proof":                   {phone.Message{Header: header()}, ""},
		"signature that is no CMS":   {phone.Message{Header: header("AAAA")}, "mdm_signature"},
		"signature that is no text":  {phone.Message{Header: header("\x80")}, "mdm_signature"},
		"two signatures":             {phone.Message{Header: header("AAAA", "AAAA")}, "mdm_signature"},
		"huge signature":             {phone.Message{Header: header(strings.Repeat("A", 20_000))}, "mdm_signature"},
		"self-signed certificate":    {phone.Message{Identity: selfSigned(t, mine.Identity.Certificate, mine.Identity.Key)}, "mdm_stranger"},
		"server's own RA":            {phone.Message{Identity: &phone.Identity{Certificate: raOf(s), Key: keys().ra}}, "mdm_stranger"},
		"another device's":           {phone.Message{Identity: others.Identity}, "device_identity_mismatch"},
		"certificate in a header":    {phone.Message{Header: http.Header{"Mdm-Signature": nil, "Client-Cert": {":" + "AAAA" + ":"}}}, ""},
		"key of another certificate": {phone.Message{Identity: &phone.Identity{Certificate: mine.Identity.Certificate, Key: others.Identity.Key}}, "mdm_signature"},
	} {
		for _, kind := range []phone.Kind{phone.CheckIn, phone.Connect} {
			m := c.m
			m.Kind, m.Body = kind, idle(alice.UDID())
			if kind == phone.CheckIn {
				m.Body = map[string]any{"MessageType": "CheckOut", "UDID": alice.UDID(), "Topic": topic}
			}
			before := s.entries(journal.DeviceRefused, c.journal)
			status, body, err := alice.Probe(t.Context(), m)
			if err != nil || status < 400 || status == 401 || bytes.Contains(body, []byte("unrecognized")) {
				t.Errorf("%s: got %d %q, %v; want a refusal that is no 401", name, status, body, err)
			}
			if got := s.entries(journal.DeviceRefused, c.journal) - before; c.journal != "" && got != 1 {
				t.Errorf("%s: journal has %d new refusals %s, want 1", name, got, c.journal)
			}
		}
	}
	if got := s.state(inv); got != mdm.Enrolled {
		t.Errorf("Alice's device is %s", got)
	}
}

func raOf(s *server) *x509.Certificate { return s.scep.Authorities[1].RA.Certificate }

func TestSignatureIsOverThisBody(t *testing.T) {
	s := newServer(t, options{})
	var taken atomic.Value
	p, inv := s.enrolled(s.user("alice@example.com", "Alice"), s.tap(&taken))
	status, _, err := p.Probe(t.Context(), phone.Message{Kind: phone.CheckIn,
		Body:   map[string]any{"MessageType": "CheckOut", "UDID": p.UDID(), "Topic": topic},
		Header: http.Header{"Mdm-Signature": {taken.Load().(string)}}})
	if err != nil || status != 400 || s.state(inv) != mdm.Enrolled {
		t.Errorf("another body under a caught signature: got %d, %v, device %s", status, err, s.state(inv))
	}
}

// tap lets last hear the signatures of a phone.
func (s *server) tap(last *atomic.Value) func(*phone.Config) {
	return func(c *phone.Config) { c.HTTP = &http.Client{Transport: tapped{s.browser().Transport, last}} }
}

// tapped hears the signatures that go by.
type tapped struct {
	http.RoundTripper
	last *atomic.Value
}

func (t tapped) RoundTrip(r *http.Request) (*http.Response, error) {
	if v := r.Header.Get("Mdm-Signature"); v != "" {
		t.last.Store(v)
	}
	return t.RoundTripper.RoundTrip(r)
}

// A removed device is told in Apple's words, so that it lets go of everything,
// also when its identity was revoked at once.
func TestRemovedDeviceLetsGo(t *testing.T) {
	for _, revoked := range []bool{false, true} {
		s := newServer(t, options{})
		p, inv := s.enrolled(s.user("alice@example.com", "Alice"))
		e, _ := p.Enrollment()
		s.must(s.mdm.Remove(t.Context(), admin, inv.Device.ID, false))
		if revoked {
			s.must(s.scep.Revoke(t.Context(), admin, cert.FingerprintOf(e.Identity.Certificate.Raw), "cessationOfOperation"))
		}
		if _, err := p.Poll(t.Context()); err != nil {
			t.Errorf("revoked %v: %v", revoked, err)
		}
		if _, still := p.Enrollment(); still {
			t.Errorf("revoked %v: the phone is still enrolled", revoked)
		}
	}
	t.Run("that missed its last command", func(t *testing.T) {
		s := newServer(t, options{})
		p, inv := s.enrolled(s.user("alice@example.com", "Alice"))
		s.must(s.mdm.Remove(t.Context(), admin, inv.Device.ID, false))
		_, answer, err := p.Send(t.Context(), phone.Connect, idle(p.UDID()))
		if err != nil || !bytes.Contains(answer, []byte("RemoveProfile")) {
			t.Fatalf("got %q, %v", answer, err)
		}
		if _, err := p.Poll(t.Context()); !errors.Is(err, phone.ErrRemoved) {
			t.Errorf("got %v, want ErrRemoved", err)
		}
	})
}

// The phone enrolls anew under a second invitation; the first device ends.
func TestEnrollAgain(t *testing.T) {
	s := newServer(t, options{})
	alice := s.user("alice@example.com", "Alice")
	same := func(c *phone.Config) { c.UDID = "00008140-000A1B2C3D4E001C" }
	_, first := s.enrolled(alice, same)
	p, second := s.enrolled(alice, same)
	if s.state(first) != mdm.Removed || s.state(second) != mdm.Enrolled {
		t.Errorf("got %s and %s", s.state(first), s.state(second))
	}
	if _, err := p.Poll(t.Context()); err != nil {
		t.Error(err)
	}
}

// The property lists that end a process which parses them are refused, from
// strangers and from an enrolled device alike.
func TestHostileLists(t *testing.T) {
	s := newServer(t, options{})
	p, inv := s.enrolled(s.user("alice@example.com", "Alice"))
	nested := func(n int) []byte {
		return []byte("<plist>" + strings.Repeat("<array>", n) + strings.Repeat("</array>", n) + "</plist>")
	}
	for name, c := range map[string]struct {
		body []byte
		want int
	}{
		"array holds itself":    {[]byte("bplist00\xa1\x00\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"), 400},
		"dict holds itself":     {[]byte("bplist00\xd1\x01\x00\x51k\x08\x0b\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0d"), 400},
		"2^40 bytes of data":    {[]byte("bplist00\x4f\x13\x00\x00\x01\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12"), 400},
		"2^31 elements":         {[]byte("bplist00\xaf\x12\x7f\xff\xff\xff\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e"), 400},
		"doubling 36 times":     {doubling(36), 400},
		"60 000 levels":         {nested(60_000), 400},
		"2 million levels":      {nested(2_000_000), 413},
		"own entities":          {[]byte(`<!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><plist><string>&b;</string></plist>`), 400},
		"UTF-16":                {[]byte("\xff\xfe<\x00p\x00l\x00i\x00s\x00t\x00>\x00"), 400},
		"text of 10 MiB":        {[]byte("<plist><string>" + strings.Repeat("A", 10<<20) + "</string></plist>"), 413},
		"nothing":               {nil, 400},
		"another type for UDID": {[]byte("<plist><dict><key>UDID</key><array/><key>Status</key><data>AA==</data><key>MessageType</key><true/></dict></plist>"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []phone.Kind{phone.CheckIn, phone.Connect} {
				grown := growth(func() {
					if status, _, err := p.Send(t.Context(), kind, c.body); err != nil || status != c.want {
						t.Errorf("enrolled device, address %d: got %d, %v; want %d", kind, status, err, c.want)
					}
				})
				if grown > 32<<20 {
					t.Errorf("memory grew by %d MiB", grown>>20)
				}
			}
			for _, path := range []string{"/mdm/checkin", "/mdm/connect", "/scep/device-identity?operation=PKIOperation"} {
				method := "PUT"
				if strings.HasPrefix(path, "/scep") {
					method = "POST"
				}
				status, _, _ := s.ask(method, path, nil, bytes.NewReader(c.body))
				if status != 400 && status != 413 {
					t.Errorf("stranger at %s: got %d, want 400 or 413", path, status)
				}
			}
		})
	}
	if _, err := p.Poll(t.Context()); err != nil || s.state(inv) != mdm.Enrolled {
		t.Errorf("afterwards: %v, device %s", err, s.state(inv))
	}
}

// doubling is a binary list of so many levels whose reading doubles at each.
func doubling(levels int) []byte {
	out := []byte("bplist00")
	var offsets []byte
	for i := range levels {
		offsets = append(offsets, byte(len(out)))
		out = append(out, 0xa2, byte(i+1), byte(i+1))
	}
	offsets = append(offsets, byte(len(out)))
	out = append(out, 0x09)
	table := len(out)
	out = append(append(out, offsets...), make([]byte, 32)...)
	trailer := out[len(out)-32:]
	trailer[6], trailer[7], trailer[15], trailer[31] = 1, 1, byte(levels+1), byte(table)
	return out
}

// zeros is a body that never was in memory.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// 300 MB are refused and leave the memory flat, whoever sends them and whether
// or not he says how much it is. A stranger's are not even looked into.
func TestHugeBodies(t *testing.T) {
	s := newServer(t, options{})
	var signature atomic.Value
	p, _ := s.enrolled(s.user("alice@example.com", "Alice"), s.tap(&signature))
	const huge = 300 << 20
	for _, who := range []struct {
		name   string
		header http.Header
		unsaid int // status when he says no length
	}{{"stranger", nil, 400}, {"stranger with a header", http.Header{"Mdm-Signature": {"AAAA"}}, 400},
		{"enrolled device", http.Header{"Mdm-Signature": {signature.Load().(string)}}, 413}} {
		for _, path := range []string{"/mdm/checkin", "/mdm/connect"} {
			for length, want := range map[int64]int{huge: 413, -1: who.unsaid} {
				grown := growth(func() {
					if status := s.put(path, who.header, length, huge); status != want {
						t.Errorf("%s at %s, length %d: got %d, want %d", who.name, path, length, status, want)
					}
				})
				if grown > 48<<20 {
					t.Errorf("%s at %s, length %d: memory grew by %d MiB", who.name, path, length, grown>>20)
				}
			}
		}
	}
	if _, err := p.Poll(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// unread fails the test when anybody reads it.
type unread struct{ testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}
func (unread) Close() error { return nil }

// Nothing of a body is read before its sender's certificate is known to be
// ours, however the certificate comes, and no work is spent on large keys.
func TestStrangersBodiesStayUnread(t *testing.T) {
	s := newServer(t, options{})
	p, _ := s.enrolled(s.user("alice@example.com", "Alice"))
	mine, _ := p.Enrollment()
	stranger := selfSigned(t, mine.Identity.Certificate, mine.Identity.Key)
	sign := func(c *x509.Certificate, key crypto.Signer) string {
		return base64.StdEncoding.EncodeToString(must(cms.SignDetached([]byte("body"), cms.Signer{Certificate: c, Key: key})))
	}
	large := must(rsa.GenerateKey(rand.Reader, 4104))
	for name, c := range map[string]struct {
		header []string
		peer   *x509.Certificate
		code   string
	}{
		"no proof":                 {nil, nil, "mdm_unsigned"},
		"two headers":              {[]string{"AAAA", "AAAA"}, nil, "mdm_signature"},
		"no CMS":                   {[]string{"AAAA"}, nil, "mdm_signature"},
		"stranger's signature":     {[]string{sign(stranger.Certificate, stranger.Key)}, nil, "mdm_stranger"},
		"stranger's large key":     {[]string{sign(selfSigned(t, mine.Identity.Certificate, large).Certificate, large)}, nil, "mdm_signature"},
		"stranger over mutual TLS": {nil, stranger.Certificate, "mdm_stranger"},
	} {
		for _, path := range []string{"/mdm/checkin", "/mdm/connect"} {
			t.Run(name+path, func(t *testing.T) {
				r := httptest.NewRequestWithContext(t.Context(), "PUT", s.url+path, unread{t})
				if c.header != nil {
					r.Header["Mdm-Signature"] = c.header
				}
				if c.peer != nil {
					r.TLS.PeerCertificates = []*x509.Certificate{c.peer}
				}
				w := httptest.NewRecorder()
				s.site.ServeHTTP(w, r)
				if w.Code != 400 || w.Body.String() != c.code+"\n" || w.Header().Get("Connection") != "close" {
					t.Errorf("got %d %q, Connection %q; want 400 %s and close", w.Code, w.Body, w.Header().Get("Connection"), c.code)
				}
			})
		}
	}
}

// put sends size bytes that say they are length, and gives the status.
func (s *server) put(path string, header http.Header, length, size int64) int {
	s.t.Helper()
	r := must(http.NewRequestWithContext(s.t.Context(), "PUT", s.url+path, &zeros{size}))
	r.ContentLength = length
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := s.browser().Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// growth is how much larger the heap became at most while f ran, as the
// runtime's own account of memory from the system shows it.
func growth(f func()) int64 {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.Sys) - int64(before.Sys)
}

// BenchmarkPoll is a poll that finds nothing, with its signature checked.
func BenchmarkPoll(b *testing.B) {
	s := newServer(b, options{})
	var signature atomic.Value
	p, _ := s.enrolled(s.user("alice@example.com", "Alice"), s.tap(&signature))
	if _, err := p.Poll(b.Context()); err != nil {
		b.Fatal(err)
	}
	body := `<plist><dict><key>Status</key><string>Idle</string><key>UDID</key><string>` + p.UDID() + `</string></dict></plist>`
	if _, _, err := p.Send(b.Context(), phone.Connect, []byte(body)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), "PUT", s.url+"/mdm/connect", strings.NewReader(body))
		r.Header.Set("Mdm-Signature", signature.Load().(string))
		w := httptest.NewRecorder()
		if s.site.ServeHTTP(w, r); w.Code != 200 {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}
