package intunetest

import (
	"maps"
	"slices"
)

// locked runs f alone.
func (s *Server) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Play makes the next requests there go wrong, one after the other.
func (s *Server) Play(where string, t ...Trouble) {
	s.locked(func() { s.trouble[where] = append(s.trouble[where], t...) })
}

// Heal ends all trouble.
func (s *Server) Heal() { s.locked(func() { clear(s.trouble) }) }

// Challenge makes a challenge known.
func (s *Server) Challenge(secret string, e Expected) { s.locked(func() { s.challenges[secret] = e }) }

// Answer makes the next verdicts be these codes.
func (s *Server) Answer(codes ...string) {
	s.locked(func() { s.answers = append(s.answers, codes...) })
}

// Lifetime sets how many seconds tokens are said to last.
func (s *Server) Lifetime(seconds int) { s.locked(func() { s.lifetime = seconds }) }

// DropTokens ends all tokens.
func (s *Server) DropTokens() { s.locked(func() { clear(s.tokens) }) }

// Unlist takes the service that validates out of the list.
func (s *Server) Unlist() { s.locked(func() { s.unlisted = true }) }

// NameServices lists services by serviceName instead of providerName.
func (s *Server) NameServices() { s.locked(func() { s.byService = true }) }

// Deny takes the permission away.
func (s *Server) Deny() { s.locked(func() { s.noConsent = true }) }

// Wish asks for a revocation.
func (s *Server) Wish(context, serial, issuer string) {
	s.locked(func() { s.wishes = append(s.wishes, wish{context, serial, issuer, "Signet"}) })
}

// Asked counts the requests there.
func (s *Server) Asked(where string) (n int) {
	s.locked(func() { n = s.asked[where] })
	return n
}

// Successes gives what was told of certificates.
func (s *Server) Successes() (list []Notice) {
	s.locked(func() { list = slices.Clone(s.successes) })
	return list
}

// Failures gives what was told of refusals.
func (s *Server) Failures() (list []Notice) {
	s.locked(func() { list = slices.Clone(s.failures) })
	return list
}

// Results gives what was told of revocations, by context.
func (s *Server) Results() (m map[string]string) {
	s.locked(func() { m = maps.Clone(s.results) })
	return m
}
