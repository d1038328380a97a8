package main

import (
	"github.com/signet-mdm/signet/internal/seal"
)

// wireConsents makes what several people must agree to. The key of the marks is
// the ring's, not the database's.
func (s *server) wireConsents() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), "approval")
	if err != nil {
		return err
	}
	if s.cfg.Approval.People < 2 {
		s.log.Warn("approval.people is 1: one approver is enough for what should take two, as in a laboratory")
	}
	s.consents = s.access.Consents(box, s.cfg.Approval.People)
	return nil
}
