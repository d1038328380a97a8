package delivery_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// phone carries out commands. It opens what is sealed to it, and installs all
// of a profile or nothing.
type phone struct {
	site     *site
	profiles map[string]installed
	outlook  map[string]any // its configuration; nil: none
	managed  bool
	answer   func(mdm.Command) string // "": takes it; "error", "notnow", "lost"
	lost     *mdm.Outcome             // the reply to repeat
	after    string                   // the command that was answered last
	log      []string
}

type installed struct {
	payloads []map[string]any
	certs    []mdm.Held
}

func newPhone(s *site) *phone { return &phone{site: s, profiles: map[string]installed{}} }

func (p *phone) installed() []string { return slices.Sorted(maps.Keys(p.profiles)) }

// poll does one command and tells whether there was one.
func (p *phone) poll() bool {
	s := p.site
	s.t.Helper()
	s.now = s.now.Add(time.Second)
	if p.lost != nil {
		p.report(*p.lost)
		p.lost = nil
		return true
	}
	c, found, err := s.mdm.Next(s.t.Context(), mdm.Poll{Device: s.device, After: p.after, Refused: mdm.RefusedToo, At: s.now, Until: s.now.Add(30 * time.Second)})
	s.must(err)
	if !found {
		p.after = ""
		return false
	}
	how := ""
	if p.answer != nil {
		how = p.answer(c)
	}
	p.log = append(p.log, fmt.Sprintf("%s %s %v %s", s.now.Format(time.DateTime), c.RequestType, c.Fields, how))
	o := mdm.Outcome{Device: s.device, Command: c.UUID, State: mdm.Acknowledged}
	switch how {
	case "notnow":
		o.State, o.NotBefore = mdm.Queued, s.now.Add(time.Minute)
	case "error":
		o.State, o.Errors = mdm.Failed, []mdm.ErrorItem{{Code: 4001, Domain: "MCInstallationErrorDomain", Description: "Profile Installation Failed"}}
	default:
		if err := p.obey(c, &o); err != nil {
			p.log = append(p.log, "  "+err.Error())
			o = mdm.Outcome{Device: s.device, Command: c.UUID, State: mdm.Failed, Errors: []mdm.ErrorItem{{Code: 1, Domain: "test", Description: err.Error()}}}
		}
	}
	if how == "lost" {
		p.lost = &o
		return true
	}
	p.report(o)
	return true
}

func (p *phone) report(o mdm.Outcome) {
	s := p.site
	s.t.Helper()
	o.At, p.after = s.now, o.Command
	_, err := s.mdm.Reported(s.t.Context(), o, s.entry(journal.DeviceReported))
	s.must(err)
}

func (p *phone) obey(c mdm.Command, o *mdm.Outcome) error {
	switch c.RequestType {
	case "InstallProfile":
		return p.install(c.Payload)
	case "RemoveProfile":
		id, _ := c.Fields["Identifier"].(string)
		if _, there := p.profiles[id]; !there {
			return fmt.Errorf("no profile %s", id)
		}
		delete(p.profiles, id)
	case "CertificateList":
		o.Listed = true
		for _, i := range p.profiles {
			for _, h := range i.certs {
				if !slices.Contains(o.Certificates, h) {
					o.Certificates = append(o.Certificates, h)
				}
			}
		}
	case "ProfileList":
		o.Profiles, o.Shown = p.installed(), true
	case "DeviceInformation":
		o.Information = &mdm.Information{OSVersion: "18.2"}
	case "ManagedApplicationList":
		o.Configured = true
		if p.managed {
			o.Apps = []mdm.App{{Bundle: "com.microsoft.Office.Outlook", State: "Managed", Configured: p.outlook != nil}}
		}
	case "InstallApplication":
		p.managed = true
		p.outlook, _ = c.Fields["Configuration"].(map[string]any)
		o.Apps = []mdm.App{{Bundle: "com.microsoft.Office.Outlook", State: "Managed"}}
	case "Settings":
		items, _ := c.Fields["Settings"].([]any)
		item, _ := items[0].(map[string]any)
		p.outlook, _ = item["Configuration"].(map[string]any)
	default:
		return fmt.Errorf("unknown command %s", c.RequestType)
	}
	return nil
}

