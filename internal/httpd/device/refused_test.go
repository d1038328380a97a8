package device_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// cast is who is there when somebody tries what he may not.
type cast struct {
	*server
	alice, bob, carol mdm.Invitation // enrolled
	sender            *phone.Phone   // Alice's
	udid, bobs        string
	order             string // CommandUUID of Bob's

	mine, his, revoked *phone.Identity // of Alice, Bob and Carol
	invited            *phone.Identity // of another device of Alice that did not authenticate yet
	unused             *phone.Identity // of Alice's device, which never authenticated with it
	outgrown           *phone.Identity // of Alice's device, from before a renewal
}

func newCast(t *testing.T) *cast { return newCastOn(t, options{}) }

func newCastOn(t *testing.T, o options, change ...func(*phone.Config)) *cast {
	t.Helper()
	c := &cast{server: newServer(t, o)}
	var bob, carol *phone.Phone
	c.sender, c.alice = c.enrolled(c.user("alice@example.com", "Alice"), change...)
	bob, c.bob = c.enrolled(c.user("bob@example.com", "Bob"))
	carol, c.carol = c.enrolled(c.user("carol@example.com", "Carol"))
	c.udid, c.bobs = c.sender.UDID(), bob.UDID()
	c.outgrown, c.his, c.revoked = own(c.sender), own(bob), own(carol)
	c.must(c.scep.Revoke(t.Context(), admin, cert.FingerprintOf(c.revoked.Certificate.Raw), "keyCompromise"))
	second, _, _ := c.invite(c.alice.User)
	c.invited, c.mine = c.issue(second), c.issue(c.alice)
	if status, _ := c.tell(phone.CheckIn, c.mine, checkIn("Authenticate", c.udid)); status != 200 {
		t.Fatalf("renewing: got %d", status)
	}
	c.unused = c.issue(c.alice)
	c.must(c.mdm.Refresh(t.Context(), admin, c.bob.Device.ID, false))
	c.order = c.detail(c.bob).Commands[0].UUID
	return c
}

func own(p *phone.Phone) *phone.Identity {
	e, _ := p.Enrollment()
	return e.Identity
}

// issue gets an identity for an invited device.
func (c *cast) issue(inv mdm.Invitation) *phone.Identity {
	c.t.Helper()
	x, err := c.scep.Challenge(c.t.Context(), admin, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: inv.User, Device: inv.Device})
	c.must(err)
	id, err := c.sender.SCEP(c.t.Context(), phone.SCEPRequest{URL: x.URL, Challenge: x.Secret.RevealString(), Keysize: 2048, KeyUsage: 5})
	c.must(err)
	return id
}

func (c *cast) tell(kind phone.Kind, by *phone.Identity, body any) (status int, answer []byte) {
	c.t.Helper()
	status, answer, err := c.sender.Probe(c.t.Context(), phone.Message{Kind: kind, Identity: by, Body: body})
	c.must(err)
	return status, answer
}

func (c *cast) detail(inv mdm.Invitation) mdm.Detail {
	c.t.Helper()
	d, err := c.mdm.Device(c.t.Context(), string(inv.Device.ID))
	c.must(err)
	return d
}

// forged is a certificate that says what Alice's does, and was signed with that
// key in the name of its issuer.
func (c *cast) forged(issuer *x509.Certificate, key crypto.Signer) *phone.Identity {
	mine := c.mine.Certificate
	like := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: mine.Subject, URIs: mine.URIs,
		NotBefore: mine.NotBefore, NotAfter: mine.NotAfter, KeyUsage: mine.KeyUsage, ExtKeyUsage: mine.ExtKeyUsage}
	named := &x509.Certificate{Subject: issuer.Subject, SubjectKeyId: issuer.SubjectKeyId, PublicKey: key.Public()}
	named.RawSubject = issuer.RawSubject
	der := must(x509.CreateCertificate(rand.Reader, like, named, c.mine.Key.Public(), key))
	return &phone.Identity{Certificate: must(x509.ParseCertificate(der)), Key: c.mine.Key}
}

