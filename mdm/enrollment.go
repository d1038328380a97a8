package mdm

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
)

// Paths of the two addresses that a device keeps for ever.
const (
	CheckInPath = "/mdm/checkin"
	ConnectPath = "/mdm/connect"
)

// enrollmentID is the identifier of the enrollment profile: the same on every
// device and for ever, or a renewal would be refused.
func (s *Service) enrollmentID() string { return s.Identifier + ".enroll" }

// EnrollmentProfile lays out the profile that enrolls a device: the roots it
// must trust, the SCEP payload for its identity and the MDM payload. scepURL
// and challenge are for that device and its user only; each challenge makes
// another key.
//
// Spec: Apple, com.apple.mdm
func (s *Service) EnrollmentProfile(ctx context.Context, d subject.Device, scepURL string, challenge seal.Secret, roots ...*x509.Certificate) (profile.Profile, error) {
	topic, err := s.Topic(ctx)
	if err != nil {
		return profile.Profile{}, fmt.Errorf("asking for the push topic: %w", err)
	}
	return s.enrollment(d, topic, scepURL, challenge, roots), nil
}

// RenewalProfile lays out the same profile for a device that is enrolled, so
// that it gets another identity. What the device would refuse to change is as it
// enrolled: the identifier, the addresses and its topic. Address and challenge
// of the SCEP payload, and its UUID, are for who seals it.
//
// Spec: Apple, com.apple.mdm
func (s *Service) RenewalProfile(d subject.Device, topic string, roots ...*x509.Certificate) profile.Profile {
	return s.enrollment(d, topic, "", seal.Secret{}, roots)
}

func (s *Service) enrollment(d subject.Device, topic, scepURL string, challenge seal.Secret, roots []*x509.Certificate) profile.Profile {
	id := s.enrollmentID()
	p := profile.Profile{Common: profile.Named(id, s.title("enrollment"))}
	p.Organization = s.Organization
	p.Description = "Lets this server deliver your mail certificates and settings."
	for _, root := range roots {
		fp := cert.FingerprintOf(root.Raw).String()
		p.Payloads = append(p.Payloads, &profile.Root{
			Common: profile.Named(id+".root."+fp[:16], root.Subject.CommonName), Certificate: root.Raw})
	}
	identity := &profile.SCEP{
		Common: profile.Named(id+".identity", "Device identity"), URL: scepURL, Challenge: challenge,
		Subject: [][][]string{{{"CN", string(d.ID)}}}, KeySize: 2048, KeyUsage: profile.DualKey,
	}
	identity.UUID = profile.UUID(identity.Identifier, challenge.Hash().String()) // another UUID makes another key
	return s.withMDM(p, identity, topic)
}

func (s *Service) withMDM(p profile.Profile, identity *profile.SCEP, topic string) profile.Profile {
	p.Payloads = append(p.Payloads, identity, &profile.MDM{
		Common:       profile.Named(s.enrollmentID()+".mdm", s.title("management")),
		IdentityUUID: identity.UUID, Topic: topic, AccessRights: s.Rights,
		ServerURL: s.DeviceURL + ConnectPath, CheckInURL: s.DeviceURL + CheckInPath,
		SignMessage: true, CheckOutWhenRemoved: true,
	})
	return p
}

func (s *Service) title(what string) string {
	if s.Organization == "" {
		return "Signet " + what
	}
	return s.Organization + " " + what
}
