package scep

import (
	"net/netip"
	"time"

	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// ReadCSR opens the reading of certificate requests to tests.
func ReadCSR(der []byte, legacy bool) error {
	_, err := readCSR(der, legacy)
	return err
}

// ReadPoll opens the reading of what is in a CertPoll to tests.
func ReadPoll(der []byte) error { return readPoll(der) }

// NamesOf opens the filling in of templates to tests.
func NamesOf(p Profile, u subject.User, d subject.Device) (ca.Names, error) { return p.names(u, d) }

// ReadProfile opens the reading of documents to tests.
func ReadProfile(text []byte) (Profile, error) {
	d, err := readDocument(text)
	if err != nil {
		return Profile{}, err
	}
	return d.over(Shipped("device", "smime")[1])
}

// Fill has that many networks make us work once, and one more what it can.
func (s *Service) Fill(networks int, greedy string, now time.Time) {
	for n := range networks {
		s.work.allow(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String(), now)
	}
	for s.work.allow(greedy, now) {
	}
}

// Check opens the judgement of profiles to tests.
func Check(p Profile) error { return p.check() }