func checkIn(kind, udid string) map[string]any {
	m := map[string]any{"MessageType": kind, "UDID": udid, "Topic": topic}
	if kind == "TokenUpdate" {
		m["Token"], m["PushMagic"] = []byte("x"), "y"
	}
	return m
}

func result(status, command, udid string) map[string]any {
	return map[string]any{"Status": status, "CommandUUID": command, "UDID": udid}
}

// Whoever is not the device that he says is refused, and written down, whatever
// he says at which address, and nothing changes.
func TestNobodyElseIsTheDevice(t *testing.T) {
	c := newCast(t)
	authorities, k := c.scep.Authorities, keys()
	ca, root := authorities[1].Issuer.Certificate(), authorities[0].Issuer.Certificate()
	const (
		mismatch = "device_identity_mismatch"
		expired  = "device_identity_expired"
		revoked  = "device_identity_revoked"
		stranger = "mdm_stranger"
		foreign  = "command_foreign"
		nowhere  = "U-unheard"
	)
	namesake, byRoot := c.forged(ca, k.signer), c.forged(root, k.root)
	self := selfSigned(t, c.mine.Certificate, c.mine.Key)
	ra := &phone.Identity{Certificate: raOf(c.server), Key: k.ra}
	const late = (365 + 91) * 24 * time.Hour
	rows := []struct {
		name string
		kind phone.Kind
		by   *phone.Identity
		body any
		want string
		in   time.Duration // that later
	}{
		{"unknown UDID polls", phone.Connect, c.mine, idle(nowhere), mismatch, 0},
		{"unknown UDID, TokenUpdate", phone.CheckIn, c.mine, checkIn("TokenUpdate", nowhere), mismatch, 0},
		{"unknown UDID, CheckOut", phone.CheckIn, c.mine, checkIn("CheckOut", nowhere), mismatch, 0},
		{"another device's certificate polls", phone.Connect, c.his, idle(c.udid), mismatch, 0},
		{"another device's certificate, Authenticate", phone.CheckIn, c.his, checkIn("Authenticate", c.udid), mismatch, 0},
		{"another device's certificate, TokenUpdate", phone.CheckIn, c.his, checkIn("TokenUpdate", c.udid), mismatch, 0},
		{"another device's certificate, CheckOut", phone.CheckIn, c.his, checkIn("CheckOut", c.udid), mismatch, 0},
		{"expired, polls", phone.Connect, c.mine, idle(c.udid), expired, late},
		{"expired, Authenticate", phone.CheckIn, c.mine, checkIn("Authenticate", c.udid), expired, late},
		{"expired, TokenUpdate", phone.CheckIn, c.mine, checkIn("TokenUpdate", c.udid), expired, late},
		{"expired, CheckOut", phone.CheckIn, c.mine, checkIn("CheckOut", c.udid), expired, late},
		{"expired, a result", phone.Connect, c.mine, result("Acknowledged", c.order, c.udid), expired, late},
		{"revoked, polls", phone.Connect, c.revoked, idle(c.udid), revoked, 0},
		{"revoked, Authenticate", phone.CheckIn, c.revoked, checkIn("Authenticate", c.udid), revoked, 0},
		{"revoked, TokenUpdate", phone.CheckIn, c.revoked, checkIn("TokenUpdate", c.udid), revoked, 0},
		{"revoked, CheckOut", phone.CheckIn, c.revoked, checkIn("CheckOut", c.udid), revoked, 0},
		{"self-signed, polls", phone.Connect, self, idle(c.udid), stranger, 0},
		{"self-signed, CheckOut", phone.CheckIn, self, checkIn("CheckOut", c.udid), stranger, 0},
		{"of a CA with the same name, polls", phone.Connect, namesake, idle(c.udid), stranger, 0},
		{"of a CA with the same name, CheckOut", phone.CheckIn, namesake, checkIn("CheckOut", c.udid), stranger, 0},
		{"of our root, polls", phone.Connect, byRoot, idle(c.udid), stranger, 0},
		{"of our root, Authenticate", phone.CheckIn, byRoot, checkIn("Authenticate", c.udid), stranger, 0},
		{"our own RA, polls", phone.Connect, ra, idle(c.udid), stranger, 0},
		{"our own RA, TokenUpdate", phone.CheckIn, ra, checkIn("TokenUpdate", c.udid), stranger, 0},
		{"UDID that changes, Authenticate", phone.CheckIn, c.mine, checkIn("Authenticate", nowhere), mismatch, 0},
		{"Bob's UDID, Authenticate", phone.CheckIn, c.mine, checkIn("Authenticate", c.bobs), mismatch, 0},
		{"Bob's UDID, polls", phone.Connect, c.mine, idle(c.bobs), mismatch, 0},
		{"Bob's UDID, TokenUpdate", phone.CheckIn, c.mine, checkIn("TokenUpdate", c.bobs), mismatch, 0},
		{"Bob's UDID, CheckOut", phone.CheckIn, c.mine, checkIn("CheckOut", c.bobs), mismatch, 0},
		{"EnrollmentID for a UDID", phone.Connect, c.mine, map[string]any{"Status": "Idle", "EnrollmentID": nowhere}, mismatch, 0},
		{"TokenUpdate before Authenticate", phone.CheckIn, c.invited, checkIn("TokenUpdate", nowhere), mismatch, 0},
		{"poll before Authenticate", phone.Connect, c.invited, idle(nowhere), mismatch, 0},
		{"CheckOut before Authenticate", phone.CheckIn, c.invited, checkIn("CheckOut", nowhere), mismatch, 0},
		{"Bob's UDID under an own invitation", phone.CheckIn, c.invited, checkIn("Authenticate", c.bobs), "device_taken", 0},
		{"identity that was never used, polls", phone.Connect, c.unused, idle(c.udid), mismatch, 0},
		{"identity that was never used, CheckOut", phone.CheckIn, c.unused, checkIn("CheckOut", c.udid), mismatch, 0},
		{"identity of before, Authenticate", phone.CheckIn, c.outgrown, checkIn("Authenticate", c.udid), mismatch, 0},
		{"identity of before, a day later", phone.Connect, c.outgrown, idle(c.udid), mismatch, 25 * time.Hour},
		{"acknowledges Bob's command", phone.Connect, c.mine, result("Acknowledged", c.order, c.udid), foreign, 0},
		{"fails Bob's command", phone.Connect, c.mine, result("Error", c.order, c.udid), foreign, 0},
		{"postpones Bob's command", phone.Connect, c.mine, result("NotNow", c.order, c.udid), foreign, 0},
		{"cannot read Bob's command", phone.Connect, c.mine, result("CommandFormatError", c.order, c.udid), foreign, 0},
	}
	look := func() []mdm.Detail { return []mdm.Detail{c.detail(c.alice), c.detail(c.bob), c.detail(c.carol)} }
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c.ahead.Store(int64(r.in))
			defer c.ahead.Store(0)
			before, refusals := look(), c.entries(journal.DeviceRefused, r.want)
			status, answer := c.tell(r.kind, r.by, r.body)
			if status < 400 || status == 401 || status >= 500 || bytes.Contains(answer, []byte("unrecognized")) {
				t.Errorf("got %d %q; want a refusal that no device takes for its end", status, answer)
			}
			if got := c.entries(journal.DeviceRefused, r.want) - refusals; got != 1 {
				t.Errorf("the journal has %d new refusals %s, want 1", got, r.want)
			}
			if diff := cmp.Diff(before, look()); diff != "" {
				t.Errorf("something changed: %s", diff)
			}
		})
	}
	if status, answer := c.tell(phone.Connect, c.mine, idle(c.udid)); status != 200 {
		t.Errorf("Alice herself: got %d %q", status, answer)
	}
}