func (p *phone) install(payload []byte) error {
	var top map[string]any
	if err := plist.Unmarshal(payload, &top, plist.Upload); err != nil {
		return err
	}
	if sealed, _ := top["IsEncrypted"].(bool); sealed {
		key, c := identity()
		content, err := cms.Decrypt(top["EncryptedPayloadContent"].([]byte), c, key, cms.Policy{})
		if err != nil {
			return err
		}
		var list []any
		if err := plist.Unmarshal(content, &list, plist.Upload); err != nil {
			return err
		}
		top["PayloadContent"] = list
	}
	var i installed
	for _, v := range top["PayloadContent"].([]any) {
		d := v.(map[string]any)
		i.payloads = append(i.payloads, d)
		held, err := p.payload(d)
		if err != nil {
			return err
		}
		i.certs = append(i.certs, held...)
	}
	p.profiles[top["PayloadIdentifier"].(string)] = i
	if p.find(".enroll", "com.apple.mdm") != nil && top["PayloadIdentifier"] == prefix+".enroll" {
		return p.authenticate()
	}
	return nil
}

// authenticate begins to use the identity that the enrollment brought.
func (p *phone) authenticate() error {
	s := p.site
	if p.find(".enroll", "com.apple.mdm")["IdentityCertificateUUID"] != p.find(".enroll", "com.apple.security.scep")["PayloadUUID"] {
		return fmt.Errorf("the enrollment names another identity")
	}
	for _, h := range p.profiles[prefix+".enroll"].certs {
		if h.Identity {
			return s.mdm.Authenticated(s.t.Context(), mdm.Binding{Device: s.device, UDID: string(s.device), Identity: h.Fingerprint, Topic: topic, At: s.now},
				s.entry(journal.DeviceUpdated))
		}
	}
	return fmt.Errorf("no identity")
}

func (p *phone) payload(d map[string]any) ([]mdm.Held, error) {
	switch d["PayloadType"] {
	case "com.apple.security.root":
		return []mdm.Held{{Fingerprint: cert.FingerprintOf(d["PayloadContent"].([]byte))}}, nil
	case "com.apple.security.pkcs12":
		hex, _ := strings.CutPrefix(string(d["PayloadContent"].([]byte)), "p12 ")
		f, err := cert.ParseFingerprint(hex)
		if err != nil || d["Password"] != password {
			return nil, fmt.Errorf("the identity does not open")
		}
		return []mdm.Held{{Fingerprint: f, Identity: true}}, nil
	case "com.apple.security.scep":
		content := d["PayloadContent"].(map[string]any)
		f, err := p.enroll(content["Challenge"].(string))
		return []mdm.Held{{Fingerprint: f, Identity: true}}, err
	}
	return nil, nil
}

// enroll gets a signing certificate with a challenge, which works once.
func (p *phone) enroll(challenge string) (cert.Fingerprint, error) {
	s := p.site
	t, known := s.keeper.challenges[challenge]
	if !known {
		return cert.Fingerprint{}, scep.ErrChallengeUnknown
	}
	use := cert.Signing
	if t.Profile == scep.DeviceIdentity {
		use = cert.Identity
	}
	name := fmt.Sprint("key ", s.now.UnixNano())
	i := scep.Issuance{Grant: t.Grant, Issuer: "mail", Serial: cert.Serial(fmt.Sprintf("%x", name)), Challenge: t.Hash, Transaction: name,
		SPKI: cert.FingerprintOf([]byte(name)), TBS: []byte{1}, NotAfter: s.now.AddDate(1, 0, 0), At: s.now}
	if err := s.db.SCEP().SerialReserved(s.t.Context(), i); err != nil {
		return cert.Fingerprint{}, err
	}
	der := []byte("der of " + name)
	r := cert.Record{Fingerprint: cert.FingerprintOf(der), SPKI: i.SPKI, Holder: t.Holder, Source: cert.Issued, Use: use, Profile: t.Profile,
		Serial: i.Serial, Addresses: []string{s.user.Mail}, NotBefore: s.now, NotAfter: i.NotAfter, DER: der, CreatedAt: s.now}
	return r.Fingerprint, s.db.SCEP().CertificateIssued(s.t.Context(), i, r, journal.Entry{At: s.now, Action: journal.CertificateIssued})
}

// find gives the payload of a type in a profile.
func (p *phone) find(identifier, kind string) map[string]any {
	for _, d := range p.profiles[prefix+identifier].payloads {
		if d["PayloadType"] == kind {
			return d
		}
	}
	return nil
}
